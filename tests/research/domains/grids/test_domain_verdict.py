"""The sentences that the protocols of disentangling define, on written tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.research.domains.grids.domain_verdict import (
    closed_gap,
    clustering_verdict,
    domain_verdict,
    gap_sentence,
    lost_lead,
    seen_differences,
    unseen_style,
)
from core.research.domains.grids.styles import domain_verdicts
from tests.research.domains.grids.written_domains import ARM, BASE, cells, tinted


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "works"),
        ({"gain": 0.0}, "no use"),
        ({"seen": -0.03}, "costs"),
        ({"rest": -0.1}, "fails"),
        ({"mlp": 0.85, "wasserstein": 0.001}, "fails"),
        ({"mlp": 0.85}, "unclear"),
        ({"gain": 0.0, "rest": -0.1}, "fails"),
        ({"n_seeds": 3}, "too few"),
    ],
)
def test_verdict__is_that_of_the_protocol(changes, outcome):
    table = cells(**{"n_seeds": 5, **changes})
    found = domain_verdict(table, ARM, BASE)
    assert found.outcome == outcome and "\n" not in found.sentence
    assert found.sentence.startswith("Not enough runs to tell") == (outcome == "too few")


def test_verdict__counts_seeds_and_says_where_there_is_no_lead():
    assert "(1 seed)" in domain_verdict(cells(n_seeds=1), ARM, BASE).sentence
    found = domain_verdict(cells(n_seeds=3), ARM, BASE)
    assert "lead over the base rate fell by" in found.sentence and "(3 seeds)" in found.sentence
    blind = cells(n_seeds=3)
    blind["domain_mlp_rest"] = blind["base_rate"]
    sentence = domain_verdict(blind, ARM, BASE).sentence
    assert "The baseline's MLP has no lead over the base rate;" in sentence and "nan" not in sentence
    for distance in (0.5, 0.001):  # with a critic that sees something, or nothing
        blind = cells(n_seeds=5, wasserstein=distance)
        found = domain_verdict(blind.assign(domain_mlp_rest=blind["base_rate"]), ARM, BASE)
        assert found.outcome == "unclear" and found.sentence.startswith("There is nothing to remove. The")


def test_verdict__numbers_by_hand():
    table = cells(gain=0.04, mlp=0.45)
    assert lost_lead(table, ARM, BASE) == pytest.approx(1 - (0.45 - 1 / 3) / (0.9 - 1 / 3))
    assert unseen_style(table) == "pastel"
    assert seen_differences(table, ARM, BASE) == pytest.approx({"plain": 0.0, "sketch": 0.0})
    flat = table.assign(domain_mlp_rest=1 / 3)
    assert np.isnan(lost_lead(flat, ARM, BASE))  # no lead to lose
    lost, more = (domain_verdict(cells(mlp=mlp), ARM, BASE).sentence for mlp in (0.45, 0.95))
    said = "The MLP's lead over the base rate"
    assert f"{said} fell by 79 %" in lost and f"{said} grew by 9 %" in more


def test_unseen_style__is_the_one_named_even_where_another_has_its_accuracy():
    table = cells().assign(top1_own_plain_all=lambda rows: rows["top1_own_pastel_all"])
    assert unseen_style(table) == "plain"  # by its values: the first that fits
    assert unseen_style(table.assign(unseen="pastel")) == "pastel"


@pytest.mark.parametrize(
    ("kept", "gain", "said"), [(0.8, 0.02, "help:"), (0.6, 0.02, "do not help:"), (0.8, 0.0, "do not help:")]
)
def test_clustering_verdict__needs_purer_rows_and_a_gain(kept, gain, said):
    table = cells(gain=0.0)
    plain = table[table["arm"] == BASE].assign(arm="simclr-on-kmeans")
    own = table[table["arm"] == ARM].assign(arm="simclr-on-robust", first_purity_kept=kept)
    own["first_purity_dropped"] = 0.6 + 0.01 * own["seed"] / 5
    for style in ("plain", "sketch"):
        own[f"top1_own_{style}_all"] += gain
    both = pd.concat([plain, own])
    sentence = clustering_verdict(both, "simclr-on-robust", "simclr-on-kmeans")
    assert said in sentence and "\n" not in sentence
    assert "not enough runs" in clustering_verdict(
        both.loc[both["seed"].to_numpy() < 3].reset_index(drop=True), "simclr-on-robust", "simclr-on-kmeans"
    )
    (last,) = domain_verdicts({"domains": []}, both)
    assert last == f"simclr-on-robust: {sentence}"


def test_domain_verdicts__are_in_the_table_of_the_grid():
    (said,) = domain_verdicts({"domains": ["baseline", "ddm"]}, cells())
    assert said.startswith(f"{ARM}: Works: the domain leaves the rest")


def test_closed_gap__by_hand_and_undefined():
    few = closed_gap(tinted(), "two-tints-ddm")
    assert few is not None and few.value == pytest.approx(0.5) and np.isnan(few.low)
    said = gap_sentence(tinted(), "two-tints-ddm")
    assert said == "two-tints-ddm: closed gap 0.50 (not enough runs to tell)."
    assert closed_gap(tinted(one=0.805), "two-tints-ddm") is None
    assert gap_sentence(tinted(one=0.805), "two-tints-ddm") == (
        "two-tints-ddm: closed gap undefined, two tints cost less than a point."
    )
    table = tinted()
    without = table.loc[table["arm"] != "one-tint"]  # --arms may leave it out
    assert gap_sentence(without, "two-tints-ddm") == (
        "two-tints-ddm: closed gap undefined, it takes the arms one-tint and two-tints."
    )


def test_closed_gap__is_the_ratio_of_means_and_not_the_mean_of_ratios():
    """A seed in which two tints cost little has a large ratio, and would decide a mean of ratios."""
    two, one = (0.30, 0.30, 0.30, 0.30, 0.30), (0.37, 0.36, 0.38, 0.37, 0.32)
    arm = (0.20, 0.19, 0.21, 0.20, 0.20)
    arms = {"one-tint": one, "two-tints": two, "two-tints-ddm": arm}
    rows = [(name, seed, value) for name, values in arms.items() for seed, value in enumerate(values)]
    gap = closed_gap(pd.DataFrame(rows, columns=["arm", "seed", "seen_seen_all"]), "two-tints-ddm")
    assert gap is not None and gap.value == pytest.approx(-0.50 / 0.30)
    assert gap.low < gap.value < gap.high < 0
