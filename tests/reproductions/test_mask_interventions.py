"""Noise in a region, and the accuracy of altered pictures, against loops and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from reproductions.mask_interventions import row_of, with_noise


def test_noise__matches_a_loop_over_pixels(rng):
    pictures = rng.integers(0, 256, (2, 4, 5, 3)).astype(np.uint8)
    masks, noise = rng.random((2, 4, 5)), rng.normal(size=(2, 4, 5, 3))
    expected = np.zeros(pictures.shape)
    for image, y, x, channel in np.ndindex(pictures.shape):
        value = pictures[image, y, x, channel] / 255 + 0.3 * noise[image, y, x, channel] * masks[image, y, x]
        expected[image, y, x, channel] = round(255 * min(max(value, 0.0), 1.0))
    noisy = with_noise(pictures, masks, noise, 0.3)
    assert noisy.dtype == np.uint8 and np.abs(noisy - expected).max() <= 1  # float32 rounds another way


def test_noise__leaves_what_lies_outside_the_mask(rng):
    pictures = rng.integers(0, 256, (1, 6, 6, 3)).astype(np.uint8)
    masks = np.zeros((1, 6, 6))
    masks[:, :3] = 1
    noisy = with_noise(pictures, masks, rng.normal(size=pictures.shape), 0.5)
    assert_array_equal(noisy[:, 3:], pictures[:, 3:])
    assert (noisy[:, :3] != pictures[:, :3]).mean() > 0.8


def test_row__by_hand():
    before, right = np.array([True, True, True, False]), np.array([True, False, False, False])
    row = row_of("noise, core", 0.25, before, right)
    assert (row["n"], row["accuracy"], row["change"]) == (4, 0.25, -0.5)
    assert row["low"] == pytest.approx(0.0456, abs=1e-4) and row["high"] == pytest.approx(0.6994, abs=1e-4)
    assert row["change_low"] == -1.0  # Student's interval ends where no change can be
