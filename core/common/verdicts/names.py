"""What the word that a feature is called by is worth, in one of four words (docs/method.md 2.10)."""

import math
from dataclasses import dataclass

from core.common.records import Templates
from core.common.statistics.chance import CHANCE
from core.common.statistics.intervals import wilson
from core.common.verdicts.words import (
    CLEAR_WORD,
    FEWEST_SHOWN,
    MOST_SHOW,
    NEARLY_ALL_SHOW,
    RELIABLE,
    SELDOM_ELSEWHERE,
    USEFUL,
    USELESS,
    WEAK,
    Verdict,
)

_say = Templates.beside(__file__)
WORD_OF = {"as_elsewhere": USELESS, "not_true": USELESS, "weak": WEAK, "useful": USEFUL, "reliable": RELIABLE}


@dataclass(frozen=True)
class NameEvidence:
    """What is known of the first word of a feature; NaN where unknown.

    Attributes:
        n, share: images of the feature, and the share of them that show the word. elsewhere: share of all
            other images that show it. auc_low, auc_high: interval of the AUC of the feature as a detector of
            the images of which the word is true, where the truth is known.
    """

    word: str
    n: int = 0
    share: float = math.nan
    elsewhere: float = math.nan
    auc_low: float = math.nan
    auc_high: float = math.nan


def judge_name(evidence: NameEvidence) -> Verdict:
    """Return what a name is worth, by the rule of docs/method.md 2.10; no word from fewer than 8 images."""
    if math.isnan(evidence.share) or math.isnan(evidence.elsewhere):
        return Verdict("", _say("unknown", what=evidence.word))
    if evidence.n < FEWEST_SHOWN:
        return Verdict("", _say("too_few", what=evidence.word, n=evidence.n))
    n_shown = round(evidence.share * evidence.n)
    low, high = (float(end) for end in wilson(n_shown, evidence.n))
    interval = low, high
    kind = _kind(evidence, low)
    sentence = _say(
        kind, what=evidence.word, n=n_shown, of=evidence.n, interval=interval, value=evidence.elsewhere
    )
    return Verdict(WORD_OF[kind], sentence)


def _kind(evidence: NameEvidence, low: float) -> str:
    """The kind of the sentence; `low`: the share of its images that surely show the word."""
    if low <= evidence.elsewhere:
        return "as_elsewhere"
    if evidence.auc_low <= CHANCE:
        return "not_true"
    if low < MOST_SHOW or evidence.auc_low < CLEAR_WORD:
        return "weak"
    return "reliable" if low >= NEARLY_ALL_SHOW and evidence.elsewhere <= SELDOM_ELSEWHERE else "useful"
