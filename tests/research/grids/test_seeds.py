"""Arms over seeds: paired differences and summaries."""

from __future__ import annotations

import pandas as pd
import pytest

from core.research.grids.seeds import paired_difference, summarise_arms


def test_paired_difference__removes_what_seeds_share(rng):
    shared = {seed: float(rng.normal(0, 100)) for seed in range(6)}
    one = {seed: value + 1 for seed, value in shared.items()}
    difference = paired_difference(one, shared | {9: 0.0})
    assert difference.n == 6 and difference.mean == pytest.approx(1) and difference.std < 1e-9


def test_summarise_arms__compares_each_arm_with_its_own_baseline():
    table = pd.DataFrame(
        [("a", 0, 1.0), ("b", 0, 3.0), ("a", 1, 2.0), ("b", 1, 7.0), ("c", 1, 0.0)],
        columns=["arm", "seed", "top1"],
    )
    summaries = summarise_arms(table, ["top1", "gone"], baseline={"b": "a", "c": "b"}.get)
    assert list(summaries) == ["a", "b", "c"] and summaries["a"]["top1"][1] is None
    assert summaries["b"]["top1"][0].values == (3.0, 7.0)
    differences = [summaries[arm]["top1"][1] for arm in "bc"]
    assert [one and one.values for one in differences] == [(2.0, 5.0), (-7.0,)]
    assert summaries["b"]["gone"][0].values == ()
