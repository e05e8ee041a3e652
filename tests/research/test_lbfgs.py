"""The readout by L-BFGS: against the minimum of the penalised loss, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from core.errors import SettingsError, ShapeError
from core.research.shortcuts_readout import lbfgs_accuracy


def test_lbfgs_accuracy__is_that_of_the_penalised_loss_written_out(rng):
    centres = rng.normal(size=(3, 4))
    codes = rng.integers(0, 3, 160)
    raw = centres[codes] + 1.2 * rng.normal(size=(160, 4))

    def loss(flat: np.ndarray) -> float:
        weights, bias = flat[:12].reshape(3, 4), flat[12:]
        total = (weights**2).sum() / 2  # C = 1
        for row, code in zip(raw[:100], codes[:100], strict=True):
            logits = weights @ row + bias
            total += math.log(np.exp(logits).sum()) - logits[code]
        return total

    best = minimize(loss, np.zeros(15), method="L-BFGS-B").x
    logits = raw[100:] @ best[:12].reshape(3, 4).T + best[12:]
    expected = (logits.argmax(1) == codes[100:]).mean()
    assert 0.4 < expected < 1
    accuracy = lbfgs_accuracy(raw[:100], codes[:100], raw[100:], codes[100:])
    assert accuracy == pytest.approx(expected, abs=1 / 60)  # a row on the border may fall either way


def test_lbfgs_accuracy__undefined_and_refused(rng):
    raw, codes = rng.normal(size=(10, 2)), np.arange(10) % 2
    assert math.isnan(lbfgs_accuracy(raw, codes, raw[:0], codes[:0]))
    with pytest.raises(SettingsError, match="classes"):
        lbfgs_accuracy(raw, 0 * codes, raw, codes)
    with pytest.raises(ShapeError):
        lbfgs_accuracy(raw, codes[1:], raw, codes)
