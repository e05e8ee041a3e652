"""Decisions of another study on the same images: which are taken over, and which never are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import DamagedTraces
from core.store import Study, open_study
from core.study import label_decisions, shared_decisions, trace_changes
from core.study.traces import FILE, UNSURE, ImageTrace, read_traces
from core.study.writer import write_study

LABELS = {"a": "dog", "b": "dog", "c": "cat", "d": "cat", "e": "dog", "f": "wolf", "g": None}


def write(
    folder: Path, labels: Mapping[str, str | None], *, checksums: dict[str, int] | None = None
) -> Study:
    """A study of one picture a letter, whose checksum is the number of the letter unless another is given."""
    prints = {name: ord(name) for name in labels} | (checksums or {})
    with write_study(folder) as writer, writer.step("embed", {"images": "photos"}) as step:
        label = pd.Series(list(labels.values()), dtype="string")
        frame = {"image_id": list(labels), "path": list(labels), "split": "train", "label": label}
        step.table("images", pd.DataFrame(frame))
        values = [(prints[name], prints[name], 0) for name in labels]
        step.vector("picture_prints", np.array(values, np.uint64))
        step.summary = {"n_images": len(labels)}
    return open_study(folder)


@pytest.fixture
def first(tmp_path: Path) -> Study:
    """Six images are decided."""
    study = write(tmp_path / "first", LABELS)
    for name, decision in dict(a="cat", b="dog", c=UNSURE, d="wolf", e="cat", f="dog").items():
        label_decisions.decide_label(study, name, decision)
    return study


def test_take_over__all_that_was_decided_in_a_study_of_the_same_images(first, tmp_path):
    second = write(tmp_path / "second", LABELS)
    trace_changes.set_note(second, "a", "small")
    trace_changes.set_tags(second, "b", ["blurred"])
    shared = shared_decisions.shared_decisions(second, first)
    assert (len(shared), shared.left_out) == (6, {})
    assert shared_decisions.take_over_label(shared, "first").n == 6
    done = shared_decisions.take_over(second, shared)
    assert shared_decisions.taken_over(done, "first").n == 6
    pd.testing.assert_frame_equal(label_decisions.decisions(second), label_decisions.decisions(first))
    left = read_traces(second.path).images
    assert (left["a"].note, left["b"].tags, left["b"].right_label) == ("small", ("blurred",), "dog")
    assert not shared_decisions.shared_decisions(second, first).classes
    assert trace_changes.take_back(second, done) == 0
    assert label_decisions.decisions(second).empty


def test_take_over__leaves_out_each_that_does_not_hold_here_and_counts_it(first, tmp_path):
    """One label is another one, one is decided, one picture is another one, one is gone, one class too."""
    labels = {"e": "dog", "d": "cat", "c": "dog", "b": "dog", "a": "dog"}
    second = write(tmp_path / "second", labels, checksums={"b": 1})
    label_decisions.decide_label(second, "e", "dog")
    shared = shared_decisions.shared_decisions(second, first)
    assert shared.classes == {"a": "cat"}
    assert shared.left_out == {"other_image": 2, "other_label": 1, "decided_here": 1, "other_classes": 1}
    assert len(shared_decisions.take_over(second, shared)) == 1
    assert read_traces(second.path).images == {
        "a": ImageTrace(wrong_label="cat"),
        "e": ImageTrace(right_label="dog"),
    }


def test_take_over__keeps_what_was_decided_here_meanwhile(first, tmp_path):
    second = write(tmp_path / "second", LABELS)
    shared = shared_decisions.shared_decisions(second, first)
    label_decisions.decide_label(second, "a", "dog")
    assert "a" in shared.classes
    done = shared_decisions.take_over(second, shared)
    assert sorted(done.after) == list("bcdef")
    assert read_traces(second.path).images["a"] == ImageTrace(right_label="dog")


def test_shared__none_without_labels_without_checksums_and_of_pictures_that_could_not_be_read(
    first, tmp_path
):
    bare = write(tmp_path / "bare", dict.fromkeys(LABELS))
    assert shared_decisions.shared_decisions(bare, first).left_out == {"other_label": 6}
    unread = write(tmp_path / "unread", LABELS, checksums=dict.fromkeys(LABELS, 0))
    label_decisions.decide_label(unread, "a", "cat")
    again = write(tmp_path / "again", LABELS, checksums=dict.fromkeys(LABELS, 0))
    assert shared_decisions.shared_decisions(again, unread).left_out == {"other_image": 1}
    with write_study(tmp_path / "old") as writer, writer.step("embed", {"images": "photos"}) as step:
        step.table("images", first.images)
    old = open_study(tmp_path / "old")
    assert shared_decisions.shared_decisions(old, first).left_out == {"other_image": 6}


def test_shared__says_that_what_people_left_is_damaged(first, tmp_path):
    second = write(tmp_path / "second", LABELS)
    (first.path / FILE).write_text("{}")
    for copy in first.path.glob(f"*{FILE}*"):
        copy.write_text("{}")
    with pytest.raises(DamagedTraces):
        shared_decisions.shared_decisions(second, first)


def test_sentence__counts_what_the_reader_sees_listed_and_each_reason():
    some = shared_decisions.SharedDecisions({"a": "cat", "b": "dog"}, {"other_label": 3, "decided_here": 1})
    text = shared_decisions.shared_sentence(some, "first", 1)
    assert all(number in text for number in ("first", "2", "1", "3"))
