"""What a comparison concludes, against intervals read by hand."""

from __future__ import annotations

import pytest

from core.comparison import verdict
from core.comparison.compare import Comparison, compare
from core.comparison.measures import MEASURES
from core.comparison.verdict import (
    UNCLEAR,
    Change,
    change_of,
    judged_changes,
    verdict_of,
    verdict_sentence,
)
from core.store import open_study
from tests.comparison.comparable import second_study
from tests.synthetic import make_study


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Comparison:
    folder = tmp_path_factory.mktemp("verdict")
    first = make_study(folder / "first")
    return compare([open_study(first), open_study(second_study(first, folder / "second"))], resamples=200)


@pytest.mark.slow
def test_changes__are_judged_by_their_intervals(found):
    judged = {one.measure.name: one for one in judged_changes(found, "second")}
    assert judged and all(one.measure.better for one in judged.values())
    for name, one in judged.items():
        row = found.value(name, "second")
        low, high = row["difference_low"], row["difference_high"]
        if low <= 0 <= high:
            assert one.verdict == "could be chance"
        else:
            good = row["difference"] > 0 if MEASURES[name].better > 0 else row["difference"] < 0
            assert one.verdict == ("better" if good else "worse")


def test_sentence__names_what_is_better_and_worse(found):
    sentence = verdict_sentence(found, "second")
    assert sentence.startswith(("second is ", "Every difference"))
    changes = judged_changes(found, "second")
    unclear = [one for one in changes if one.verdict == "could be chance"]
    if sentence.startswith("second is "):
        for one in changes:
            told = one.verdict != "could be chance" or len(unclear) < 3
            said = one.measure.plain or one.measure.title
            assert (said.lower() in sentence.lower()) == told
        if len(unclear) >= 3:
            assert f"the other {len(unclear)} changes could be chance" in sentence


def test_sentence__speaks_of_what_a_measure_tells(found, monkeypatch):
    verdicts = {"accuracy": "worse", "confidence_auroc": "better", "miou_core": "better", "q_auroc": UNCLEAR}
    changes = [Change(MEASURES[name], 0.1, 0.05, 0.2, said) for name, said in verdicts.items()]
    monkeypatch.setattr(verdict, "judged_changes", lambda found, other: changes)
    assert verdict_sentence(found, "second") == (
        "second is better in predicting errors by confidence (AUROC) and heat on the object (mIoU) "
        f"and worse in accuracy than {found.names[0]}; predicting errors by Q (AUROC) could be chance."
    )


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


def test_unknown_number__is_not_judged(found):
    assert change_of(found, "miou_core", "no such study").verdict == "not known"
