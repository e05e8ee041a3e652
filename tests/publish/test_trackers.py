"""A study as a run of a tracker: its numbers are the tables', a picture is the stored one, names are data."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from core.charts.table_file import provenance
from core.errors import SettingsError
from core.measures.slice import Slice
from core.publish import trackers
from core.publish.trackers import STRIP, track
from core.store import open_study
from tests.publish.test_report import hostile, seen

__all__ = ["hostile", "seen"]
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def without_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise SettingsError("none here")

    monkeypatch.setattr(trackers, "find_browser", none)


def events_of(folder: Path) -> EventAccumulator:
    (one,) = folder.iterdir()
    events = EventAccumulator(str(one), size_guidance={"images": 0})
    events.Reload()
    return events


def value(events: Any, name: str) -> float:
    return events.Scalars(name)[0].value


def test_tensorboard__holds_the_numbers_of_the_tables_and_the_stored_pictures(
    seen: Path, tmp_path: Path
) -> None:
    study = open_study(seen)
    written = track(study, "tensorboard", tmp_path / "runs", features=3)
    events = events_of(tmp_path / "runs")
    table = study.table("quality_metrics").set_index("score")
    for name, end in (("auroc", ""), ("auroc_low", "/low")):
        known = table[name].dropna().astype("float32").to_dict()
        assert known and {score: value(events, f"auroc/{score}{end}") for score in known} == known
    judged = study.table("probe").loc[study.is_val, "correct"]
    assert value(events, "images/accuracy") == pytest.approx(judged.mean(), abs=1e-6)
    shown = events.Tags()["images"]
    strips = [name for name in shown if name.startswith("features/")]
    assert len(strips) == 3 and any(name.startswith("mistakes/") for name in shown)
    assert events.Images(strips[0])[0].width <= STRIP * trackers.SIDE
    assert written == len(shown) + len(events.Tags()["scalars"])


def test_a_slice__is_what_the_run_is_about(seen: Path, tmp_path: Path) -> None:
    study = open_study(seen)
    narrowed = study.where(Slice(correct=False))
    track(narrowed, "tensorboard", tmp_path, features=1)
    assert value(events_of(tmp_path), "images/accuracy") == 0
    assert value(events_of(tmp_path), "images/n") == narrowed.n_chosen


def test_runs__of_a_slice_and_an_answer_stand_beside_that_of_the_study(seen: Path, tmp_path: Path) -> None:
    study = open_study(seen)
    for read in (study, study.where("correct=false"), study, study.where("split=train")):
        track(read, "tensorboard", tmp_path / "runs", features=0)
    names = sorted(one.name for one in (tmp_path / "runs").iterdir())
    assert names == ["seen_probe", "seen_probe_correct-false", "seen_probe_split-train"]
    events = EventAccumulator(str(tmp_path / "runs" / "seen_probe"))
    events.Reload()
    assert len(events.Scalars("images/n")) == 1  # what was there is replaced
    assert {f"{name}/text_summary" for name in provenance(study)} <= set(events.Tags()["tensors"])
    facts = json.loads((tmp_path / "runs" / names[1] / trackers.MARK).read_text())
    assert facts | {"id": ""} == {**provenance(study.where("correct=false")), "id": ""}


def test_a_run__that_is_not_of_this_study_is_left_alone(seen: Path, tmp_path: Path, monkeypatch: Any) -> None:
    theirs = tmp_path / "seen_probe" / "events.out.tfevents.1"
    theirs.parent.mkdir()
    theirs.write_text("a training")
    with pytest.raises(SettingsError, match="is no run of this study"):
        track(open_study(seen), "tensorboard", tmp_path, features=0)
    assert theirs.read_text() == "a training"


def test_a_run__that_fails_leaves_the_one_before(seen: Path, tmp_path: Path, monkeypatch: Any) -> None:
    track(open_study(seen), "tensorboard", tmp_path, features=0)
    held = {one.name for one in (tmp_path / "seen_probe").iterdir()}
    monkeypatch.setattr(trackers, "tracked_pictures", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        track(open_study(seen), "tensorboard", tmp_path, features=0)
    assert {one.name for one in tmp_path.iterdir()} == {"seen_probe"}
    assert {one.name for one in (tmp_path / "seen_probe").iterdir()} == held


def test_a_full_disk__is_one_error_and_leaves_no_half_run(
    seen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    shown: list[object] = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    monkeypatch.setattr(RecordWriter, "write", full)
    with pytest.raises(OSError, match="No space left"):
        track(open_study(seen), "tensorboard", tmp_path / "runs", features=0)
    assert not shown and not list((tmp_path / "runs").iterdir())


def test_names__of_a_hostile_study_lead_nowhere(hostile: Path, tmp_path: Path) -> None:
    track(open_study(hostile), "tensorboard", tmp_path / "in" / "runs", features=2)
    assert {one.name for one in tmp_path.iterdir()} == {"in"}
    title = trackers._plain("features/Feature 1 (../../x, <b>)")
    assert title == "features/Feature 1 _______x_ _b__"


def test_a_tracker_that_is_not_installed__is_named_before_any_work(
    seen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(SettingsError, match="--to wandb needs the package wandb: pip install wandb"):
        track(open_study(seen), "wandb", tmp_path / "runs")
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="is a file; give a folder"):
        track(open_study(seen), "tensorboard", tmp_path / "file")
    assert not (tmp_path / "runs").exists()
