"""Mean overlap of the heatmaps of a slice with masks, by class and by correctness.

The tables have the columns of those that the step `overlap` stores of all images (`overlap_by_class`,
`overlap_summary`), so that the same figures draw them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.common.arrays import safe_divide
from core.common.dataframes import select
from core.common.statistics.intervals import mean_interval, student_half
from core.slices.evaluate import class_column, result_column
from core.slices.overlap_values import MASKS, overlap_values

if TYPE_CHECKING:
    from core.store import Study

MEANS = ["mean", "low", "high", "n"]
CLASS_COLUMNS = ["label", "mask", "group", "variant", *MEANS]
GROUP_COLUMNS = ["images", "split", "mask", "group", "variant", *MEANS]


def class_overlaps(study: Study, mask: np.ndarray, variant: str) -> pd.DataFrame:
    """Mean overlap of the images of each class of a slice, with its interval.

    Args:
        mask: (n_images,) bool. variant: paper, binary, soft or energy.
    Returns:
        label, mask, group, variant, mean, low, high, n (images with a defined overlap); classes, masks and
        groups without such images are left out.
    """
    if not (study.has("overlap") and study.labelled):
        return pd.DataFrame(columns=CLASS_COLUMNS)
    names = np.array(study.class_names, object)
    labels = class_column(study, "label")
    values, _ = overlap_values(study, variant)
    parts = []
    for kind, group, inside, column in _parts(study, values, mask & (labels >= 0)):
        means = class_means(labels[inside], column[inside], len(names))
        about = {"label": names, "mask": kind, "group": group, "variant": variant}
        table = pd.DataFrame(about | dict(zip(MEANS, means, strict=True)))
        parts.append(table[table["n"] > 0])
    found = pd.concat(parts, ignore_index=True)
    return select(found.sort_values("label", kind="stable", ignore_index=True), CLASS_COLUMNS)


def group_overlaps(study: Study, mask: np.ndarray, variant: str) -> pd.DataFrame:
    """Mean overlap of all, the correct and the misclassified images of a slice, with its interval.

    Returns:
        images ('both masks': only those that have both; 'any mask'), split ('slice'), mask, group, variant,
        mean, low, high, n; means are NaN where no image has a defined overlap.
    """
    if not study.has("overlap"):
        return pd.DataFrame(columns=GROUP_COLUMNS)
    values, masked = overlap_values(study, variant)
    rows = []
    for images, chosen in (("both masks", mask & masked.all(1)), ("any mask", mask)):
        for kind, group, inside, column in _parts(study, values, chosen):
            about = {"images": images, "split": "slice", "mask": kind, "group": group, "variant": variant}
            means = mean_interval(column[inside], within=(0.0, 1.0))
            rows.append(about | dict(zip(MEANS, means, strict=True)))
    return pd.DataFrame(rows, columns=GROUP_COLUMNS)


def class_means(
    labels: np.ndarray, values: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`mean_interval` of the values of each class, at once, the intervals clipped to [0, 1].

    Args:
        labels: (n,) int in [0, n_classes). values: (n,) float64 in [0, 1]; NaN is left out.
    Returns:
        mean, low, high (n_classes,) float64 and n (n_classes,) int64; NaN without values, no interval from a
        single one.
    """
    known = np.isfinite(values)
    labels, values = labels[known], values[known]
    n = np.bincount(labels, minlength=n_classes)
    mean = safe_divide(np.bincount(labels, values, n_classes), n)
    squares = np.bincount(labels, np.square(values - mean[labels]), n_classes)
    half = student_half(squares, n)
    return mean, np.clip(mean - half, 0.0, 1.0), np.clip(mean + half, 0.0, 1.0), n


def _parts(
    study: Study, values: np.ndarray, chosen: np.ndarray
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Mask, group, the images of the group (n_images,) bool and their overlaps (n_images,) float64."""
    correct = result_column(study, "correct")
    groups = {"all": chosen, "correct": chosen & (correct == 1), "misclassified": chosen & (correct == 0)}
    for at, kind in enumerate(MASKS):
        for group, inside in groups.items():
            yield kind, group, inside, values[:, at]
