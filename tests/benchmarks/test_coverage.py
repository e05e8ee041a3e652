"""The simulation of coverage: its populations are what they say, and too narrow an interval is noticed."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import bench_coverage
from core.measures.metrics import auroc


@pytest.mark.parametrize("area", bench_coverage.AREAS)
def test_sample__has_the_accuracy_and_the_auroc_of_its_population(rng, area):
    score, correct = bench_coverage.sample(rng, 200_000, 0.8, area)
    assert abs(correct.mean() - 0.8) < 0.005 and abs(auroc(score, correct) - area) < 0.005


def test_populations__eight_errors_are_expected_of_each():
    assert all(n * (1 - accuracy) >= 8 - 1e-9 for n, accuracy in bench_coverage.ACCURACY.items())


def test_run__a_point_covers_nothing_and_everything_covers_all(monkeypatch):
    point = ("point", 20, lambda rng, n, accuracy, area: (area - 0.01, area - 0.01, area))
    whole = ("whole", 20, lambda rng, n, accuracy, area: (0.0, 1.0, area))
    newcombe = ("AUROC", 100, bench_coverage.auroc)
    monkeypatch.setattr(bench_coverage, "MEASURES", (point, whole, newcombe))
    monkeypatch.setattr(bench_coverage, "ACCURACY", {25: 0.68})
    found = [result.value for result in bench_coverage.run()]
    assert found[:2] == [95.0, 5.0] and found[2] < 8


def test_auroc__is_as_wide_as_its_population_needs(rng):
    ends = np.array([bench_coverage.auroc(rng, 60, 0.86, 0.9) for _ in range(50)])
    assert ((ends[:, 1] - ends[:, 0]) > 0.1).all()
