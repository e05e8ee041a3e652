"""Decisions on labels: made, merged, taken back, and read as corrected labels."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from core.errors import StudyError, TraceError
from core.store import Study, open_study
from core.study import label_decisions, trace_changes
from core.study.seals import CHECKSUM
from core.study.traces import FILE, UNSURE, ImageTrace, read_traces
from core.study.writer import write_study
from tests import small

DOG, DOG_TOO, CAT, _, RETRIEVER, *_, BARE = small.image_ids()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return small.write_small_study(tmp_path / "study")


def test_decide__each_kind_of_decision_reaches_the_labels(study):
    trace_changes.set_note(study, DOG, "small")
    trace_changes.set_tags(study, CAT, ["blurred"])
    for image_id, name in ((DOG, "cat"), (DOG_TOO, "dog"), (CAT, UNSURE)):
        assert label_decisions.decide_label(study, image_id, name)
    assert read_traces(study.path).images == {
        DOG: ImageTrace("small", wrong_label="cat"),
        DOG_TOO: ImageTrace(right_label="dog"),
        CAT: ImageTrace(tags=("blurred",), wrong_label=UNSURE),
    }
    before = study.images["label"].tolist()
    after = label_decisions.corrected_labels(study)
    assert after.isna().tolist() == [False, False, True, *[False] * 4, True]  # the last has no label
    assert after.dropna().tolist() == ["cat", "dog", *before[3:7]]
    table = label_decisions.decisions(study)
    assert tuple(table) == label_decisions.COLUMNS
    assert table["image_id"].tolist() == [DOG, DOG_TOO, CAT]
    assert table["by_decision"].tolist() == ["changed", "kept", "unsure"]
    assert table["corrected_label"].fillna("").tolist() == ["cat", "dog", ""]
    assert label_decisions.decisions(small.write_small_study(study.path.parent / "new")).empty


def test_decide__a_second_decision_replaces_the_first_and_can_be_taken_back(study):
    label_decisions.decide_label(study, DOG, "dog")
    done = label_decisions.decide_label(study, DOG, "cat")
    assert read_traces(study.path).images[DOG] == ImageTrace(wrong_label="cat")
    assert trace_changes.take_back(study, done) == 0
    assert read_traces(study.path).images[DOG] == ImageTrace(right_label="dog")
    label_decisions.undecide(study, DOG)
    assert read_traces(study.path).images == {}


def test_decide__of_two_at_once_the_second_hears_of_the_first(study):
    label_decisions.decide_label(study, DOG, "cat", seen="")
    with pytest.raises(TraceError, match="'cat'"):
        label_decisions.decide_label(study, DOG, "dog", seen="")
    assert not label_decisions.decide_label(study, DOG, "cat", seen="")  # the same decision is none
    label_decisions.decide_label(study, DOG, "dog", seen="cat")
    assert read_traces(study.path).images[DOG].right_label == "dog"


def test_decide__in_many_threads_at_once_nothing_is_lost(study):
    ids = [name for name in small.image_ids() if name != BARE]
    with ThreadPoolExecutor(len(ids)) as pool:
        list(pool.map(lambda name: label_decisions.decide_label(study, name, "cat"), ids))
    assert label_decisions.decisions(study)["image_id"].tolist() == ids


def test_decide__refuses_what_is_no_class_no_label_and_no_image(study):
    for image_id, name, what in (
        (DOG, "crow", "crow"),
        (BARE, "cat", "no label"),
        ("nowhere", "cat", "nowhere"),
    ):
        with pytest.raises((TraceError, StudyError), match=what):
            label_decisions.decide_label(study, image_id, name)
    assert not (study.path / FILE).exists()


def test_right_label__holds_for_the_label_that_was_looked_at(study):
    trace_changes.mark_wrong_label(study, RETRIEVER, "dog")
    assert ImageTrace(wrong_label="dog", right_label="cat") == ImageTrace(wrong_label="dog")
    label_decisions.decide_label(study, DOG, "dog")
    content = json.loads((study.path / FILE).read_text())
    content["images"][DOG]["right_label"] = "cat"  # as if the images had got other labels since
    del content[CHECKSUM]
    (study.path / FILE).write_text(json.dumps(content))
    assert label_decisions.decisions(study)["image_id"].tolist() == [RETRIEVER]


def test_corrections__are_held_by_a_study_with_these_labels_and_by_no_other(study, tmp_path):
    label_decisions.decide_label(study, DOG, "cat")
    label_decisions.decide_label(study, CAT, UNSURE)
    label_decisions.decide_label(study, DOG_TOO, "dog")

    def other(name: str, images: pd.DataFrame) -> Study:
        with write_study(tmp_path / name) as writer, writer.step("embed", {}) as step:
            step.table("images", images)
        return open_study(tmp_path / name)

    corrected = study.images.assign(label=label_decisions.corrected_labels(study))
    assert label_decisions.holds_corrections(study, other("corrected", corrected))
    assert not label_decisions.holds_corrections(study, other("before", study.images))
    assert not label_decisions.holds_corrections(study, other("fewer", corrected.iloc[1:]))
