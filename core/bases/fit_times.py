"""How long a basis takes to fit, by what those that a study has took on this machine. No torch."""

from core.bases.basis import Basis, bases_of
from core.bases.kinds import KINDS
from core.study.jobs import seconds_of_step
from core.study.reader import StudyReader


def seconds_per_operation(study: StudyReader, kind: str, on: str, n: int) -> float | None:
    """Return the pace of the largest fit of a basis of a kind whose time a study knows; None without one.

    Args:
        kind: a name in KINDS. on: the vectors, "pooled" or "positions". n: vectors that are learned from.
    Returns:
        seconds for each operation of `BasisKind.fit_operations`.
    """
    width, took = study.array("representations").shape[1], {}
    for basis in bases_of(study).values():
        seconds = seconds_of_step(study.path, basis.step)
        if seconds and (basis.kind, basis.card.get("on")) == (kind, on) and _has_usual_steps(study, basis):
            took[_operations(basis, n, width)] = seconds
    largest = max(took, default=None)
    return None if largest is None else took[largest] / largest


def _has_usual_steps(study: StudyReader, basis: Basis) -> bool:
    return study.settings(basis.step).get("steps") is None


def _operations(basis: Basis, n: int, width: int) -> float:
    """What all of its runs cost."""
    size, k, runs = (int(basis.card.get(part) or 1) for part in ("size", "k", "seeds"))
    return runs * KINDS[basis.kind].fit_operations(n, width, size, k)
