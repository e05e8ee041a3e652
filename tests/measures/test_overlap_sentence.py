"""The sentence under the scale of mIoU: every case, and that it can be read off the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.measures.overlap import (
    ABOVE,
    AGAINST_BLOB,
    ALONE,
    BELOW,
    EVEN,
    PREFERENCES,
    TOO_FEW,
    overlap_sentence,
)

PLACES = {ABOVE: 0.5, EVEN: 0.3, BELOW: 0.1}  # of the encoder, where a uniform heatmap has 0.3


def scale(*, core: float = np.nan, spurious: float = np.nan, uniform=0.3, blob=0.4, half=0.05, reason=""):
    """A scale with the encoder at these values."""
    rows = []
    for mask, value in (("core", core), ("spurious", spurious)):
        ends = (value - half, value + half)
        rows.append((mask, "encoder", value, *ends, reason))
        rows += [(mask, "uniform", uniform, 0, 1, ""), (mask, "centre", blob, 0, 1, "")]
    return pd.DataFrame(rows, columns=["mask", "heatmap", "value", "low", "high", "reason"])


@pytest.mark.parametrize(("core", "spurious"), PREFERENCES)
def test_every_pair_of_sides(core, spurious):
    said = overlap_sentence(scale(core=PLACES[core], spurious=PLACES[spurious], blob=0.5))
    expected = PREFERENCES[core, spurious]
    prefers = core == ABOVE and spurious != ABOVE
    assert said == expected + (AGAINST_BLOB[EVEN] if prefers else "") + "."


def test_the_embedded_study():
    found = overlap_sentence(scale(core=0.36, spurious=0.22, uniform=0.3, blob=0.497, half=0.01))
    assert found == PREFERENCES[ABOVE, BELOW] + AGAINST_BLOB[BELOW] + "."


@pytest.mark.parametrize(("blob", "side"), [(0.4, ABOVE), (0.47, EVEN), (0.56, BELOW)])
def test_blob_in_the_centre(blob, side):
    found = overlap_sentence(scale(core=0.5, spurious=0.1, blob=blob))
    assert found == PREFERENCES[ABOVE, BELOW] + AGAINST_BLOB[side] + "."


def test_blob_that_is_not_known__is_not_spoken_of():
    found = overlap_sentence(scale(core=0.5, spurious=0.1, blob=np.nan))
    assert found == PREFERENCES[ABOVE, BELOW] + "."


@pytest.mark.parametrize("side", [ABOVE, EVEN, BELOW])
def test_only_one_kind_of_mask(side):
    core = overlap_sentence(scale(core=PLACES[side], blob=0.9))
    assert core == ALONE["core"][side] + (AGAINST_BLOB[BELOW] if side == ABOVE else "") + "."
    spurious = overlap_sentence(scale(spurious=PLACES[side]))
    assert spurious == ALONE["spurious"][side] + "."


def test_an_end_of_the_interval_on_the_control_is_even():
    assert overlap_sentence(scale(core=0.35, spurious=0.25)) == PREFERENCES[EVEN, EVEN] + "."


def test_one_image__is_too_few():
    assert overlap_sentence(scale(core=0.5, spurious=0.1, half=np.nan)) == TOO_FEW


def test_no_controls():
    assert "control" in overlap_sentence(scale(core=0.5, spurious=0.1, uniform=np.nan))


def test_nothing_is_known__says_why():
    found = overlap_sentence(scale(reason="the slice has no images"))
    assert found.count("the slice has no images") == 1
    assert "None" not in overlap_sentence(scale().iloc[:0]) != found
