"""The verdict on one study against another, measure by measure, and in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.common.formatting import signed
from core.common.records import Record, Templates
from core.compare.compare import Comparison
from core.compare.measures import MEASURES, PERCENT, Measure
from core.measures.intervals import leaves_out_0

BETTER, WORSE, UNCLEAR, UNKNOWN = "better", "worse", "could be chance", "not known"
SAME = "the same"  # also on every resampling of the images
VERDICTS = (BETTER, WORSE, UNCLEAR, SAME)  # of a measure with a good direction, as they are listed
CHANGED = "changed"  # significantly, in a measure of which neither more nor less is better
_say = Templates.beside(__file__)


@dataclass(frozen=True)
class Change:
    """The change of one measure from the first study to another, with its paired interval.

    verdict: BETTER or WORSE (CHANGED for a measure without a good direction) if the interval leaves out 0,
    SAME if it is 0 and nothing else, UNCLEAR if it holds 0, UNKNOWN without an interval.
    """

    measure: Measure
    difference: float
    low: float
    high: float
    verdict: str

    @property
    def significant(self) -> bool:
        """True when the interval leaves out 0."""
        return bool(leaves_out_0(self.low, self.high))

    @property
    def amount(self) -> str:
        """The change with its unit: '+0.6 points'."""
        return self._signed(self.difference) + (" points" if self.measure.unit == PERCENT else "")

    @property
    def words(self) -> str:
        """The change and its interval with their unit: '+0.6 points (−0.8 to +1.9)'."""
        if not np.isfinite(self.difference):
            return "no change known"
        if not np.isfinite(self.low):
            return self.amount
        return f"{self.amount} ({self._signed(self.low)} to {self._signed(self.high)})"

    def _signed(self, value: float) -> str:
        return signed((100 if self.measure.unit == PERCENT else 1) * value, self.measure.digits)


def change_of(comparison: Comparison, name: str, other: str) -> Change:
    """Return the change of one measure from the first compared study to another."""
    row, measure = comparison.value(name, other), MEASURES[name]
    values = (float(row.get(key, np.nan)) for key in ("difference", "difference_low", "difference_high"))
    difference, low, high = values
    return Change(measure, difference, low, high, verdict_of(difference, low, high, measure.better))


def verdict_of(difference: float, low: float, high: float, better: int) -> str:
    """Judge a difference of compared studies by its interval and by the direction that is good.

    >>> verdict_of(0.1, 0.02, 0.2, 1), verdict_of(0.1, 0.02, 0.2, -1), verdict_of(0.1, -0.02, 0.2, 1)
    ('better', 'worse', 'could be chance')
    >>> verdict_of(0.1, 0.02, 0.2, 0), verdict_of(float("nan"), 0, 0, 1)
    ('changed', 'not known')
    >>> verdict_of(0.0, 0.0, 0.0, 1)
    'the same'
    """
    if not np.isfinite([difference, low, high]).all():
        return UNKNOWN
    if not any((difference, low, high)):
        return SAME
    if not leaves_out_0(low, high):
        return UNCLEAR
    if not better:
        return CHANGED
    return BETTER if difference * better > 0 else WORSE


def known_changes(comparison: Comparison, other: str) -> list[Change]:
    """Return the changes of all measures of compared studies with an interval, in the order of `MEASURES`."""
    changes = [change_of(comparison, name, other) for name in MEASURES]
    return [change for change in changes if change.verdict != UNKNOWN]


def judged_changes(comparison: Comparison, other: str) -> dict[str, list[Change]]:
    """Return the changes that `verdict_sentence` counts, by their verdict in the order of `VERDICTS`."""
    judged = [change for change in known_changes(comparison, other) if change.measure.better]
    by_verdict = {verdict: [one for one in judged if one.verdict == verdict] for verdict in VERDICTS}
    return {verdict: changes for verdict, changes in by_verdict.items() if changes}


def unjudged_changes(comparison: Comparison, other: str) -> list[Change]:
    """Return the changes of measures that both compared studies have, but that too little tells of.

    None where no change is judged, since the images were chosen by results.
    """
    if comparison.is_chosen_by_result:
        return []
    changes = [change_of(comparison, name, other) for name, measure in MEASURES.items() if measure.better]
    return [one for one in changes if one.verdict == UNKNOWN and np.isfinite(one.difference)]


def judged_line(changes: Sequence[Change]) -> Record:
    """Name measures of compared studies, each with its change and interval: 'accuracy +0.6 points (…)'."""
    return _say("each", names=tuple(f"{_lower(one.measure.title)} {one.words}" for one in changes))


def unjudged_line(changes: Sequence[Change], why: str) -> Record:
    """Name measures of compared studies that are not judged, and why: too few errors, or too few images."""
    titles = tuple(_lower(change.measure.title) for change in changes)
    return _say("not_judged", names=titles, why=why or _say("few_images"))


def verdict_sentence(comparison: Comparison, other: str) -> str:
    """State in one sentence in what a compared study is better and worse; '' if nothing can be judged.

    What has no good direction is counted apart (`changed_sentence` names it), so that the sentence agrees
    with every row of the table.
    """
    if comparison.is_chosen_by_result:
        return _say("chosen", names=(other, comparison.names[0]))
    judged = judged_changes(comparison, other)
    if not judged:
        return ""
    first, of = comparison.names[0], sum(map(len, judged.values()))
    better, worse, unclear = (judged.get(verdict, []) for verdict in (BETTER, WORSE, UNCLEAR))
    if not better and not worse:
        return _undecided((other, first), unclear, of)
    parts = []
    if better:
        parts.append(_say("better_at", what=first, n=len(better), of=of, names=_all_named(better)))
    if worse:
        kind = "and_worse_at" if better else "worse_at"
        parts.append(_say(kind, what=first, n=len(worse), of=of, names=_all_named(worse)))
    return _say("better", what=other, parts=tuple(parts))


def _undecided(studies: tuple[str, str], unclear: Sequence[Change], of: int) -> Record:
    """Say that no change is significant."""
    if not unclear:
        return _say("same", names=studies, of=of)
    title = _lower(unclear[0].measure.title)
    return _say("one_unclear" if len(unclear) == 1 else "unclear", names=studies, what=title, n=len(unclear))


def _all_named(changes: Sequence[Change]) -> tuple[str, ...]:
    return tuple(_named(change) for change in changes)


def changed_sentence(comparison: Comparison, other: str) -> str:
    """Name what changed significantly between compared studies without being better or worse; or ''."""
    changed = [change for change in known_changes(comparison, other) if change.verdict == CHANGED]
    if not changed:
        return ""
    return _say(
        "changed", names=tuple(f"{_lower(change.measure.title)} {change.words}" for change in changed)
    )


def _named(change: Change) -> str:
    """Name a measure with its change: 'object overlap (mIoU +0.021)'."""
    name = change.measure.plain or _lower(change.measure.title)
    return f"{name[:-1]} {change.amount})" if name.endswith(")") else f"{name} ({change.amount})"


def _lower(title: str) -> str:
    """The title within a sentence: 'Accuracy' -> 'accuracy', 'AUROC of Q' and 'mIoU …' as they are."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]
