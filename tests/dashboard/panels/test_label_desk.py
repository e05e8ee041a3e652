"""The label desk: its queue, its decisions, what it passes over, its files, and the next study."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.store import open_study
from core.study import label_decisions, write_access
from core.study.traces import UNSURE, ImageTrace, read_traces
from core.study.writer import write_study
from dashboard.jobs import further_studies, launcher
from dashboard.panels import label_desk
from dashboard.panels.label_desk import Queue, Shown
from tests.dashboard.conftest import all_text, tiles
from tests.dashboard.issues import write_issues
from tests.publish.test_label_forms import made as made

TAB = {"errors_tab": "Wrong labels"}


def press(app, key: str) -> None:
    app.button(key=key).click().run()
    assert not app.exception


def shown(app) -> int:
    """The row of the image on the desk."""
    return tiles(app, "desk_picture")[0]["id"]


def test_queue__goes_on_after_the_last_label_and_then_from_the_start():
    table = pd.DataFrame({"image_id": list("abcd"), "rank": [1, 2, 5, 9]})
    queue = Queue(table, {"b": "cat"}, np.array([True, False, True, True]))
    assert (len(queue), queue.n_decided) == (4, 1)
    assert [queue.next_open(rank) for rank in (0, 1, 2, 5, 9)] == [0, 2, 2, 3, 0]
    assert queue.place_of("c") == 2 and queue.place_of("z") is None is queue.place_of(None)
    assert Queue(table, {}, np.zeros(4, bool)).next_open(0) is None


def test_shown__is_counted_among_the_labels_of_the_queue_not_by_rank():
    class Rows:
        def row_of(self, image_id: str) -> int:
            return ord(image_id)

    table = pd.DataFrame({"image_id": list("ab"), "rank": [1, 27]})
    study: Any = Rows()
    one = Shown.of(study, Queue(table, {}, np.ones(2, bool)), 1)
    assert one.rank == 27 and one.position.endswith(" 2 of 2")


@pytest.mark.slow
def test_desk__decides_passes_over_takes_back_and_counts(unread, studies, open_page):
    table = write_issues(studies / "demo", 4)
    ids = table["image_id"].tolist()
    app = open_page("errors", study="demo", **TAB)
    assert not app.exception and "0 of 4" in all_text(app)
    assert "4 labels of" in all_text(app) and f"{len(table)}" in all_text(app)  # how many were checked
    assert shown(app) == 0 and len(tiles(app, "desk_near")) == 3
    assert [one["lines"][0] for one in tiles(app, "desk_near")] == table["label"].iloc[[-1, -2, -3]].tolist()
    press(app, "desk_take")
    press(app, "desk_right")
    press(app, "desk_digit_2")
    assert "3 of 4" in all_text(app) and shown(app) == 3
    names = list(open_study(studies / "demo").class_names)
    second = names[(names.index(table["label"].iat[2]) + 2) % len(names)]
    expected = {
        ids[0]: ImageTrace(wrong_label=table["suggested"].iat[0]),
        ids[1]: ImageTrace(right_label=table["label"].iat[1]),
        ids[2]: ImageTrace(wrong_label=second),
    }
    assert read_traces(studies / "demo").images == expected
    press(app, "desk_back")
    assert shown(app) == 2 and "2 of 4" in all_text(app)
    press(app, "desk_later")
    assert shown(app) == 3
    app.selectbox(key=next(one.key for one in app.selectbox if "desk_class" in str(one.key))).select(
        label_desk.UNKNOWN
    ).run()
    assert read_traces(studies / "demo").images[ids[3]].wrong_label == UNSURE
    assert shown(app) == 2  # the one that was left for later
    label_decisions.decide_label(open_study(studies / "demo"), ids[2], names[0])  # by somebody else meanwhile
    press(app, "desk_right")
    assert len(app.warning) == 1  # which says what was decided
    assert read_traces(studies / "demo").images[ids[2]] in (
        ImageTrace(wrong_label=names[0]),
        ImageTrace(right_label=names[0]),
    )
    assert "4 of 4" in all_text(app) and not [one for one in app.button if one.key == "desk_take"]
    app = open_page("errors", study="demo", desk_image=ids[0], **TAB)  # a decided one stays within reach
    assert shown(app) == 0
    press(app, "desk_back")
    assert "3 of 4" in all_text(app) and ids[0] not in read_traces(studies / "demo").images
    app = open_page("errors", study="demo", desk_all="true", **TAB)
    assert f"3 of {len(table)}" in all_text(app)
    app = open_page("errors", study="demo", where=f"label={table['label'].iat[0]}", **TAB)
    assert not app.exception


@pytest.mark.slow
def test_files_and_the_next_study(made, studies, shelf, open_page, started, monkeypatch):
    place = shelf.serve("labels", made.path)
    monkeypatch.setenv("PEREGRINE_ROOTS", str(made.path.parent))
    table = write_issues(place, 2)
    app = open_page("errors", study="labels", **TAB)
    app.session_state["desk_export"] = True  # AppTest has no click for a popover
    app.session_state["desk_again"] = True
    app.run()
    assert not app.exception
    assert {one.key for one in app.get("download_button")} >= {"desk_export_csv", "desk_export_label-studio"}
    press(app, "desk_again_start")
    ((command, folder),) = started
    assert folder == launcher.folder_of(command) == studies / "labels-corrected"
    images = dict(command.options)["images"]
    kept = pd.read_parquet(images).set_index("image_id")
    study = open_study(place)
    assert kept["label"].fillna("").tolist() == label_decisions.corrected_labels(study).fillna("").tolist()
    assert kept["split"].tolist() == study.images["split"].tolist()
    assert kept["path"].iat[0].endswith(table["image_id"].iat[0])
    with write_study(studies / "next") as writer, writer.step("embed", {"images": images}) as step:
        step.table("images", study.images)
    assert list(further_studies.next_studies(study)) == ["next"]


def test_run_again__says_why_it_cannot(studies):
    reason = further_studies.why_not_again(open_study(studies / "demo"))
    assert reason is not None and "\n" not in reason


def test_desk__of_a_guest_offers_no_decision(unread, studies, open_page, monkeypatch):
    table, study = write_issues(studies / "demo", 2), open_study(studies / "demo")
    label_decisions.decide_label(study, table["image_id"].iat[0], table["suggested"].iat[0])
    address = {"study": "demo", **TAB, label_desk.AT: table["image_id"].iat[0]}
    for is_guest in (False, True):
        monkeypatch.setattr(write_access, "_is_guest", lambda is_guest=is_guest: is_guest)
        decides = [key for key in label_desk.KEYS.values() if key != "desk_later"]
        app = open_page("errors", **address)
        assert not app.exception and tiles(app, "desk_picture")
        assert bool({one.key for one in app.button} & {*decides, "desk_digit_1"}) != is_guest
    monkeypatch.setattr(write_access, "_is_guest", lambda: False)
    label_decisions.decide_label(study, table["image_id"].iat[1], table["label"].iat[1])
    assert label_desk.ONCE_MORE in all_text(open_page("errors", study="demo", **TAB))
    monkeypatch.setattr(write_access, "_is_guest", lambda: True)
    assert label_desk.ONCE_MORE not in all_text(open_page("errors", study="demo", **TAB))


@pytest.mark.slow
def test_desk__takes_over_what_was_decided_in_another_study_of_the_same_images(
    unread, studies, second, open_page, monkeypatch
):
    table, demo = write_issues(studies / "demo", 2), open_study(studies / "demo")
    write_issues(second, 2)
    ids, labels = table["image_id"].tolist(), table["label"].tolist()
    label_decisions.decide_label(demo, ids[0], table["suggested"].iat[0])
    label_decisions.decide_label(demo, ids[1], UNSURE)
    label_decisions.decide_label(demo, ids[5], labels[5])  # which is not listed
    label_decisions.decide_label(open_study(second), ids[1], labels[1])
    monkeypatch.setattr(write_access, "_is_guest", lambda: True)
    app = open_page("errors", study="second", **TAB)
    assert not [one for one in app.button if one.key == "desk_take_over"]
    monkeypatch.setattr(write_access, "_is_guest", lambda: False)
    app = open_page("errors", study="second", **TAB)
    assert not app.exception and "1 of 2" in all_text(app)
    assert " 2 " in app.button(key="desk_take_over").label
    press(app, "desk_take_over")
    assert "2 of 2" in all_text(app) and not [one for one in app.button if one.key == "desk_take_over"]
    assert read_traces(second).images == {
        ids[0]: ImageTrace(wrong_label=table["suggested"].iat[0]),
        ids[1]: ImageTrace(right_label=labels[1]),
        ids[5]: ImageTrace(right_label=labels[5]),
    }
    press(app, "desk_back")
    assert list(read_traces(second).images) == [ids[1]] and app.button(key="desk_take_over")
