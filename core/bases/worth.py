"""What the latents of each basis of a study are worth: its numbers, and the verdict on them. No torch."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.bases.basis import Basis, latents_table
from core.common.verdicts.dictionaries import DictionaryEvidence, judge_dictionary
from core.common.verdicts.words import ALIKE, Verdict
from core.reader import StudyReader

CONTROLS = ("random", "pca", "kmeans")  # kinds that a dictionary has to beat: they are not judged


def dictionary_verdicts(study: StudyReader, bases: Mapping[str, Basis]) -> dict[str, Verdict]:
    """Return the verdict on each learned or loaded basis, by name.

    Args:
        bases: all bases of the study, as `bases_of`.
    """
    learned = {name: one for name, one in bases.items() if one.kind not in CONTROLS}
    return {name: judge_dictionary(_evidence(study, one, bases)) for name, one in learned.items()}


def bases_report(study: StudyReader, bases: Mapping[str, Basis]) -> list[dict[str, Any]]:
    """Return what commands say of each basis: its facts, words and notes, and the verdict, if it has one.

    verdict: one of the four words, None without one. verdict_record: its sentence with the numbers.
    """
    judged = dictionary_verdicts(study, bases)
    report = []
    for name, one in bases.items():
        worth = judged.get(name)
        record = {"verdict": (worth and worth.word) or None, "verdict_record": worth and worth.as_json()}
        notes = [*([worth.sentence] if worth else []), *one.notes]
        report.append({**one.facts, "words": one.words, "notes": notes, **record})
    return report


def explained(basis: Basis) -> float:
    """R2 of evaluation images, where there are any; NaN without variation."""
    held_out, r2 = basis.card.get("r2_val"), basis.card.get("r2")
    value = r2 if held_out is None else held_out
    return math.nan if value is None else float(value)


def explained_by_random(basis: Basis, bases: Mapping[str, Basis]) -> float:
    """R2 of random directions: measured with the basis, else that of a basis of them; NaN where unknown."""
    if (measured := basis.card.get("r2_random")) is not None:
        return float(measured)
    on = basis.card.get("on")
    alike = [explained(one) for one in bases.values() if one.kind == "random" and one.card.get("on") == on]
    return max(alike, default=math.nan)


def _evidence(study: StudyReader, basis: Basis, bases: Mapping[str, Basis]) -> DictionaryEvidence:
    n_alive, n_again = _found_again(study, basis)
    by_random = explained_by_random(basis, bases)
    return DictionaryEvidence(basis.name, explained(basis), by_random, n_alive, n_again)


def _found_again(study: StudyReader, basis: Basis) -> tuple[int, int | None]:
    """The latents that are not dead, and those of them that another run finds again; 0, None of one run."""
    if basis.card.get("stability") is None:
        return 0, None
    if (n_again := basis.card.get("n_again")) is not None:
        return int(basis.card["n_alive"]), int(n_again)
    table = latents_table(study, basis)  # of an older study
    stable = table.loc[~table["dead"].to_numpy(bool), "stability"].to_numpy(np.float64)
    return len(stable), int(np.count_nonzero(stable >= ALIKE))
