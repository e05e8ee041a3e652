"""What the latents of a basis are worth, and the verdict on them (docs/method.md 2.10). No torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.bases.basis import Basis, latents_table
from core.common.records import Record, Templates
from core.common.verdict_words import (
    ALIKE,
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
from core.study.reader import StudyReader

# What a dictionary's latents are worth, in one of four words (docs/method.md 2.10).


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
    """Judge what a basis learned as a dictionary is worth, by the rule of docs/method.md 2.10.

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


# What the latents of each basis of a study are worth: its numbers, and the verdict on them. No torch.


CONTROLS = ("random", "pca", "kmeans")  # kinds that a dictionary has to beat: they are not judged


def dictionary_verdicts(study: StudyReader, bases: Mapping[str, Basis]) -> dict[str, Verdict]:
    """Return the verdict on each learned or loaded basis, by name.

    Args:
        bases: all bases of the study, as `bases_of`.
    """
    learned = {name: basis for name, basis in bases.items() if basis.kind not in CONTROLS}
    return {name: judge_dictionary(_evidence(study, one, bases)) for name, one in learned.items()}


def bases_report(study: StudyReader, bases: Mapping[str, Basis]) -> list[dict[str, Any]]:
    """Return what commands say of each basis: its facts, words and notes, and the verdict, if it has one.

    verdict: one of the four words, None without one. verdict_record: its sentence with the numbers.
    """
    judged = dictionary_verdicts(study, bases)
    report = []
    for name, basis in bases.items():
        worth = judged.get(name)
        record = {"verdict": (worth and worth.word) or None, "verdict_record": worth and worth.as_json()}
        notes = [*([worth.sentence] if worth else []), *basis.notes]
        report.append({**basis.facts, "words": basis.words, "notes": notes, **record})
    return report


def explained(basis: Basis) -> float:
    """R2 of a basis on evaluation images, where there are any; NaN without variation."""
    held_out, r2 = basis.card.get("r2_val"), basis.card.get("r2")
    value = r2 if held_out is None else held_out
    return math.nan if value is None else float(value)


def explained_by_random(basis: Basis, bases: Mapping[str, Basis]) -> float:
    """R2 of random directions, with which that of a basis is compared; NaN where unknown."""
    if (measured := basis.card.get("r2_random")) is not None:
        return float(measured)
    on = basis.card.get("on")
    alike = [explained(one) for one in bases.values() if one.kind == "random" and one.card.get("on") == on]
    return max(alike, default=math.nan)


def _evidence(study: StudyReader, basis: Basis, bases: Mapping[str, Basis]) -> DictionaryEvidence:
    n_alive, n_again = found_again(study, basis)
    by_random = explained_by_random(basis, bases)
    return DictionaryEvidence(basis.name, explained(basis), by_random, n_alive, n_again)


def found_again(study: StudyReader, basis: Basis) -> tuple[int, int | None]:
    """Count the latents that are not dead, and those of them that another run finds again (|cosine| of
    `ALIKE` or more); 0, None of one run.
    """
    if basis.card.get("stability") is None:
        return 0, None
    if (n_again := basis.card.get("n_again")) is not None:
        return int(basis.card["n_alive"]), int(n_again)
    table = latents_table(study, basis)  # of an older study
    stable = table.loc[~table["dead"].to_numpy(bool), "stability"].to_numpy(np.float64)
    return len(stable), int(np.count_nonzero(stable >= ALIKE))
