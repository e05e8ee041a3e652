"""Correlation of a loss and an error over encoders, with an interval that respects their settings.

Encoders that differ in their seed only are not independent, so settings are drawn with replacement, each with
all of its encoders.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.dataframes import numbers

LEAST_SETTINGS = 5


@dataclass(frozen=True)
class Correlation:
    """Pearson's and Spearman's correlation; all NaN with a `reason` where they are undefined."""

    pearson: float
    spearman: float
    low: float
    high: float
    n: int
    n_settings: int
    reason: str = ""


def correlation_over_settings(
    table: pd.DataFrame, loss: str, accuracy: str, *, resamples: int = 1000, seed: int = 0
) -> Correlation:
    """Correlate a loss with the error 1 - accuracy over the rows of a table (research).

    Args:
        table: columns `arm` (the setting), and the two named; rows without either number are left out.
    Returns:
        the correlations over all rows; low and high of Pearson's, 2.5 and 97.5 percentile over resampled
        settings. NaN for fewer than 5 settings, or where the loss or the error does not vary.
    """
    x, y = numbers(table, loss), 1 - numbers(table, accuracy)
    both_finite = np.isfinite(x) & np.isfinite(y)
    x, y, arms = x[both_finite], y[both_finite], table["arm"].to_numpy()[both_finite]
    settings = list(dict.fromkeys(arms))
    if reason := _undefined(x, y, len(settings)):
        return Correlation(np.nan, np.nan, np.nan, np.nan, len(x), len(settings), reason)
    rows = [np.flatnonzero(arms == arm) for arm in settings]
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(resamples):
        resampled = np.concatenate([rows[setting] for setting in rng.integers(0, len(rows), len(rows))])
        drawn.append(_pearson(x[resampled], y[resampled]))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    spearman = _pearson(_ranks(x), _ranks(y))
    return Correlation(_pearson(x, y), spearman, float(low), float(high), len(x), len(settings))


def _undefined(x: np.ndarray, y: np.ndarray, n_settings: int) -> str:
    if n_settings < LEAST_SETTINGS:
        return f"{n_settings} settings, but it takes {LEAST_SETTINGS}"
    if np.ptp(x) == 0:
        return "the loss is the same for all encoders"
    return "the error is the same for all encoders" if np.ptp(y) == 0 else ""


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of two samples; NaN where one is constant."""
    a, b = x - x.mean(), y - y.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else float("nan")


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, those of equal values averaged."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return (last - (counts - 1) / 2)[inverse]
