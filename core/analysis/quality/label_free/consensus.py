"""Consensus of several scores of single images, without labels (docs/method.md 2.7)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

COMBINED = (
    "distinctiveness",
    "raw_distinctiveness",
    "soft_q",
    "norm",
    "whitened_norm",
    "knn_similarity",
)


def share_below(values: np.ndarray) -> np.ndarray:
    """Share of the images with a lower score, the mean over tied ranks: (n,) float64 in [0, 1)."""
    return (rankdata(values) - 1.0) / max(len(values), 1)


def consensus(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Combine scores by the first principal component of their ranks.

    Ranks (`share_below`) of each score, centred; w = first principal component of the (n, m) ranks, with the
    sign that makes its entries add up to more than 0; combined = ranks w, scaled to [0, 1]. A score that
    agrees with the others weighs much, one that runs against them little or less than 0.

    Args:
        scores: (n_images, m) float, higher = better, without NaN; all images of one split.
    Returns:
        combined (n_images,) float64 in [0, 1], and the weights (m,), of length 1. NaN for fewer than two
        images, and if all scores are constant.
    """
    n, m = scores.shape
    if n < 2 or not m:
        return np.full(n, np.nan), np.full(m, np.nan)
    ranks = np.stack([share_below(column) for column in scores.T], 1)
    ranks -= ranks.mean(0)
    variance, axes = np.linalg.eigh(ranks.T @ ranks)
    if not variance[-1] > 0:
        return np.full(n, np.nan), np.full(m, np.nan)
    weights = axes[:, -1] * (1.0 if axes[:, -1].sum() > 0 else -1.0)
    total = ranks @ weights
    return (total - total.min()) / (total.max() - total.min()), weights


def combined_scores(table: pd.DataFrame) -> tuple[np.ndarray, dict[str, dict[str, float]]]:
    """Combine the scores of COMBINED within each split of a table `quality`.

    A score that is not defined for all images of a split is left out there: the similarity to train images on
    the train split, the whitened norm without the step `neighbours`.

    Returns:
        combined (n_images,) float64, NaN where fewer than two scores are left; and the weights, by split and
        score.
    """
    found, weights = np.full(len(table), np.nan), {}
    for split in ("train", "val"):
        here = (table["split"] == split).to_numpy(bool)
        columns = {name: table[name].to_numpy(float)[here] for name in COMBINED}
        used = [name for name, values in columns.items() if here.any() and np.isfinite(values).all()]
        if len(used) < 2:
            continue
        found[here], weight = consensus(np.stack([columns[name] for name in used], 1))
        if np.isfinite(weight).all():
            weights[split] = {name: float(value) for name, value in zip(used, weight, strict=True)}
    return found, weights
