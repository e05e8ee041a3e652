"""What a comparison concludes, against intervals read by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest

from core.compare import verdict
from core.compare.compare import Comparison, compare
from core.compare.measures import MEASURES
from core.compare.verdict import (
    SAME,
    UNCLEAR,
    Change,
    change_of,
    changed_sentence,
    known_changes,
    verdict_of,
    verdict_sentence,
)
from core.store import open_study
from tests.compare.comparable import second_study
from tests.synthetic import make_study


@pytest.fixture(scope="module")
def comparison(tmp_path_factory) -> Comparison:
    folder = tmp_path_factory.mktemp("verdict")
    first = make_study(folder / "first")
    return compare([open_study(first), open_study(second_study(first, folder / "second"))], resamples=200)


@pytest.mark.slow
def test_changes__are_judged_by_their_intervals(comparison):
    changes = {one.measure.name: one for one in known_changes(comparison, "second")}
    assert any(one.measure.better for one in changes.values())
    for name, one in changes.items():
        row = comparison.value(name, "second")
        low, high = row["difference_low"], row["difference_high"]
        assert one.significant == (not low <= 0 <= high)
        if low <= 0 <= high:
            assert one.verdict == UNCLEAR
        elif not MEASURES[name].better:
            assert one.verdict == "changed"
        else:
            good = row["difference"] > 0 if MEASURES[name].better > 0 else row["difference"] < 0
            assert one.verdict == ("better" if good else "worse")


def made(monkeypatch, **verdicts) -> None:
    """As if the measures had changed so."""
    changes = [Change(MEASURES[name], 0.1, 0.05, 0.2, verdict) for name, verdict in verdicts.items()]
    monkeypatch.setattr(verdict, "known_changes", lambda comparison, other: changes)


def test_sentence__speaks_of_what_a_measure_tells(comparison, monkeypatch):
    made(monkeypatch, accuracy="worse", confidence_auroc="better", miou_core="better", q_auroc=UNCLEAR)
    said = verdict_sentence(comparison, "second")
    parts = ["second", comparison.names[0], "2 of 4", "AUROC +0.100", "mIoU +0.100", "1", "+10.0 points"]
    assert re.search(".*".join(map(re.escape, parts)), said)
    assert changed_sentence(comparison, "second") == ""


def test_judged_changes__hold_each_measure_of_the_sentence_once(comparison, monkeypatch):
    """The sentence counts what could be chance; its lines name it."""
    made(monkeypatch, accuracy=UNCLEAR, q_auroc=UNCLEAR, miou_core="worse", q_correct="changed")
    by_verdict = verdict.judged_changes(comparison, "second")
    names = {key: [one.measure.name for one in changes] for key, changes in by_verdict.items()}
    assert names == {"worse": ["miou_core"], UNCLEAR: ["accuracy", "q_auroc"]}
    line = verdict.judged_line(by_verdict[UNCLEAR])
    assert len(line.names) == 2 and all("0.050 to" in name or "+5.0 to" in name for name in line.names)


def test_unjudged_changes__are_those_of_the_good_directions_that_no_interval_tells_of(comparison):
    judged = {one.measure.name for one in known_changes(comparison, "second")}
    unjudged = {one.measure.name for one in verdict.unjudged_changes(comparison, "second")}
    of_both = {
        name
        for name, measure in MEASURES.items()
        if measure.better and np.isfinite(comparison.value(name, "second").get("difference", np.nan))
    }
    assert unjudged == of_both - judged


def test_sentence__what_is_neither_better_nor_worse_is_named_apart(comparison, monkeypatch):
    made(monkeypatch, accuracy=UNCLEAR, q_auroc=UNCLEAR, q_correct="changed")
    said = verdict_sentence(comparison, "second")
    assert re.findall(r"\d+", said.replace(comparison.names[0], "")) == ["2"] and UNCLEAR in said
    assert "+0.100 (+0.050 to +0.200)" in changed_sentence(comparison, "second")


def test_sentence__of_the_same_numbers_does_not_speak_of_chance(comparison, monkeypatch):
    made(monkeypatch, accuracy=SAME, q_auroc=SAME)
    first = comparison.names[0]
    said = verdict_sentence(comparison, "second").replace(first, "")
    assert re.findall(r"\d+", said) == ["2"] and "chance" not in said
    made(monkeypatch, accuracy=SAME, q_auroc=UNCLEAR, miou_core=UNCLEAR)
    assert verdict_sentence(comparison, "second").endswith(f"2 changes {UNCLEAR}.")
    made(monkeypatch, accuracy=UNCLEAR, q_auroc=SAME)
    assert f"accuracy {UNCLEAR}" in verdict_sentence(comparison, "second")


@pytest.mark.parametrize(
    ("name", "difference", "low", "high", "words"),
    [
        ("accuracy", 0.006, -0.008, 0.019, "+0.6 points (−0.8 to +1.9)"),
        ("miou_core", 0.0222, 0.013, 0.0304, "+0.022 (+0.013 to +0.030)"),
        ("q_auroc", -0.0284, float("nan"), float("nan"), "−0.028"),
        ("q_auroc", float("nan"), 0.0, 0.0, "no change known"),
    ],
)
def test_words__have_a_unit_and_a_true_minus(name, difference, low, high, words):
    assert Change(MEASURES[name], difference, low, high, "").words == words


def test_spurious_mask__less_is_better():
    assert verdict_of(-0.1, -0.2, -0.05, MEASURES["miou_spurious"].better) == "better"


def test_unknown_number__is_not_judged(comparison):
    assert change_of(comparison, "miou_core", "no such study").verdict == "not known"
