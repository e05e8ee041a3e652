"""Traces of many images: one write, all or nothing, taken back without losing what others did."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import StudyError, TraceError
from core.store import Study
from core.study import trace_changes, trace_limits
from core.study.traces import UNSURE, ImageTrace, Traces, kept_traces, read_traces, traces_stamp
from tests import small


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return small.write_small_study(tmp_path / "study")


def test_change__every_image_in_one_write(study, monkeypatch):
    first, second, third = study.images["image_id"][:3]
    trace_changes.set_tags(study, first, ["old"])
    trace_changes.set_note(study, first, "seen")
    writes = []
    monkeypatch.setattr(
        trace_changes, "kept_traces", lambda folder: writes.append(folder) or kept_traces(folder)
    )
    done = trace_changes.change_images(
        study, [first, second], add=["new"], remove=["old"], wrong_label="cat", note="blurred"
    )
    trace_changes.change_images(
        study, [third, first], wrong_label={third: UNSURE}
    )  # by image; without one as it was
    assert len(writes) == 2 and set(done.after) == {first, second}
    assert read_traces(study.path).images == {
        first: ImageTrace("seen\nblurred", ("new",), "cat"),
        second: ImageTrace("blurred", ("new",), "cat"),
        third: ImageTrace(wrong_label=UNSURE),
    }
    assert not trace_changes.change_images(study, [first], add=["new"], note="blurred")  # was so before
    trace_changes.take_back(study, done)
    assert read_traces(study.path).images == {
        first: ImageTrace("seen", ("old",)),
        third: ImageTrace(wrong_label=UNSURE),
    }


def test_take_back__what_others_changed_meanwhile_stays(study):
    first, second = study.images["image_id"][:2]
    done = trace_changes.change_images(study, [first, second], add=["mine"], wrong_label="cat", note="mine")
    trace_changes.set_tags(study, first, ["theirs"], seen=())
    trace_changes.set_note(study, first, "mine and theirs")
    trace_changes.mark_wrong_label(study, first, "dog")
    assert trace_changes.take_back(study, done) == 1
    assert read_traces(study.path).images == {first: ImageTrace("mine and theirs", ("theirs",), "dog")}


def test_change__one_image_that_cannot_take_it_leaves_all_as_they_were(study):
    first, second = study.images["image_id"][:2]
    trace_changes.set_tags(study, second, [f"tag {n}" for n in range(trace_limits.MOST_TAGS)])
    stamp = traces_stamp(study.path)
    with pytest.raises(TraceError, match="at most"):
        trace_changes.change_images(study, [first, second], add=["one more"])
    with pytest.raises(TraceError, match="'crow'"):
        trace_changes.change_images(study, [first, second], wrong_label={first: "cat", second: "crow"})
    with pytest.raises(StudyError):
        trace_changes.change_images(study, [first, "nowhere.png"], note="x")
    assert traces_stamp(study.path) == stamp
    assert read_traces(study.path) != Traces()
