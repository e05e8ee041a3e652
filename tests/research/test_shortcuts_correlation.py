"""Correlations over encoders: against their definition, and what leaves them undefined."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from core.research.shortcuts_correlation import correlation_over_settings


def encoders(rng, n_settings: int = 8, n_seeds: int = 3) -> pd.DataFrame:
    rows = []
    for setting in range(n_settings):
        for seed in range(n_seeds):
            loss = setting + rng.normal(0, 0.1)
            rows.append((f"s{setting}", seed, loss, round(0.9 - 0.05 * loss + rng.normal(0, 0.02), 2)))
    return pd.DataFrame(rows, columns=["arm", "seed", "loss", "top1"])


def test_correlation__is_pearsons_and_spearmans(rng):
    table = encoders(rng)
    table.loc[2, "loss"] = math.nan
    correlation = correlation_over_settings(table, "loss", "top1")
    complete = table.dropna()
    assert correlation.pearson == pytest.approx(
        stats.pearsonr(complete["loss"], 1 - complete["top1"])[0], rel=1e-9
    )
    assert correlation.spearman == pytest.approx(
        stats.spearmanr(complete["loss"], 1 - complete["top1"])[0], rel=1e-9
    )
    assert (correlation.n, correlation.n_settings) == (23, 8)
    assert correlation.low < correlation.pearson < correlation.high and correlation.pearson > 0.9


def test_correlation__repeating_seeds_does_not_narrow_the_interval(rng):
    table = encoders(rng, n_seeds=1)
    table["top1"] += rng.normal(0, 0.2, len(table))
    one = correlation_over_settings(table, "loss", "top1")
    many = correlation_over_settings(pd.concat([table] * 20), "loss", "top1")
    assert (many.low, many.high) == pytest.approx((one.low, one.high), abs=1e-9)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"n_settings": 4}, "4 settings, but it takes 5"),
        ({"loss": 1.0}, "the loss is the same for all encoders"),
        ({"top1": 1.0}, "the error is the same for all encoders"),
    ],
)
def test_correlation__undefined(rng, change, reason):
    table = encoders(rng, change.pop("n_settings", 8)).assign(**change)
    correlation = correlation_over_settings(table, "loss", "top1")
    assert (
        np.isnan([correlation.pearson, correlation.spearman, correlation.low, correlation.high]).all()
        and correlation.reason == reason
    )
