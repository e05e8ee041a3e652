"""The sentence under the scale of mIoU: every case, and that it can be read off the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.slices.inspection.overlap_sentence import ABOVE, BELOW, EVEN, PREFERENCES, overlap_sentence

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
    assert said == expected + (", about as much as a blob in the centre would." if prefers else ".")


def test_the_embedded_study():
    found = overlap_sentence(scale(core=0.36, spurious=0.22, uniform=0.3, blob=0.497, half=0.01))
    assert found == (
        "Heatmaps prefer the object to the background, but less than a blob in the centre would."
    )


@pytest.mark.parametrize(
    ("blob", "words"), [(0.4, "and more than"), (0.47, "about as much as"), (0.56, "but less than")]
)
def test_blob_in_the_centre(blob, words):
    found = overlap_sentence(scale(core=0.5, spurious=0.1, blob=blob))
    assert found.endswith(f", {words} a blob in the centre would.")


def test_blob_that_is_not_known__is_not_spoken_of():
    found = overlap_sentence(scale(core=0.5, spurious=0.1, blob=np.nan))
    assert found == "Heatmaps prefer the object to the background."


@pytest.mark.parametrize(
    ("side", "words"), [(ABOVE, "more than"), (EVEN, "no more than"), (BELOW, "less than")]
)
def test_only_one_kind_of_mask(side, words):
    core = overlap_sentence(scale(core=PLACES[side], blob=0.9))
    assert core.startswith(f"Heatmaps lie on the object {words} a uniform heatmap would")
    assert ("centre" in core) == (side == ABOVE)
    spurious = overlap_sentence(scale(spurious=PLACES[side]))
    assert spurious == f"Heatmaps lie on the background {words} a uniform heatmap would."


def test_an_end_of_the_interval_on_the_control_is_even():
    assert "neither" in overlap_sentence(scale(core=0.35, spurious=0.25))


def test_one_image__is_too_few():
    assert overlap_sentence(scale(core=0.5, spurious=0.1, half=np.nan)).endswith(
        "too few to say where heatmaps lie."
    )


def test_no_controls():
    assert "no control heatmaps are stored" in overlap_sentence(scale(core=0.5, spurious=0.1, uniform=np.nan))


def test_nothing_is_known__says_why():
    found = overlap_sentence(scale(reason="the slice has no images"))
    assert found == "Where heatmaps lie is not known: the slice has no images."
    assert overlap_sentence(scale().iloc[:0]).endswith("no image has both a heatmap and a mask.")
