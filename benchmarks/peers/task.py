"""One thing that Peregrine and a peer both compute, from the same arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.peers.environment import Peer

Inputs = Mapping[str, np.ndarray]
Side = Callable[[Inputs], Callable[[], np.ndarray]]


@dataclass(frozen=True)
class Task:
    """A comparison.

    Attributes:
        name: in the table.
        make: inputs of both sides; True: so few that a test can run it.
        ours, theirs: prepare (import, load) and return what is timed.
        gap: how far the two results lie apart, and what is said beside it.
        tolerance: the largest gap of results that should be equal; None where they should not be.
    """

    name: str
    peer: Peer
    make: Callable[[bool], dict[str, np.ndarray]]
    ours: Side
    theirs: Side
    gap: Callable[[Inputs, np.ndarray, np.ndarray], tuple[float, str]]
    tolerance: float | None


def largest_difference(inputs: Inputs, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, str]:
    """Gap of two arrays of the same numbers."""
    return float(np.abs(ours - theirs).max()), f"largest difference of {ours.size:,} numbers"


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to length 1, in float32."""
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
