"""The sentences above the figures of grids."""

from __future__ import annotations

from core.research.grids.figures.grid_titles import grouped_by_sign
from core.research.grids.over_seeds import NOT_ENOUGH, over_seeds

HIGHER, FEW = over_seeds([0.1, 0.11, 0.12, 0.1, 0.11]), over_seeds([0.1, 0.2])


def test_grouped_by_sign__leaves_no_difference_out():
    words = {"above": "higher", "below": "lower"}
    assert grouped_by_sign({"a": HIGHER, "b": FEW}, **words) == f"higher: a; {NOT_ENOUGH}: b"
    assert grouped_by_sign({"a": FEW, "b": FEW}, **words) == NOT_ENOUGH
