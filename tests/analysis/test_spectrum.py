"""RankMe and alpha-ReQ against a singular value decomposition, planted spectra, and where undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.analysis.scores import alpha_req, rankme, spectra
from core.errors import ShapeError
from tests import reference

RTOL = 1e-6  # square roots of eigenvalues of a Gram matrix


@pytest.mark.parametrize("shape", [(7, 20), (60, 20), (20, 20)], ids=str)
def test_spectra__equal_numpy(rng, shape):
    raw = rng.gamma(0.3, size=shape).astype(np.float32)
    singular, eigenvalues = spectra(raw)
    assert_allclose(singular, np.linalg.svd(raw.astype(float), compute_uv=False), rtol=RTOL)
    expected = np.linalg.svd(raw - raw.astype(float).mean(0), compute_uv=False) ** 2 / len(raw)
    assert_allclose(eigenvalues, expected, atol=1e-9 * expected.max())
    assert_allclose(rankme(singular), reference.rankme(raw), rtol=RTOL)


def test_rankme__equal_directions_count_and_dead_features_do_not():
    raw = np.hstack([3.0 * np.eye(5), np.zeros((5, 11))])
    assert_allclose(rankme(spectra(raw)[0]), 5.0, rtol=1e-5)  # the paper's 1e-7 adds about 1.6e-6 for each 0
    assert_allclose(rankme(spectra(np.ones((9, 4)))[0]), 1.0, rtol=1e-5)
    assert math.isnan(rankme(spectra(np.zeros((4, 3)))[0]))


def test_rankme__is_the_papers_equation_digit_by_digit():
    """p = 3/4, 1/4 and 0, each plus 1e-7 (Garrido et al. 2023, eq. 1 and 2)."""
    shares = [0.75 + 1e-7, 0.25 + 1e-7, 1e-7]
    expected = math.exp(-sum(p * math.log(p) for p in shares))
    assert_allclose(rankme(np.array([6.0, 2.0, 0.0])), expected, rtol=1e-14)
    assert abs(expected - math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))) > 1e-6  # it is there


def test_rankme__ignores_scale_and_row_order(rng):
    raw = rng.normal(size=(50, 12))
    first = rankme(spectra(raw)[0])
    assert_allclose(rankme(spectra(100.0 * raw[rng.permutation(50)])[0]), first, rtol=RTOL)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_alpha_req__finds_a_planted_exponent(alpha):
    assert_allclose(alpha_req(np.arange(1, 301) ** -alpha), alpha, rtol=RTOL)
    assert_allclose(alpha_req(np.arange(1, 8) ** -alpha), alpha, rtol=RTOL)


def test_alpha_req__undefined_with_one_direction():
    assert math.isnan(alpha_req(spectra(np.outer(np.arange(4.0), np.ones(3)))[1]))
    assert math.isnan(alpha_req(np.zeros(3)))


def test_spectra__wants_a_matrix():
    with pytest.raises(ShapeError, match="shape"):
        spectra(np.ones(3))
