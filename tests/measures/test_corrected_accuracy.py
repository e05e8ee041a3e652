"""Accuracy by corrected labels: by hand, against labels given so, and undefined cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.measures.corrected_accuracy import before_corrections, corrected_accuracy, outcome_after_all
from core.measures.headline import headline
from core.measures.label_issues import doubted_errors, doubts_on_labels
from core.store import Study
from core.study import label_decisions
from core.study.traces import FILE, UNSURE
from tests import small
from tests.sentences import as_record, numbers

IDS = small.image_ids()
ALL = np.ones(len(IDS), bool)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return small.write_small_study(tmp_path / "study")


def test_counts__by_hand(study):
    assert corrected_accuracy(study, ALL).n_corrections == 0 and before_corrections(study, ALL) == ""
    before = headline(study, ALL)
    label_decisions.decide_label(study, IDS[3], "dog")  # its answer, so it becomes right
    label_decisions.decide_label(study, IDS[5], "cat")  # was right
    label_decisions.decide_label(study, IDS[6], UNSURE)  # was wrong, now nobody knows
    label_decisions.decide_label(study, IDS[1], "dog")  # is right: changes nothing
    both = corrected_accuracy(study, ALL)
    assert both.n_corrections == 3
    assert (both.n, both.accuracy) == (before["accuracy_n"], before["accuracy"]) == (7, 4 / 7)
    assert (both.n_corrected, both.accuracy_corrected) == (6, 4 / 6)
    sentence = as_record(before_corrections(study, ALL))
    assert (sentence.n, sentence.of, as_record(sentence.parts[0]).kind) == (3, 7, "after_of")
    assert numbers(sentence) == ["3", "57.1", "66.7", "6"]
    part = np.arange(len(IDS)) == 3
    assert corrected_accuracy(study, part).accuracy_corrected == 1.0
    assert as_record(as_record(before_corrections(study, part)).parts[0]).kind == "after"
    made = as_record(as_record(before_corrections(study, part)).parts[1])
    assert (made.kind, made.n, made.of) == ("made_here", 1, 3)
    assert (both.n_elsewhere, as_record(sentence.parts[1]).kind) == (0, "made")
    assert before_corrections(study, np.arange(len(IDS)) == 0) == ""  # nobody corrected it


def test_counts__are_those_of_a_study_with_these_labels(study):
    decided = {3: "dog", 5: "cat", 4: "dog"}
    for row, name in decided.items():
        label_decisions.decide_label(study, IDS[row], name)
    given = [decided.get(row, label) for row, label in enumerate(small.LABELS)]
    right = [label == answer for label, answer in zip(given, small.PREDICTED, strict=True) if label]
    both = corrected_accuracy(study, ALL)
    assert (both.n_corrected, both.accuracy_corrected) == (len(right), np.mean(right))


def test_undefined__no_label_no_outcome_and_what_cannot_be_read(study):
    bare = small.write_small_study(study.path.parent / "bare", labels=False)
    assert np.isnan(corrected_accuracy(bare, ALL).accuracy) and before_corrections(bare, ALL) == ""
    label_decisions.decide_label(study, IDS[3], "dog")
    assert before_corrections(study, np.zeros(len(IDS), bool)) == ""
    for name in (FILE, f"{FILE}.last"):
        (study.path / name).write_text("{")
    assert before_corrections(study, ALL) == ""


@pytest.mark.parametrize(
    ("label", "answer", "decision", "kind"),
    [
        ("cat", "dog", "dog", "right_after_all"),
        ("cat", "cat", "dog", "wrong_after_all"),
        ("cat", "dog", "bee", ""),
        ("cat", "cat", "cat", ""),
        ("cat", "dog", UNSURE, ""),
        ("cat", "dog", "", ""),
    ],
)
def test_outcome_of_one_image(label, answer, decision, kind):
    sentence = outcome_after_all(label == answer, label, answer, decision)
    assert getattr(sentence, "kind", "") == kind


def test_doubts__are_of_labels_that_people_did_not_leave(study):
    label_decisions.decide_label(study, IDS[3], "dog")
    label_decisions.decide_label(study, IDS[5], "dog")
    label_decisions.decide_label(study, IDS[6], UNSURE)
    assert {row: one.kind for row, one in doubts_on_labels(study).items()} == {
        3: "corrected_to",
        6: "taken_for_wrong",
    }


def test_errors__of_a_decided_label_only_where_the_answer_is_the_corrected_one(study):
    assert doubted_errors(study, ALL) == ""
    label_decisions.decide_label(study, IDS[3], "golden retriever")  # answered dog: wrong by either label
    assert doubted_errors(study, ALL) == ""
    label_decisions.decide_label(study, IDS[3], "dog")
    line = as_record(doubted_errors(study, ALL))
    assert (line.kind, line.n, line.of) == ("errors_mended", 1, 3)
    label_decisions.decide_label(study, IDS[6], UNSURE)  # nobody knows what it is
    line = as_record(doubted_errors(study, ALL))
    assert (line.kind, line.n, as_record(line.parts[0]).n) == ("errors_in_doubt_and_mended", 1, 1)
    assert doubted_errors(study, np.arange(len(IDS)) == 0) == ""
