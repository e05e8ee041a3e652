"""Comparison of a score with chance: one rule for every page, command and report.

Below LEAST errors (or correct images) nothing is said: an interval from so few holds nearly everything, and
whether it just leaves out 0.5 depends on single images.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from core.common.records import Record, Templates

CHANCE = 0.5  # AUROC of a score without skill
LEAST = 8  # of errors, and of correct images, for a verdict
FEW = 30  # of either outcome; DeLong's interval of a difference is rough below
Standing = Literal["above", "below", "level", "too_few"]
_say = Templates.beside(__file__)


def against_chance(
    low: float, high: float, n_wrong: float, n_right: float, *, chance: float = CHANCE
) -> Standing:
    """Tell whether the interval of a measure of which more is better lies above chance, below it or across.

    "too_few" with fewer than LEAST errors or correct images, and without an interval.

    >>> against_chance(0.55, 0.9, 8, 40), against_chance(0.55, 0.9, 7, 40), against_chance(0.2, 0.9, 8, 8)
    ('above', 'too_few', 'level')
    """
    if too_few(n_wrong, n_right) or not np.isfinite([low, high]).all():
        return "too_few"
    return "above" if low > chance else "below" if high < chance else "level"


def too_few(n_wrong: float, n_right: float, *, least: int = LEAST) -> Record | Literal[""]:
    """Name the outcome, errors or correct images, that occurs too rarely; empty where both do often.

    >>> too_few(5, 40), too_few(1, 40), too_few(40, 3), too_few(8, 8)
    ('5 errors', '1 error', '3 correct images', '')
    """
    if n_wrong < least:
        return _say("few_errors", n=int(n_wrong))
    return _say("few_correct", n=int(n_right)) if n_right < least else ""


def too_few_outcomes(n_wrong: float, n_right: float) -> Record | Literal[""]:
    """Return "is unclear from only 5 errors" where that is too few to compare with chance, else ''."""
    few = too_few(n_wrong, n_right)
    return _say("too_few", n=few.n, parts=(few,)) if few else ""


def outcomes(row: Mapping[Any, Any]) -> tuple[int, int]:
    """Number of errors and of correct images behind a score's row of `quality_metrics` or of a slice.

    Args:
        row: n, and n_wrong or base_rate_error; NaN counts as none.
    """
    n = float(row["n"])
    wrong = float(row["n_wrong"]) if "n_wrong" in row else n * float(row["base_rate_error"])
    n_wrong = round(wrong) if np.isfinite(wrong) else 0
    return n_wrong, round(n) - n_wrong
