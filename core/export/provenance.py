"""What numbers are of: the study, the answer, the basis and the filter, by name, with every table and run."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from core.answers.answer import PROBE
from core.bases.basis import UNITS
from core.slices.slice import Slice
from core.storage import layers
from core.store import Study


def provenance(study: Study, among: Slice | None = None) -> dict[str, str]:
    """Return what the numbers of a study are of; the filter is "" for all images.

    Args:
        among: the slice that was taken of it, beside one that it is narrowed to.
    """
    of_study: Slice | None = vars(study).get("slice")
    parts: list[Any] = [one for one in (of_study, among) if one]
    basis = study.path.name if study.below is not None else UNITS
    answer = study.answer.name if study.answer else PROBE
    return {
        "study": layers.name_of(study.below or study.path),
        "answer": answer,
        "basis": basis,
        "filter": str(Slice.joined(parts)) if parts else "",
    }


def provenance_of_all(studies: Iterable[Study], among: Slice | None = None) -> dict[str, str]:
    """Return what numbers of several studies are of: each name once, in the order of the studies."""
    each = [provenance(one, among) for one in studies]
    return {name: ", ".join(dict.fromkeys(one[name] for one in each)) for name in each[0]}


def answers_read(*studies: Study) -> tuple[str, ...]:
    """Return the answers by which studies are read, each once."""
    return tuple(dict.fromkeys(provenance(one)["answer"] for one in studies))


def identity(study: Study) -> str:
    """Return what tells the study as it is read from every other one of this machine, without its folder."""
    whole = str((study.below or study.path).resolve())
    return sha256("\0".join([whole, *provenance(study).values()]).encode()).hexdigest()[:16]
