"""Compare the arms of a grid over seeds: paired differences, ratios of means, summaries of all arms."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.research.grids.over_seeds import ENOUGH, NOT_ENOUGH, SeedSummary, over_seeds, student


@dataclass(frozen=True)
class Ratio:
    """A ratio of two means over n seeds; low, high: its 95 % interval, NaN where there is no bounded one."""

    value: float
    low: float
    high: float
    n: int

    def text(self) -> str:
        """Format as "0.50 (0.41 to 0.62)", or without an interval as "0.50" and the reason.

        >>> Ratio(0.5, 0.41, 0.62, 5).text(), Ratio(0.5, float("nan"), float("nan"), 2).text()
        ('0.50 (0.41 to 0.62)', '0.50 (not enough runs to tell)')
        """
        if np.isfinite(self.low):
            return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"
        return f"{self.value:.2f} ({NOT_ENOUGH if self.n < ENOUGH else 'its interval has no bounds'})"


def ratio_of_means(x: Sequence[float], y: Sequence[float]) -> Ratio:
    """Ratio of two means over pairs, one a seed, with Fieller's interval (1954).

    mean x / mean y, and all r with (mean x - r mean y)^2 <= t^2 (s_xx - 2 r s_xy + r^2 s_yy) / n, with t of
    n - 1 degrees of freedom: those at which a t-test does not tell x - r y from 0. There are bounds where
    the interval of mean y leaves out 0; below ENOUGH seeds they are left undefined.

    Args:
        x, y: (n,) each; pairs that are not finite are left out.
    """
    pairs = np.array([x, y], np.float64)
    pairs = pairs[:, np.isfinite(pairs).all(0)]
    n = pairs.shape[1]
    mean_x, mean_y = pairs.mean(1).tolist() if n else (np.nan, np.nan)
    value = mean_x / mean_y if mean_y else np.nan
    if n < ENOUGH:
        return Ratio(value, np.nan, np.nan, n)
    (s_xx, s_xy), (_, s_yy) = np.cov(pairs) * student(n) ** 2 / n
    square, linear, constant = mean_y**2 - s_yy, mean_x * mean_y - s_xy, mean_x**2 - s_xx
    if square <= 0:
        return Ratio(value, np.nan, np.nan, n)
    half = math.sqrt(max(linear**2 - square * constant, 0.0))
    return Ratio(value, (linear - half) / square, (linear + half) / square, n)


def paired_difference(one: Mapping[int, float], other: Mapping[int, float]) -> SeedSummary:
    """Summarise one - other over the seeds that both have; other seeds do not count.

    >>> paired_difference({0: 3.0, 1: 5.0, 2: 9.0}, {0: 1.0, 1: 2.0}).values
    (2.0, 3.0)
    """
    return over_seeds([one[seed] - other[seed] for seed in sorted(one) if seed in other])


def preset_of(table: pd.DataFrame) -> str:
    """Return the preset that the runs of a grid were trained with, as "preset short"; "" where none is named.

    >>> preset_of(pd.DataFrame({"preset": [None, "short"]})), preset_of(pd.DataFrame({"arm": ["a"]}))
    ('preset short', '')
    """
    names = dict.fromkeys(table["preset"].dropna()) if "preset" in table else {}
    return f"preset {', '.join(map(str, names))}" if names else ""


def by_seed(table: pd.DataFrame, arm: str, measure: str) -> dict[int, float]:
    """Return the values of a measure of an arm by seed; `table` has the columns arm and seed."""
    if measure not in table:
        return {}
    arm_rows = table[table["arm"] == arm]
    return {int(seed): float(value) for seed, value in zip(arm_rows["seed"], arm_rows[measure], strict=True)}


def summarise_arms(
    table: pd.DataFrame, measures: Sequence[str], *, baseline: Callable[[str], str | None] = lambda arm: None
) -> dict[str, dict[str, tuple[SeedSummary, SeedSummary | None]]]:
    """Summarise each measure of each arm, with its paired difference to the baseline of the arm.

    Args:
        table: columns arm, seed and the measures. baseline: arm -> the arm it is compared with, or None.
    Returns:
        {arm: {measure: (values, differences or None)}}, arms as in the table.
    """
    summaries: dict[str, dict[str, tuple[SeedSummary, SeedSummary | None]]] = {}
    for arm in dict.fromkeys(str(name) for name in table["arm"]):
        other = baseline(arm)
        summaries[arm] = {}
        for measure in measures:
            values = by_seed(table, arm, measure)
            against = None if other is None else paired_difference(values, by_seed(table, other, measure))
            summaries[arm][measure] = (over_seeds(values.values()), against)
    return summaries


def by_values(frame: pd.DataFrame, names: list[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Yield each combination of values of some columns, as they first appear, with its rows.

    >>> table = pd.DataFrame({"kind": ["b", "a", "b"], "n": [1, 2, 3]})
    >>> [(values, rows["n"].tolist()) for values, rows in by_values(table, ["kind"])]
    [(('b',), [1, 3]), (('a',), [2])]
    """
    for values, rows in frame.groupby(names, sort=False):
        yield values if isinstance(values, tuple) else (values,), rows
