"""AUROC of scores within predicted classes: what is left when the class itself tells nothing."""

import numpy as np
import pandas as pd

from core.common.statistics.design_effect import of_area
from core.common.statistics.intervals import pooled_area_bounds
from core.common.statistics.placements import spreads


def pooled_auroc(
    score: np.ndarray, correct: np.ndarray, group: np.ndarray, *, effect: float = 1.0
) -> tuple[float, float, float, int]:
    """AUROC over the pairs of a correct and a misclassified image of the same group.

    A = sum_g pairs_g A_g / sum_g pairs_g, pairs_g = n+_g n-_g. Its interval is that of `area_bounds` with
    V(t) = sum_g w_g^2 V_g(t), w_g = pairs_g / sum pairs: the groups share no image.

    Args:
        score: (n,) float, NaN is left out. correct: (n,) 1 or 0. group: (n,) of any values.
        effect: the design effect of the AUROC over all images, where they come by patient or photograph.
    Returns:
        the value, its 95 % interval, and the number of groups with both outcomes; NaN without any.
    """
    sizes, values = [], []
    is_scored = np.isfinite(score)
    for one in pd.unique(group[is_scored]):
        here = is_scored & (group == one)
        n_right = int((correct[here] == 1).sum())
        if not 0 < n_right < here.sum():
            continue
        sizes.append((n_right, int(here.sum()) - n_right))
        values.append(spreads(score[here], correct[here] == 1)[0].mean)
    if not sizes:
        return np.nan, np.nan, np.nan, 0
    m, n = np.array(sizes, float).T
    weight = m * n / (m * n).sum()
    independent = np.square(weight) / (m * n)
    value = float(weight @ values)
    paired = (independent * ((m + n) / 2 - 1)).sum()
    low, high = pooled_area_bounds(value, effect * independent.sum(), effect * paired)
    return value, float(low), float(high), len(sizes)


def auroc_within_predicted(
    metrics: pd.DataFrame,
    scores: pd.DataFrame,
    correct: np.ndarray,
    predicted: pd.Series,
    units: np.ndarray | None = None,
) -> pd.DataFrame:
    """Add `auroc_within`, `auroc_within_low` and `auroc_within_high` to a table `quality_metrics`.

    Args:
        units: (n_images,) codes of patients, lesions or sequences; None: each image is for itself.
    """
    group, rows = predicted.to_numpy(dtype=object), []
    for name in metrics["score"]:
        score = scores[name].to_numpy(float)
        effect = of_area(score, correct == 1, units)
        rows.append(pooled_auroc(score, correct, group, effect=effect)[:3])
    columns = np.array(rows).reshape(len(metrics), 3).T
    names = ("auroc_within", "auroc_within_low", "auroc_within_high")
    return metrics.assign(**dict(zip(names, columns, strict=True)))
