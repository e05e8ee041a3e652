"""AUROC of features as detectors of their words, on images whose truth is known (docs/method.md 6.12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.common.dataframes import unit_rows
from core.common.group_names import group_features
from core.common.statistics.intervals import auroc_interval
from core.concepts.tables import AUCS
from core.jobs.progress import Progress
from core.store import Study
from core.worlds.glyphworld.word_truth import TruthTable, truth_of

MOST, FEWEST = 2000, 200  # images that are looked at


@dataclass(frozen=True)
class DetectionImages:
    """The images on which words are tested.

    Attributes:
        rows: (n,) rows of the study, ascending. held_out: none of them is a probe image.
    """

    rows: np.ndarray
    held_out: bool

    @classmethod
    def of(cls, study: Study, probe: np.ndarray, *, seed: int = 0) -> DetectionImages:
        """Choose seeded images that are no probe images; the probe images where there are too few others."""
        others = np.setdiff1d(np.arange(study.n_images), probe)
        held_out = len(others) >= min(FEWEST, len(probe))
        rows = others if held_out else np.asarray(probe)
        return cls(np.sort(np.random.default_rng(seed).permutation(rows)[:MOST]), held_out)


def truths_of(study: Study, rows: np.ndarray, progress: Progress) -> TruthTable:
    """Return the truth of some images of a Glyphworld study."""
    image_ids = study.images["image_id"].iloc[rows]
    places = pd.Index(study.source.table["image_id"]).get_indexer(pd.Index(image_ids))
    source: Any = study.source
    truths = []
    with progress.stage("truth", total=len(rows), unit="images") as bar:
        for row in places.tolist():
            truths.append(truth_of(source.plan(row)))
            bar.update()
    return TruthTable(truths)


def activations_of(study: Study, rows: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """(n, n_groups) float64: the activation of each group on some images: the least of its features, of rows
    of length 1.
    """
    h = unit_rows(study.array("representations").rows(rows))
    return group_activations(h, groups)


def group_activations(h: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """(n, n_groups): the least of the features of each group, of normalised rows (n, n_features)."""
    return np.stack([h[:, list(group_features(group))].min(1) for group in groups], axis=1)


def word_aucs(
    groups: Sequence[str],
    words: Sequence[str],
    activations: np.ndarray,
    names: Sequence[str],
    truth: TruthTable,
) -> pd.DataFrame:
    """Area under the ROC curve of a group's activation as a detector of the images of which a word is true.

    Args:
        groups, words: (n,) pairs. activations: (n_images, n_groups) of the groups `names`. truth: of the same
            images.
    Returns:
        auc, auc_low, auc_high: (n,) float64 in [0, 1] with its interval (Newcombe 2006); NaN for a word that
        is true of all images or of none.
    """
    column = {name: at for at, name in enumerate(names)}
    aucs = []
    for group, word in zip(groups, words, strict=True):
        of_group = activations[:, column[group]]
        aucs.append(auroc_interval(of_group, truth.column(word))[:3])
    return pd.DataFrame(np.array(aucs, np.float64).reshape(-1, 3), columns=list(AUCS))


def add_aucs(concepts: pd.DataFrame, study: Study, probe: np.ndarray, progress: Progress) -> dict[str, Any]:
    """Fill the columns auc, auc_low and auc_high of a Glyphworld study's table `concepts`.

    Returns:
        for the summary: n_images and held_out of the images, and the mean over kept words, None without any.
    """
    images = DetectionImages.of(study, probe)
    groups, words = concepts["group"].tolist(), concepts["word"].tolist()
    names = list(dict.fromkeys(groups))
    if not names:
        return {"n_images": 0, "held_out": images.held_out, "mean": None}
    truth = truths_of(study, images.rows, progress)
    aucs = word_aucs(groups, words, activations_of(study, images.rows, names), names, truth)
    concepts[list(AUCS)] = aucs.to_numpy()
    of_kept_words = aucs.loc[concepts["kept"].to_numpy(bool), "auc"].dropna()
    mean = float(of_kept_words.mean()) if len(of_kept_words) else None
    return {"n_images": len(images.rows), "held_out": images.held_out, "mean": mean}
