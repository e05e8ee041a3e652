"""Cases of which a usual run takes a sample, and `PEREGRINE_TESTS=all` every one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")
EVERYTHING = os.environ.get("PEREGRINE_TESTS") == "all"


def sample(cases: Sequence[T], n: int) -> list[T]:
    """The first `n` of several cases that run the same code, or all of them."""
    return list(cases) if EVERYTHING else list(cases)[:n]


def pairs_of(one: Sequence[T], other: Sequence[U]) -> list[tuple[T, U]]:
    """Each case of `one` with one of `other`, which take turns; or every pair."""
    if EVERYTHING:
        return [(a, b) for a in one for b in other]
    return [(a, other[at % len(other)]) for at, a in enumerate(one)]
