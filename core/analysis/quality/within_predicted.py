"""AUROC of scores within predicted classes: what is left when the class itself tells nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.common.statistics.intervals import Z, delong


def pooled_auroc(
    score: np.ndarray, correct: np.ndarray, group: np.ndarray
) -> tuple[float, float, float, int]:
    """AUROC over the pairs of a correct and a misclassified image of the same group.

    sum_g pairs_g A_g / sum_g pairs_g, pairs_g = n+_g n-_g; its variance sums DeLong's of each group, weighted
    alike, since the groups share no image. A group with a single correct or a single misclassified image has
    no variance of its own, and its pairs count in the value only.

    Args:
        score: (n,) float, NaN is left out. correct: (n,) 1 or 0. group: (n,) of any values.
    Returns:
        the value, its 95 % interval, and the number of groups with both outcomes; NaN without any.
    """
    weights, values, variances = [], [], []
    known = np.isfinite(score)
    for one in pd.unique(group[known]):
        here = known & (group == one)
        n_right = int((correct[here] == 1).sum())
        pairs = n_right * (int(here.sum()) - n_right)
        if not pairs:
            continue
        value, variance = delong(score[here], correct[here] == 1)
        weights.append(pairs)
        values.append(value)
        variances.append(np.nan_to_num(variance))
    if not weights:
        return np.nan, np.nan, np.nan, 0
    share = np.array(weights) / sum(weights)
    value, half = float(share @ values), Z * float(np.sqrt(np.square(share) @ variances))
    return value, max(0.0, value - half), min(1.0, value + half), len(weights)


def auroc_within_predicted(
    found: pd.DataFrame, scores: pd.DataFrame, correct: pd.Series, predicted: pd.Series
) -> pd.DataFrame:
    """Add `auroc_within`, `auroc_within_low` and `auroc_within_high` to a table `quality_metrics`."""
    outcome, group = correct.to_numpy(dtype=float), predicted.to_numpy(dtype=object)
    rows = [pooled_auroc(scores[name].to_numpy(float), outcome, group)[:3] for name in found["score"]]
    columns = np.array(rows).reshape(len(found), 3).T
    names = ("auroc_within", "auroc_within_low", "auroc_within_high")
    return found.assign(**dict(zip(names, columns, strict=True)))
