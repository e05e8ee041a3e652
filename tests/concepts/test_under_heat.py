"""Where words are seen: the shares over crops against a loop, and cases made by hand."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from core.concepts.naming import crop_mass, shares_under_heat

CAPTIONS = [[("cat", "word")], [("cat", "word"), ("grass", "word")], [("grass", "word")], []]
WORDS = ["cat", "grass", "never"]


def slow_shares(codes, cosine, crops, temperature):
    """For each word, count the crops on which captions that hold it have half of the softmax."""
    shares = []
    for word in WORDS:
        seen = 0
        for crop in crops:
            powers = [np.exp(temperature * value) for value in cosine[crop]]
            held = [word in dict(CAPTIONS[code]) for code in codes[crop]]
            seen += sum(power for power, has in zip(powers, held, strict=True) if has) >= 0.5 * sum(powers)
        shares.append(seen / len(crops))
    return shares


def test_shares__match_loop(rng):
    codes = rng.integers(0, len(CAPTIONS), (40, 5))
    cosine = rng.uniform(0.2, 0.6, codes.shape)
    mass = crop_mass(codes, cosine, cosine, CAPTIONS, temperature=20.0)
    for crops in (np.arange(40), np.array([3, 3, 7]), np.arange(5, 25)):
        expected = slow_shares(codes, cosine, crops, 20.0)
        assert_allclose(shares_under_heat(mass, crops, WORDS), expected)
        assert 0 < expected[0] < 1 and expected[2] == 0


def test_shares__without_crops_are_not_known():
    mass = crop_mass(np.zeros((1, 1), int), np.ones((1, 1)), np.ones((1, 1)), CAPTIONS, temperature=1.0)
    assert np.isnan(shares_under_heat(mass, np.empty(0, int), WORDS)).all()


def test_a_captioner__weighs_by_its_own_scores():
    nothing = np.full((2, 2), np.nan)
    mass = crop_mass(np.array([[0, 2], [0, -1]]), nothing, np.array([[1.0, 3.0], [0.2, 0.0]]), CAPTIONS,
                     temperature=20.0)  # fmt: skip
    assert_allclose(shares_under_heat(mass, np.arange(2), WORDS), [0.5, 0.5, 0.0])
