"""Summary of a few runs with different seeds: mean, spread, and an interval where there are enough of them.

The interval is Student's, mean -+ t s / sqrt(n) with the 97.5th percentile t of n - 1 degrees of freedom and
s the standard deviation (ddof 1). Below ENOUGH runs it is left undefined, and the single values are shown.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

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
    return student(n) * std / math.sqrt(n)


def student(n: int) -> float:
    """Return the 97.5th percentile of Student's distribution with n - 1 degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 0.975))
