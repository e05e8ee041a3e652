"""Progress: the file's content and pace, endings, who may write it, lines and bars."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from core.common.processes import is_running, process_started
from core.errors import STOPPED, StudyError, user_message
from core.study import progress as module
from core.study.jobs import seconds_of_analysis, seconds_of_step
from core.study.progress import Progress, read_record, write_record

CONTRACT = "command pid state stage stages_done stages_total done total unit rate eta_s error updated"


def record(path: Path) -> dict:
    values = read_record(path)
    assert values is not None
    return values


def test_record_has_what_readers_expect(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    with Progress(path, terminal=False, stages_total=2, command=["python", "-m", "core", "demo"]) as progress:
        with progress.stage("embed", total=10, unit="images") as bar:
            assert record(path)["stage"] == "embed" and record(path)["state"] == "running"
            bar.update(4)
        assert record(path)["stages_done"] == ["embed"]
        with progress.stage("features", total=5) as bar:
            bar.update(5)
    final = record(path)
    assert set(CONTRACT.split()) <= set(final)
    assert final["state"] == "done" and final["error"] is None
    assert final["stages_done"] == ["embed", "features"] and final["stages_total"] == 2
    assert (final["done"], final["total"]) == (5, 5)
    assert final["pid"] == os.getpid() and final["command"][-1] == "demo"
    assert [entry.name for entry in tmp_path.iterdir()] == ["progress.json"]


@pytest.mark.slow
def test_writes_at_most_four_times_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(module, "write_record", lambda path, content: written.append(content["done"]))
    with Progress(tmp_path / "p.json", terminal=False) as progress, progress.stage("count") as bar:
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            bar.update()
    assert 2 + 2 <= len(written) <= 3 + 3  # the pace, and one each at the start, the end and the ending


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (StudyError("no study there"), "failed", "no study there"),
        (ZeroDivisionError("division by\nzero"), "failed", "ZeroDivisionError: division by zero"),
        (OSError(28, "No space left on device", "a"), "failed", user_message(OSError(28, "", "a"))),
        (KeyboardInterrupt(), "cancelled", STOPPED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_endings(error: BaseException, state: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    with pytest.raises(type(error)), Progress(path, terminal=False) as progress:  # noqa: SIM117
        with progress.stage("embed", total=10) as bar:
            bar.update(3)
            raise error
    final = record(path)
    assert (final["state"], final["error"]) == (state, said)
    assert (final["stage"], final["done"], final["stages_done"]) == ("embed", 3, [])


def test_skipped_units_do_not_count_into_the_rate() -> None:
    with Progress.silent().stage("embed", total=1000) as bar:
        bar.skip(900)
        bar.update(10)
        time.sleep(0.01)
        bar.update(40)
        bar.skip(10)
        time.sleep(0.05)
        rate = bar.rate
        assert bar.done == 960 and rate is not None and rate <= 1000
        assert bar.seconds_left == pytest.approx(40 / rate, rel=0.2)


def test_the_first_update_is_no_part_of_the_rate() -> None:
    with Progress.silent().stage("embed", total=1000) as bar:
        time.sleep(0.2)  # what is loaded first
        bar.update(10)
        assert bar.rate is None and bar.seconds_left is None
        time.sleep(0.01)
        bar.update(10)
        assert bar.rate is not None and 100 < bar.rate <= 1000


def test_a_stage_within_a_stage_is_one_stage(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "p.json", terminal=False)
    with progress.stage("probe", total=2), progress.stage("learning rate"):
        assert record(tmp_path / "p.json")["stage"] == "learning rate"
    assert record(tmp_path / "p.json")["stages_done"] == ["probe"]


def test_a_step_counts_once_however_many_stages_it_has(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    with Progress(path, terminal=False, stages_total=2) as progress:
        with progress.step("probe"):
            assert (record(path)["stage"], record(path)["total"]) == ("probe", None)
            for name in ("learning rate", "probe"):
                with progress.stage(name, total=3):
                    detail = None if name == "probe" else name
                    assert (record(path)["stage"], record(path)["detail"]) == ("probe", detail)
        with progress.step("quality"):
            progress.note("up to date")
    assert record(path)["stages_done"] == ["probe", "quality"]


def test_never_writes_over_a_living_process(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    parent = os.getppid()
    write_record(path, {"state": "running", "pid": parent, "pid_started": process_started(parent)})
    with pytest.raises(StudyError), Progress(path, terminal=False):
        raise StudyError("busy")
    assert record(path)["pid"] == parent

    write_record(path, {"state": "running", "pid": parent, "pid_started": "long ago"})  # a re-used pid
    with Progress(path, terminal=False):
        pass
    assert record(path)["state"] == "done"


def test_makes_no_folder_and_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Progress(tmp_path / "none" / "p.json", terminal=False) as progress, progress.stage("a"):
        pass
    assert not (tmp_path / "none").exists()

    def full(path: Path, content: dict) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_record", full)
    with Progress(tmp_path / "p.json", terminal=False) as progress, progress.stage("a") as bar:
        bar.update()


def test_reader_takes_no_nonsense(tmp_path: Path) -> None:
    for text in ("", "{", "[1]", "\x00"):
        (tmp_path / "p.json").write_text(text)
        assert read_record(tmp_path / "p.json") is None
    assert read_record(tmp_path / "absent.json") is None


def test_plain_lines_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAY_EVERY", 0.0)
    with Progress(None, terminal=True) as progress, progress.stage("embed", total=40, unit="images") as bar:
        for n in (10, 10, 20):
            bar.update(n)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[0] == "embed: 10/40 images"
    assert lines[1].startswith("embed: 20/40 images, ") and lines[1].endswith(" left")
    assert lines[-1].startswith("embed: 40/40 images") and "done in" in lines[-1]


def test_a_stage_of_one_update_takes_as_long_as_it_lasted(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(None, terminal=True) as progress, progress.stage("pca", total=1) as bar:
        bar._opened -= 90
        bar.update()
    assert capsys.readouterr().err.endswith(" 2 min\n")


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(None, terminal=True) as progress, progress.stage("embed", total=40, unit="images") as bar:
        bar.update(40)
    assert "embed: 100%" in capsys.readouterr().err


def test_where_a_command_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Progress.for_command(None).path is None
    assert Progress.for_command(tmp_path).path == tmp_path / "progress.json"
    monkeypatch.setenv("PEREGRINE_JOB_FOLDER", str(tmp_path / "job"))
    assert Progress.for_command(None).path == tmp_path / "job" / "progress.json"
    assert Progress.for_command(tmp_path).path == tmp_path / "progress.json"
    monkeypatch.setenv("RANK", "1")
    assert Progress.for_command(tmp_path).path is None


def test_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress.silent() as progress, progress.stage("embed", total=2) as bar:
        bar.update(2)
        progress.note("hidden")
    assert capsys.readouterr() == ("", "")


def test_which_process_a_number_means() -> None:
    me = process_started(os.getpid())
    assert me and is_running(os.getpid(), me) and is_running(os.getpid(), None)
    assert not is_running(os.getpid(), "another time")
    assert not is_running(None, None) and not is_running(2**22 + 1, None)


def test_record_is_json_that_any_reader_takes(tmp_path: Path) -> None:
    with Progress(tmp_path / "p.json", terminal=False) as progress, progress.stage("a", total=0) as bar:
        bar.update(0)
    text = (tmp_path / "p.json").read_text()
    record = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert record["state"] == "done" and record["stages_done"] == ["a"]


def test_took__keeps_how_long_each_step_worked_from_command_to_command(tmp_path: Path, monkeypatch) -> None:
    path, clock = tmp_path / "progress.json", iter([0.0, 70.0, 100.0, 100.1, 200.0, 230.0])
    for steps in (("embed", "features"), ("features",)):
        with Progress(path, terminal=False) as progress:
            for step in steps:
                begun, ended = next(clock), next(clock)
                with progress.step(step):
                    progress._step_began = time.monotonic() - (ended - begun)
    took = record(path)["took"]
    assert set(took) == {"embed", "features"}  # embed is of the first command
    assert took["embed"] == pytest.approx(70, abs=0.4) and took["features"] == pytest.approx(30, abs=0.4)
    assert seconds_of_step(tmp_path, "embed") == took["embed"]
    assert seconds_of_analysis(tmp_path) == pytest.approx(100, abs=1)
    assert seconds_of_step(tmp_path, "probe") is None


@pytest.mark.parametrize(
    "took", [7, ["embed"], {"embed": "long"}, {"embed": True}, {"embed": -1}, {"a": 1e300}]
)
def test_took__nothing_strange_is_kept(took, tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    write_record(path, {"state": "done", "took": took})
    with Progress(path, terminal=False) as progress, progress.step("embed"):
        pass
    assert record(path)["took"] == {}
