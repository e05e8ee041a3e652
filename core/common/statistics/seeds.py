"""Summary of a few runs with different seeds: mean, spread, and an interval where there are enough of them.

The interval is Student's, mean -+ t s / sqrt(n) with the 97.5th percentile t of n - 1 degrees of freedom and
s the standard deviation (ddof 1). Below ENOUGH runs it is left undefined, and the single values are shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

ENOUGH = 5
NOT_ENOUGH = "not enough runs to tell"


@dataclass(frozen=True)
class SeedSummary:
    """Values of one measure over seeds.

    Attributes:
        values: the finite ones, by seed. n_undefined: how many were NaN, infinite or missing.
        mean: NaN without values. std: ddof 1, NaN for fewer than two. low, high: bounds of the 95 %
            t-interval of the mean, NaN for fewer than ENOUGH.
    """

    values: tuple[float, ...]
    n_undefined: int
    mean: float
    std: float
    low: float
    high: float

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def enough(self) -> bool:
        return self.n >= ENOUGH

    def within(self, margin: float) -> bool | None:
        """True when the interval lies within -+ margin; None with too few runs."""
        return bool(-margin <= self.low and self.high <= margin) if self.enough else None

    @property
    def sign(self) -> str:
        """Return "above 0", "below 0" or "no clear difference" by the interval; NOT_ENOUGH with few runs."""
        if not self.enough:
            return NOT_ENOUGH
        if self.low > 0:
            return "above 0"
        return "below 0" if self.high < 0 else "no clear difference"

    def text(self, *, digits: int = 1, factor: float = 1.0, signed: bool = False) -> str:
        """Format as "71.2 ± 0.4" (half of the interval), or as the single values with too few runs.

        >>> over_seeds([1.0, 2.0, 3.0, 4.0, 5.0]).text(), over_seeds([0.5, 0.25]).text(digits=0, factor=100)
        ('3.0 ± 2.0', '50, 25')
        """
        sign = "+" if signed else ""
        if not self.enough:
            return ", ".join(f"{factor * value:{sign}.{digits}f}" for value in self.values)
        half = factor * (self.high - self.low) / 2
        return f"{factor * self.mean:{sign}.{digits}f} ± {half:.{digits}f}"

    def points(self) -> str:
        """Format shares as signed points with the t-interval of two runs or more, however few.

        Which conclusions few runs allow is another question: `sign` answers it.

        >>> over_seeds([0.10, 0.12, 0.14]).points(), over_seeds([0.1]).points(), over_seeds([]).points()
        ('+12.0 points (95 % interval +7.0 to +17.0, 3 runs)', '+10.0 points (1 run)', 'not run')
        """
        if not self.n:
            return "not run"
        mean = f"{100 * self.mean:+.1f} points"
        if self.n == 1:
            return f"{mean} (1 run)"
        half = _half_of_interval(self.n, self.std)
        low, high = (f"{100 * (self.mean + side * half):+.1f}" for side in (-1, 1))
        return f"{mean} (95 % interval {low} to {high}, {self.n} runs)"


def over_seeds(values: Iterable[float]) -> SeedSummary:
    """Summarise the values of a measure, one a seed; those that are not finite are counted and left out."""
    given = np.asarray(list(values), np.float64)
    finite = given[np.isfinite(given)]
    n = len(finite)
    mean = float(finite.mean()) if n else np.nan
    std = float(finite.std(ddof=1)) if n > 1 else np.nan
    half = _half_of_interval(n, std) if n >= ENOUGH else np.nan
    return SeedSummary(tuple(finite.tolist()), len(given) - n, mean, std, mean - half, mean + half)


def _half_of_interval(n: int, std: float) -> float:
    return _student(n) * std / math.sqrt(n)


def _student(n: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 0.975))


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
    (s_xx, s_xy), (_, s_yy) = np.cov(pairs) * _student(n) ** 2 / n
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
    table: pd.DataFrame,
    measures: Sequence[str],
    *,
    baseline: Callable[[str], str | None] = lambda arm: None,
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
