"""What a dictionary's latents are worth, in one of four words (docs/method.md 2.10)."""

import math
from dataclasses import dataclass

from core.common.records import Record, Templates
from core.common.verdicts.words import (
    EXPLAINED,
    OFTEN_AGAIN,
    RELIABLE,
    RELIABLY_AGAIN,
    SELDOM_AGAIN,
    USEFUL,
    USELESS,
    WEAK,
    WELL_EXPLAINED,
    Verdict,
)

_say = Templates.beside(__file__)
WORD_OF = {
    "nothing": USELESS,
    "little": USELESS,
    "as_random": USELESS,
    "seldom_again": USELESS,
    "weak": WEAK,
    "useful": USEFUL,
    "reliable": RELIABLE,
}


@dataclass(frozen=True)
class DictionaryEvidence:
    """What is known of a dictionary; NaN or None where unknown.

    Attributes:
        name: of the basis. explained: R2 on evaluation images, where there are any. by_random: the same of as
            many random directions, of which as many are active. n_alive: latents that are active on an image.
            n_again: those of them that another run finds again (|cosine| of ALIKE or more).
    """

    name: str
    explained: float = math.nan
    by_random: float = math.nan
    n_alive: int = 0
    n_again: int | None = None


def judge_dictionary(evidence: DictionaryEvidence) -> Verdict:
    """Return what the latents of a dictionary are worth, by the rule of docs/method.md 2.10.

    No word without R2, and, of one that explains enough, without random directions or another run.
    """
    kind = _kind(evidence)
    return Verdict(WORD_OF.get(kind, ""), _sentence(kind, evidence))


def _kind(evidence: DictionaryEvidence) -> str:
    if math.isnan(evidence.explained):
        return "nothing_varies"
    if evidence.explained <= 0:
        return "nothing"
    if evidence.explained < EXPLAINED:
        return "little"
    if evidence.explained <= evidence.by_random:
        return "as_random"
    if math.isnan(evidence.by_random):
        return "no_control"
    if evidence.n_again is None or not evidence.n_alive:
        return "once"
    again = evidence.n_again / evidence.n_alive
    if again < SELDOM_AGAIN:
        return "seldom_again"
    if again < OFTEN_AGAIN:
        return "weak"
    is_reliable = again >= RELIABLY_AGAIN and evidence.explained >= WELL_EXPLAINED
    return "reliable" if is_reliable else "useful"


def _sentence(kind: str, evidence: DictionaryEvidence) -> Record:
    return _say(
        kind,
        what=evidence.name,
        value=evidence.explained,
        chance=evidence.by_random,
        n=evidence.n_again,
        of=evidence.n_alive,
    )
