"""How far a score without labels is ahead of the best other one, on the same resamples of the images."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from core.common.statistics.weighted_auroc import WeightedAuroc

COLUMNS = ("rival", "rival_difference", "rival_difference_low", "rival_difference_high")


def with_rivals(
    found: pd.DataFrame, scores: pd.DataFrame, correct: np.ndarray, *, resamples: int, seed: int = 0
) -> pd.DataFrame:
    """Add the differences to the best rival to a table `quality_metrics`.

    The rival of a score is the one of highest AUROC among the others that need no labels and are defined on
    the same number of images. Resample b counts images drawn from (seed, b), the same for all scores.

    Args:
        found: score, label_free, auroc, n; one row per score. scores: one column per score, (n_images,) rows.
        correct: (n_images,) 1 or 0. resamples: 0 gives no intervals.
    Returns:
        `found` with rival ("" without one), rival_difference (AUROC minus the rival's) and its 95 % interval;
        NaN for scores that use labels.
    """
    table = found.set_index("score")
    free = [name for name in table.index if table.loc[name, "label_free"] and table.loc[name, "auroc"] >= 0]
    rivals = {name: rival for name in free if (rival := _rival(table, free, name))}
    draws = _draws(scores.loc[:, list(rivals)], np.asarray(correct, float), resamples, seed)
    rows = []
    for name in found["score"]:
        rival = rivals.get(name, "")
        ends = [np.nan, np.nan]
        if rival and resamples:
            ends = np.nanpercentile(draws[name] - draws[rival], [2.5, 97.5]).tolist()
        gap = table.loc[name, "auroc"] - table.loc[rival, "auroc"] if rival else np.nan
        rows.append((rival, gap, *ends))
    added = pd.DataFrame(rows, columns=list(COLUMNS), index=found.index).astype({"rival": "str"})
    return found.assign(**{name: added[name] for name in COLUMNS})


def _rival(table: pd.DataFrame, free: list[str], name: str) -> str:
    others = [other for other in free if other != name and table.loc[other, "n"] == table.loc[name, "n"]]
    return max(others, key=lambda other: table.loc[other, "auroc"], default="")


def _draws(scores: pd.DataFrame, correct: np.ndarray, resamples: int, seed: int) -> dict[str, np.ndarray]:
    """(resamples,) AUROC of each score."""
    ranked = {name: WeightedAuroc(scores[name].to_numpy(float), correct) for name in scores}
    if not ranked or not resamples:
        return {}
    n = len(correct)

    def one(number: int) -> list[float]:
        drawn = np.random.default_rng([seed, number]).integers(0, n, n)
        counts = np.bincount(drawn, minlength=n)
        return [score.of(counts) for score in ranked.values()]

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        values = np.array(list(pool.map(one, range(resamples))))
    return {name: values[:, at] for at, name in enumerate(ranked)}
