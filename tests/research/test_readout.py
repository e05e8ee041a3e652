"""What is read out of encoders trained on images with known factors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import normalize

from core.research.shortcuts_readout import (
    Factor,
    info_nce_of_views,
    lbfgs_accuracy,
    probe_accuracy,
    read_factors,
)
from tests.training import reference


@pytest.mark.parametrize("accuracy", [probe_accuracy, lbfgs_accuracy])
def test_read_factors__find_what_is_there_and_only_that(accuracy):
    rng = np.random.default_rng(0)
    levels = {name: rng.integers(0, 5, 600) for name in ("shape", "colour")}
    raw = np.concatenate([3 * np.eye(5)[levels["shape"]], rng.normal(size=(600, 5))], 1).astype(np.float32)
    factors = {name: Factor(codes[:400], codes[400:]) for name, codes in levels.items()}
    found = read_factors({"train": raw[:400], "val": raw[400:]}, factors, accuracy)
    assert found["shape"] == 1.0 and found["colour"] < 0.35
    assert found["mean"] == pytest.approx((found["shape"] + found["colour"]) / 2)


def test_info_nce_of_views__matches_a_loop_over_batches():
    generator = torch.Generator().manual_seed(0)
    one, two = (normalize(torch.randn(7, 4, generator=generator), dim=1) for _ in range(2))
    losses, counts = [], []
    for rows in (range(0, 3), range(3, 6)):  # the seventh image is alone in its batch
        for own, other in ((one, two), (two, one)):
            positive = [float(own[i] @ other[i]) for i in rows]
            negatives = [
                [float(own[i] @ view[j]) for view in (one, two) for j in rows if j != i] for i in rows
            ]
            losses.append(reference.info_nce(positive, negatives, 0.5))
            counts.append(len(rows))
    assert_allclose(info_nce_of_views(one, two, batch=3), np.average(losses, weights=counts), rtol=1e-6)
    assert math.isnan(info_nce_of_views(one[:1], two[:1]))
