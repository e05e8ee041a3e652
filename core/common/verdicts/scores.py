"""What a score of single images is worth for finding errors, in one of four words (docs/method.md 2.10)."""

import math
from dataclasses import dataclass

from core.common.records import Record, Templates
from core.common.score_names import score_label
from core.common.statistics.chance import CHANCE, Standing, against_chance, too_few_outcomes
from core.common.verdicts.words import (
    OF_PLAIN,
    OF_USE,
    RELIABLE,
    RELIABLE_GAIN,
    USEFUL,
    USEFUL_GAIN,
    USELESS,
    WEAK,
    Verdict,
)

_say = Templates.beside(__file__)
WORD_OF = {
    "wrong_way": USELESS,
    "no_better": USELESS,
    "hardly_better": USELESS,
    "weak": WEAK,
    "useful": USEFUL,
    "reliable": RELIABLE,
}


@dataclass(frozen=True)
class FoundFirst:
    """Errors among the images that a score puts first.

    Attributes:
        found: errors among the first `looked` (a mean over the orders of equal scores), with the ends of its
            95 % interval. by_chance, perfect: errors that a random order finds there, and the best possible.
    """

    looked: int
    found: float
    low: float
    high: float
    by_chance: float
    perfect: float

    def gain(self, found: float) -> float:
        """Return what a number of errors is of the way from chance (0) to a perfect order (1).

        >>> FoundFirst(50, 13, 8, 20, 6, 50).gain(28)
        0.5
        """
        room = self.perfect - self.by_chance
        return (found - self.by_chance) / room if room > 0 else math.nan


@dataclass(frozen=True)
class ScoreEvidence:
    """What is known of a score; NaN, None or "" where unknown.

    Attributes:
        score: its column. auroc, low, high: with the ends of its 95 % interval. n_wrong, n_right: images
            behind it. first, plain: errors among the first images by it, and by the classifier's confidence
            on the same images; `plain` is None of the confidence itself. why: there is no AUROC.
    """

    score: str
    auroc: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n_wrong: int = 0
    n_right: int = 0
    first: FoundFirst | None = None
    plain: FoundFirst | None = None
    why: str = ""


def judge_score(evidence: ScoreEvidence) -> Verdict:
    """Return what a score is worth, by the rule of docs/method.md 2.10.

    No word without an AUROC, an interval and the errors among the first images, nor from fewer than 8 errors
    or correct images (`too_few_outcomes`).
    """
    name = score_label(evidence.score)
    ends = (evidence.low, evidence.high)
    if math.isnan(evidence.auroc):
        return Verdict("", _say("untested", what=name, why=evidence.why))
    if few := too_few_outcomes(evidence.n_wrong, evidence.n_right):
        return Verdict("", _say("too_few", what=name, n=few.n, parts=(few,)))
    standing = against_chance(*ends, evidence.n_wrong, evidence.n_right)
    if standing == "too_few" or evidence.first is None:
        return Verdict("", _say("no_interval", what=name, value=evidence.auroc))
    kind = _kind(standing, evidence, evidence.first)
    parts = _numbers(evidence.first, evidence.plain)
    sentence = _say(kind, what=name, value=evidence.auroc, interval=ends, chance=CHANCE, parts=parts)
    return Verdict(WORD_OF[kind], sentence)


def _kind(standing: Standing, evidence: ScoreEvidence, first: FoundFirst) -> str:
    if standing == "below":
        return "wrong_way"
    if standing == "level":
        return "no_better"
    if evidence.high < OF_USE:
        return "hardly_better"
    if first.gain(first.low) >= RELIABLE_GAIN:
        return "reliable"
    gain = first.gain(first.found)
    of_plain = evidence.plain.gain(evidence.plain.found) if evidence.plain else 0.0
    return "useful" if gain >= USEFUL_GAIN and gain >= OF_PLAIN * of_plain else "weak"


def _numbers(first: FoundFirst, plain: FoundFirst | None) -> tuple[Record, ...]:
    """What is found among the first images, and what the confidence finds there."""
    sentence = _say(
        "found",
        n=round(first.found),
        of=first.looked,
        interval=(first.low, first.high),
        chance=first.by_chance,
    )
    return (sentence,) if plain is None else (sentence, _say("plain", n=round(plain.found)))
