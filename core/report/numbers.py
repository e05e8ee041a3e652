"""Numbers as a report writes them: with their interval and what to read them against."""

from __future__ import annotations

import math


def percent(share: float | None, digits: int = 1) -> str:
    """
    >>> percent(0.7071), percent(None)
    ('70.7 %', 'not defined')
    """
    return "not defined" if share is None or not math.isfinite(share) else f"{100 * share:.{digits}f} %"


def decimal(value: float | None, digits: int = 3) -> str:
    """
    >>> decimal(0.51751), decimal(float("nan"))
    ('0.518', 'not defined')
    """
    return "not defined" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def between(low: float | None, high: float | None, digits: int = 3) -> str:
    """
    >>> between(0.4777, 0.5552)
    '0.478 to 0.555'
    """
    known = low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    return f"{low:.{digits}f} to {high:.{digits}f}" if known else "no interval"


def with_interval(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """
    >>> with_interval(0.5, 0.4, 0.6, 1)
    '0.5 (0.4 to 0.6)'
    """
    if value is None or not math.isfinite(value):
        return "not defined"
    return f"{value:.{digits}f} ({between(low, high, digits)})"


def wilson(share: float, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n; (NaN, NaN) for n = 0.

    (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)

    >>> [round(end, 3) for end in wilson(0.5, 100)]
    [0.404, 0.596]
    """
    if not n:
        return math.nan, math.nan
    middle, spread = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    whole = 1 + z * z / n
    return (middle - spread) / whole, (middle + spread) / whole
