"""On how many images of each class a feature fires, within a slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.common.arrays import safe_divide
from core.slices.evaluate import class_column
from core.slices.firing_counts import BLOCK, has_firing

if TYPE_CHECKING:
    from core.store import Study


def class_firing(study: Study, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count the images of each class on which each feature fires.

    Args:
        mask: (n_images,) bool.
    Returns:
        counts (n_features, n_classes) int64 and sizes (n_classes,) int64, the images of the mask by class, in
        the order of `study.class_names`. Images without a label are left out. Without firing sets the counts
        have no rows.
    """
    n_classes = len(study.class_names)
    codes = class_column(study, "label")
    codes = np.where(mask, codes, -1)
    sizes = np.bincount(codes[codes >= 0], minlength=n_classes)
    if not has_firing(study):
        return np.zeros((0, n_classes), np.int64), sizes
    pointers = study.vector("firing_by_feature_ptr").astype(np.int64)
    stored = study.array("firing_by_feature_rows")
    n_features = len(pointers) - 1
    counts = np.zeros(n_features * n_classes, np.int64)
    for start in range(0, int(pointers[-1]), BLOCK):
        block = np.asarray(stored[start : min(start + BLOCK, int(pointers[-1]))])
        kept = np.flatnonzero(codes[block] >= 0)
        features = np.searchsorted(pointers, start + kept, "right") - 1
        counts += np.bincount(features * n_classes + codes[block[kept]], minlength=len(counts))
    return counts.reshape(n_features, n_classes), sizes


def most_common_classes(counts: np.ndarray, sizes: np.ndarray) -> pd.DataFrame:
    """Find the class on which each feature fires most often, and the class that most of its images belong to.

    Args:
        counts, sizes: as returned by `class_firing`.
    Returns:
        one row per feature: `likeliest`, the number of the class with the largest share of images on which
        the feature fires, with `likeliest_rate`, that share; `top`, the class that most of the images on
        which it fires belong to, with `purity`, their share. Of equal classes the first. Where a feature
        fires on no image, the classes are -1 and the numbers NaN.
    """
    rates = safe_divide(counts, sizes[None, :])
    fires = counts.sum(1) > 0
    found = pd.DataFrame({"likeliest": np.full(len(counts), -1), "likeliest_rate": np.nan})
    found["top"], found["purity"] = -1, np.nan
    if fires.any():
        likeliest, top = np.nanargmax(rates[fires], axis=1), counts[fires].argmax(1)
        found.loc[fires, "likeliest"], found.loc[fires, "top"] = likeliest, top
        found.loc[fires, "likeliest_rate"] = np.take_along_axis(rates[fires], likeliest[:, None], 1)[:, 0]
        found.loc[fires, "purity"] = counts[fires].max(1) / counts[fires].sum(1)
    return found


def feature_classes(study: Study) -> dict[int, str]:
    """Name the classes of each feature in a few words; see `leading_classes`.

    They are of the train images on which the feature fires; where it fires on none, of the images on which it
    is largest, as far as it is above 0 there. Empty for images without labels.
    """
    if not (study.labelled and study.has("class_counts") and study.has("top_images")):
        return {}
    counts = study.vector("class_counts").astype(np.int64)
    codes = class_column(study, "label")
    feature, place = np.nonzero((study.vector("top_values") > 0) & (study.vector("top_images") >= 0))
    code = codes[study.vector("top_images")[feature, place]]
    known = (code >= 0) & (counts.sum(1) == 0)[feature]
    largest = np.bincount(feature[known] * counts.shape[1] + code[known], minlength=counts.size)
    return leading_classes(counts + largest.reshape(counts.shape), study.class_names)


def leading_classes(counts: np.ndarray, names: Sequence[str], *, most: int = 2) -> dict[int, str]:
    """Name the classes of the images on which each feature fires, for features without words.

    "mostly" the fewest classes that at least half of these images belong to; where more than `most` classes
    are needed for that, "often" the first `most` of them. Of equally common classes the first.

    Args:
        counts: (n_features, n_classes), images of each class on which a feature fires.
    Returns:
        feature -> text; a feature that fires on no image is left out.

    >>> leading_classes(np.array([[6, 1, 1], [3, 3, 0], [0, 0, 0]]), ["bird", "deer", "cat"])
    {0: 'mostly bird', 1: 'mostly bird'}
    >>> leading_classes(np.array([[4, 3, 2, 1, 0], [2, 2, 2, 2, 2]]), ["ant", "bee", "cat", "dog", "elk"])
    {0: 'mostly ant, bee', 1: 'often ant, bee'}
    """
    found: dict[int, str] = {}
    order = np.argsort(-counts, axis=1, kind="stable")[:, :most]
    for feature in np.flatnonzero(counts.sum(1) > 0).tolist():
        shares = np.cumsum(counts[feature, order[feature]]) / counts[feature].sum()
        enough = np.flatnonzero(shares >= 0.5)
        n = int(enough[0]) + 1 if len(enough) else most
        shown = [names[int(at)] for at in order[feature, :n] if counts[feature, at]]
        found[feature] = f"{'mostly' if len(enough) else 'often'} {', '.join(shown)}"
    return found


def more_often_on(counts: np.ndarray, sizes: np.ndarray, code: int) -> np.ndarray:
    """(n_features,) bool: the features that fire more often on one class than on any other."""
    rates = safe_divide(counts, sizes[None, :], empty=0.0)
    others = np.delete(rates, code, axis=1)
    return rates[:, code] > others.max(axis=1, initial=0.0)
