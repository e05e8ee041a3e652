"""Whether one study is better than another, measure by measure, and in one sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.common.formatting import signed
from core.comparison.compare import Comparison, measure_named
from core.comparison.measures import MEASURES, PERCENT, Measure

BETTER, WORSE, UNCLEAR, UNKNOWN = VERDICTS = ("better", "worse", "could be chance", "not known")


@dataclass(frozen=True)
class Change:
    """The change of one measure from the first study to another, with its paired interval.

    verdict: BETTER or WORSE if the interval excludes 0 and the measure has a good direction, UNCLEAR if it
    does not exclude 0, UNKNOWN without an interval. A measure without a direction is never better or worse.
    """

    measure: Measure
    difference: float
    low: float
    high: float
    verdict: str

    @property
    def words(self) -> str:
        """The change and its interval with their unit: '+0.6 points (−0.8 to +1.9)'."""
        if not np.isfinite(self.difference):
            return "no change known"
        percent = self.measure.unit == PERCENT
        scale, unit = (100, " points") if percent else (1, "")
        said = signed(scale * self.difference, self.measure.digits) + unit
        if not np.isfinite(self.low):
            return said
        ends = (signed(scale * end, self.measure.digits) for end in (self.low, self.high))
        return f"{said} ({' to '.join(ends)})"


def change_of(found: Comparison, name: str, other: str) -> Change:
    """Return the change of one measure from the first study to another."""
    row, measure = found.value(name, other), measure_named(name)
    values = (float(row.get(key, np.nan)) for key in ("difference", "difference_low", "difference_high"))
    difference, low, high = values
    return Change(measure, difference, low, high, verdict_of(difference, low, high, measure.better))


def verdict_of(difference: float, low: float, high: float, better: int) -> str:
    """Judge a difference by its interval and by the direction that is good.

    >>> verdict_of(0.1, 0.02, 0.2, 1), verdict_of(0.1, 0.02, 0.2, -1), verdict_of(0.1, -0.02, 0.2, 1)
    ('better', 'worse', 'could be chance')
    >>> verdict_of(0.1, 0.02, 0.2, 0), verdict_of(float("nan"), 0, 0, 1)
    ('not known', 'not known')
    """
    if not np.isfinite([difference, low, high]).all() or better == 0:
        return UNKNOWN
    if low <= 0 <= high:
        return UNCLEAR
    return BETTER if difference * better > 0 else WORSE


def judged_changes(found: Comparison, other: str) -> list[Change]:
    """Return the changes of all measures that have a good direction, in the order of `MEASURES`."""
    changes = [change_of(found, name, other) for name, one in MEASURES.items() if one.better]
    return [one for one in changes if one.verdict != UNKNOWN]


def verdict_sentence(found: Comparison, other: str) -> str:
    """State in one sentence in what the other study is better and worse; '' if nothing can be judged."""
    changes = judged_changes(found, other)
    if not changes:
        return ""
    named = {
        verdict: [one.measure.plain or _lower(one.measure.title) for one in changes if one.verdict == verdict]
        for verdict in VERDICTS
    }
    if not named[BETTER] and not named[WORSE]:
        return f"Every difference between {found.names[0]} and {other} could be chance."
    parts = [f"{verdict} in {_listed(named[verdict])}" for verdict in (BETTER, WORSE) if named[verdict]]
    sentence = f"{other} is {' and '.join(parts)} than {found.names[0]}"
    rest = named[UNCLEAR]
    if not rest:
        return f"{sentence}."
    what = _listed(rest) if len(rest) < 3 else f"the other {len(rest)} changes"
    return f"{sentence}; {what} could be chance."


def _lower(title: str) -> str:
    """The title within a sentence: 'Accuracy' -> 'accuracy', 'AUROC of Q' and 'mIoU …' as they are."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
