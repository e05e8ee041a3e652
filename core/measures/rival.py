"""The lead of a score without labels over the best other one, on the same images."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.common.statistics.intervals import auroc_difference

COLUMNS = ("rival", "rival_difference", "rival_difference_low", "rival_difference_high")


def with_rivals(metrics: pd.DataFrame, scores: pd.DataFrame, correct: np.ndarray) -> pd.DataFrame:
    """Add the differences to the best rival to a table `quality_metrics`.

    The rival of a score is the one of highest AUROC among the others that need no labels and are defined on
    the same number of images.

    Args:
        metrics: score, label_free, auroc, n; one row per score. scores: one column per score, (n_images,)
            rows. correct: (n_images,) 1 or 0.
    Returns:
        `metrics` with rival ("" without one), rival_difference (AUROC minus the rival's) and its 95 %
        interval (DeLong 1988); NaN for scores that use labels.
    """
    table = metrics.set_index("score")
    free = [name for name in table.index if table.loc[name, "label_free"] and table.loc[name, "auroc"] >= 0]
    rows = []
    for name in metrics["score"]:
        rival, gap = _rival(table, free, name) if name in free else "", (np.nan,) * 3
        if rival:
            mine, its = (scores[one].to_numpy(float) for one in (name, rival))
            gap = auroc_difference(mine, its, np.asarray(correct) == 1)
        rows.append((rival, *gap))
    added = pd.DataFrame(rows, columns=list(COLUMNS), index=metrics.index).astype({"rival": "str"})
    return metrics.assign(**{name: added[name] for name in COLUMNS})


def _rival(table: pd.DataFrame, free: list[str], name: str) -> str:
    others = [other for other in free if other != name and table.loc[other, "n"] == table.loc[name, "n"]]
    return max(others, key=lambda other: table.loc[other, "auroc"], default="")
