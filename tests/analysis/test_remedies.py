"""Gains of remedies against loops, too few images, outcomes, and what is best."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.analysis import remedies
from core.analysis.remedies import (
    HeadAnswers,
    Judged,
    compare_heads,
    next_step,
    remedies_finding,
    remedy_name,
    remedy_sentence,
)
from core.analysis.remedy_recipes import best_temperature
from core.common.step_facts import RemediesFacts
from tests import reference
from tests.sentences import as_record, numbers

N = 60


def answers(rng: np.random.Generator, truth: np.ndarray, share: float) -> HeadAnswers:
    """Right on a share of the images, each with a confidence and a loss."""
    predicted = np.where(rng.random(len(truth)) < share, truth, (truth + 1) % 3)
    return HeadAnswers(predicted, rng.uniform(0.34, 1, len(truth)), rng.exponential(size=len(truth)))


@pytest.fixture
def two(rng) -> tuple[Judged, HeadAnswers, HeadAnswers]:
    truth = rng.integers(0, 3, N)
    judged = Judged(truth, np.repeat(np.arange(N // 2), 2), rng.random(N) < 0.3, truth == 1)
    return judged, answers(rng, truth, 0.6), answers(rng, truth, 0.8)


def test_compared__is_the_slow_twin(two):
    judged, before, after = two
    numbers = compare_heads(judged, before, after, resamples=300, seed=3)
    was, now = (judged.right(one).tolist() for one in (before, after))
    expected = reference.remedy_gain(was, now, judged.units.tolist(), 300, 3)
    assert_allclose([numbers[name] for name in ("gain", "low", "high")], expected, atol=1e-12)
    assert numbers["mended"] == sum(b and not a for a, b in zip(was, now, strict=True))
    assert numbers["broken"] == sum(a and not b for a, b in zip(was, now, strict=True))
    assert numbers["n"] == N and numbers["accuracy"] == np.mean(now)
    for mask, name in ((judged.in_slice, "worst_slice_gain"), (judged.in_class, "worst_class_gain")):
        assert_allclose(numbers[name], np.mean(np.array(now)[mask]) - np.mean(np.array(was)[mask]))
    assert_allclose(numbers["log_loss_gain"], np.mean(before.log_loss) - np.mean(after.log_loss))
    errors = [
        reference.calibration_error(one.confidence.tolist(), right)
        for one, right in ((before, was), (after, now))
    ]
    assert_allclose(numbers["calibration_gain"], errors[0] - errors[1])


def test_compared__by_hand():
    truth, units = np.zeros(4, int), np.arange(4)
    judged = Judged(truth, units, np.array([1, 1, 0, 0], bool), np.zeros(4, bool))
    before = HeadAnswers(np.array([0, 1, 1, 1]), np.ones(4), np.ones(4))
    after = HeadAnswers(np.array([1, 0, 0, 1]), np.ones(4), np.zeros(4))
    numbers = compare_heads(judged, before, after)
    assert numbers["gain"] == 0.25 and numbers["mended"] == 2 and numbers["broken"] == 1
    assert numbers["worst_slice_gain"] == 0 and np.isnan(numbers["worst_class_gain"])
    assert numbers["log_loss_gain"] == 1 and numbers["log_loss_low"] == 1
    assert numbers["calibration_gain"] == 0.25  # all are sure, 3 and 2 of 4 are wrong


def test_compared__of_a_head_with_itself_is_0(two):
    judged, before, _ = two
    numbers = compare_heads(judged, before, before, resamples=50)
    assert all(numbers[name] == 0 for name in remedies.MEANS)
    assert (numbers["low"], numbers["high"]) == (0, 0)


def test_compared__does_not_depend_on_the_order_of_images(two, rng):
    judged, before, after = two
    order = rng.permutation(N)
    moved = Judged(*(part[order] for part in vars(judged).values()))
    first = compare_heads(judged, before, after, resamples=200)
    second = compare_heads(moved, before.of(order), after.of(order), resamples=200)
    assert_allclose(list(first.values()), list(second.values()), atol=1e-12)


@pytest.mark.parametrize(
    ("mended", "broken", "low", "high", "expected"),
    [
        (5, 2, 0.1, 0.2, remedies.TOO_FEW),
        (6, 2, 0.1, 0.2, remedies.GAINS),
        (2, 6, -0.2, -0.1, remedies.LOSES),
        (5, 5, -0.1, 0.1, remedies.NO_DIFFERENCE),
        (8, 0, 0.0, 0.1, remedies.NO_DIFFERENCE),
    ],
)
def test_outcome(mended, broken, low, high, expected):
    row = {"n": 100, "mended": mended, "broken": broken, "low": low, "high": high}
    assert remedies.outcome_of("slices", row) == expected


def table_of(*rows: tuple[str, float, float, int]) -> pd.DataFrame:
    return remedies.remedy_table(
        [
            remedies.remedy_row(
                name,
                {"gain": gain, "low": low, "high": 1.0, "mended": n, "broken": 0, "n": 100}
                | {"log_loss_gain": gain, "log_loss_low": low, "log_loss_high": 1.0},
            )
            for name, gain, low, n in rows
        ]
    )


def test_best__of_those_that_gain():
    table = table_of(("refit", 0.5, 0.4, 50), ("slices", 0.1, 0.05, 10), ("balanced", 0.2, -0.1, 20),
                     ("corrected", 0.3, 0.1, 7), ("temperature", 0.9, 0.8, 0))  # fmt: skip
    assert remedies.best_remedy(table) == "slices"
    assert remedies_finding(table).kind == "best" and remedies_finding(table).value == pytest.approx(10)
    assert remedies.best_remedy(table.iloc[2:]) == "temperature"
    assert remedies_finding(table.iloc[2:]).what == remedy_name("temperature")
    assert remedies.best_remedy(table.iloc[2:3]) == "" and remedies_finding(table.iloc[2:3]).kind == "none"
    sentences = [remedy_sentence(row) for row in table.to_dict("records")]
    kinds = [[one.kind, *(part.kind for part in one.parts)] for one in sentences]
    lower = "lower_log_loss"
    assert kinds == [
        ["both", "gains", lower],
        ["both", "gains", lower],
        ["no_difference"],
        ["both", "too_few", lower],
        ["same_answers", lower],
    ]


def test_log_loss__certain_gains_are_told_as_harm_is():
    table = table_of(("refit", 0.9, 0.8, 50), ("corrected", 0.2, -0.1, 13), ("slices", 0.3, -0.1, 13),
                     ("balanced", 0.6, -0.1, 13), ("temperature", -0.1, -0.2, 0))  # fmt: skip
    table["log_loss_low"] = [0.8, 0.1, 0.2, -0.2, -0.2]
    table["log_loss_high"] = [1.0, 0.3, 0.4, 1.0, -0.05]
    table["outcome"] = [remedies.outcome_of(one["remedy"], one) for one in table.to_dict("records")]
    finding = remedies_finding(table)
    assert (finding.kind, finding.what) == ("best_confidence", remedy_name("slices"))
    assert numbers(finding) == ["0.300", "0.200", "0.400"]
    rows = table.iloc[1:].to_dict("records")
    assert [remedies.moves_log_loss(row) for row in rows] == [True, True, False, True]
    parts = [remedy_sentence(row).parts for row in rows]
    assert [one[-1].kind if one else "" for one in parts] == [
        *("lower_log_loss", "lower_log_loss", "", "higher_log_loss")
    ]
    assert numbers(parts[-1][0]) == ["0.100", "0.050", "0.200"]
    table.loc[2, "outcome"] = remedies.LOSES  # what breaks answers is not recommended for its probabilities
    assert remedies_finding(table).parts[0].what == remedy_name("corrected")


def test_log_loss__a_pair_that_lowers_it_no_further_than_one_alone_is_not_named():
    table = table_of(("refit", 0.0, -0.1, 50), ("corrected", 0.1748, -0.1, 13),
                     ("corrected+balanced", 0.1752, -0.1, 13))  # fmt: skip
    table["log_loss_gain"], table["log_loss_low"], table["log_loss_high"] = [0.0, 0.1748, 0.1752], 0.1, 0.3
    table["outcome"] = remedies.NO_DIFFERENCE
    assert remedies_finding(table).what == remedy_name("corrected")
    table.loc[2, "log_loss_gain"] = 0.1762
    assert remedies_finding(table).what == remedy_name("corrected+balanced")


@pytest.mark.parametrize(
    ("gain", "low", "high", "kind", "shown"),
    [
        (0.05, 0.01, 0.09, "lower_log_loss", ["0.050", "0.010", "0.090"]),
        (-0.05, -0.09, -0.01, "higher_log_loss", ["0.050", "0.010", "0.090"]),
        (0.02, -0.01, 0.05, "lower_by_chance", ["0.020", "0.010", "0.050"]),
        (-0.019, -0.044, 0.008, "higher_by_chance", ["0.019", "0.008", "0.044"]),
        (-0.01, -0.03, 0.0, "higher_by_chance", ["0.010", "0.000", "0.030"]),
    ],
)
def test_log_loss__is_lower_or_higher_by_a_number_above_0(gain, low, high, kind, shown):
    table = table_of(("temperature", 0.0, 0.0, 0))
    table[["log_loss_gain", "log_loss_low", "log_loss_high"]] = [gain, low, high]
    (change,) = remedy_sentence(table.iloc[0].to_dict()).parts
    assert change.kind == kind and numbers(change) == shown


def test_refit__is_compared_with_the_answer_in_use_on_its_own_images():
    table = table_of(("refit", 0.5, 0.4, 50), ("slices", 0.1, 0.05, 10))
    table.loc[0, "n"] = 24
    refit, slices = (remedies.compared_name(row) for row in table.to_dict("records"))
    assert as_record(refit).n == 24 and as_record(refit).what == remedy_name("refit")
    assert slices == remedy_name("slices")
    assert as_record(remedy_sentence(table.iloc[0].to_dict()).parts[0]).what == refit


def test_finding__names_what_does_harm():
    table = table_of(("refit", 0.0, -0.1, 50), ("slices", -0.1, -0.2, 10), ("balanced", 0.2, -0.1, 20),
                     ("without_wrong+slices", -0.1, -0.2, 9), ("temperature", -0.1, -0.2, 0))  # fmt: skip
    table["high"] = [0.1, -0.05, 0.3, -0.05, 0.0]
    table["outcome"] = [remedies.outcome_of(one["remedy"], one) for one in table.to_dict("records")]
    assert remedies.harmful_remedies(table) == ["slices"]  # a pair and temperature are no remedy of answers
    finding = remedies_finding(table)
    assert finding.kind == "harmful" and finding.names == (remedy_name("slices"),)
    assert [one.kind for one in finding.parts] == ["none"]
    table.loc[2, ["outcome", "low"]] = [remedies.GAINS, 0.1]
    finding = remedies_finding(table)
    assert finding.parts[0].kind == "best" and finding.value == pytest.approx(20)


@pytest.mark.parametrize(
    ("facts", "has_issues", "kind"),
    [
        (RemediesFacts(worst_class="dog", n_worst_class=20), True, "next_labels"),
        (RemediesFacts(worst_class="dog", n_worst_class=20, n_corrected=3), True, "next_class"),
        (RemediesFacts(worst_class="dog", n_worst_class=20), False, "next_class"),
        (RemediesFacts(), False, "next_encoder"),
    ],
)
def test_next_step__labels_first_then_the_worst_class(facts, has_issues, kind):
    row = ("refit", "a.jpg", "dog", "cat", "cat", remedies.WRONG)
    errors = pd.DataFrame([row], columns=pd.Index(remedies.OF_IMAGES))
    step = next_step(facts, table_of(("slices", 0.1, -0.1, 20)), errors, has_issues=has_issues)
    assert step.kind == kind
    assert (step.what, step.n, step.of) == (("dog", 1, 20) if kind == "next_class" else ("", None, None))


def test_table__of_untried_remedies_counts_nothing():
    table = remedies.remedy_table([remedies.untried_row("balanced", "all classes have as many images")])
    assert list(table.columns) == list(remedies.COLUMNS) and np.isnan(table["gain"].iat[0])
    assert table["n"].iat[0] == 0 and remedies.tried(table).empty
    assert remedy_sentence(table.iloc[0].to_dict()).kind == "not_tried"


def test_temperature__is_the_slow_twin(rng):
    logits = rng.normal(size=(200, 4)) * 3
    labels = np.where(rng.random(200) < 0.6, logits.argmax(1), rng.integers(0, 4, 200))
    best = best_temperature(logits, labels)
    assert_allclose(best, reference.best_temperature(logits, labels.tolist()), rtol=0.011)
    assert_allclose(best_temperature(2 * logits, labels), 2 * best, rtol=1e-9)
    assert best_temperature(logits[:0], labels[:0]) == 1
