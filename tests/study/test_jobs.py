"""Jobs: a real process that counts is started, watched, stopped, killed and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from core.common.assets import state_folder
from core.common.processes import host_name, is_running, process_started
from core.errors import JobError
from core.study import commands as job_commands
from core.study import jobs
from core.study import runner as job_runner
from core.study.commands import Command, RunStep
from core.study.jobs import Job, list_jobs, log_tail, read_job, read_report
from core.study.progress import Progress, read_record, write_record
from core.study.runner import cancel, command_to_resume, forget, remembered, start_job

COUNTER = '''
"""count N FOLDER: counts to N, a number a file, going on where it stopped; `stubborn` ignores SIGINT."""
import argparse, os, signal, sys, time
from pathlib import Path
from core.cli.errors import run_guarded
from core.errors import StudyError
from core.study.progress import Progress

def count(args):
    if args.how == "quick":
        return 0
    if args.how == "report":
        from core.cli import output
        output.show({"n": {"a": 2}, "text": chr(10) + "{", "odd": float("nan")}, str, as_json=True)
        return 0
    with Progress(args.study / "progress.json", terminal=True, stages_total=1) as progress:
        if args.how == "wrong":
            raise StudyError("nothing to count")
        if args.how == "stubborn":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("mark", os.environ.get("PEREGRINE_JOB"))
        with progress.stage("count", total=args.n, unit="numbers") as bar:
            for number in range(args.n):
                if (args.study / str(number)).exists():
                    bar.skip(1)
                    continue
                time.sleep(0.02)
                (args.study / str(number)).touch()
                bar.update()

if sys.argv[1] == "refuse":
    sys.exit("error: no such option")
args = argparse.Namespace(how=sys.argv[1], n=int(sys.argv[2]), study=Path(sys.argv[3]), run=count)
sys.exit(run_guarded(args))
'''


@dataclass(frozen=True)
class Count(Command):
    """The counting command."""

    name: ClassVar[str] = "count"
    in_study: ClassVar[bool] = True
    how: str
    n: int
    study: Path

    @property
    def words(self) -> list[str]:
        return [self.how, str(self.n), str(self.study)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A job folder, where `python -m core` is the counting command."""
    script = tmp_path / "counter.py"
    script.write_text(COUNTER)
    monkeypatch.setattr(job_runner, "LAUNCH", (sys.executable, str(script)))
    monkeypatch.setitem(job_commands.COMMANDS, "Count", Count)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    folder = tmp_path / "study"
    yield folder
    child = jobs.children.get(folder.resolve())
    if child is not None and child.poll() is None:
        child.kill()
        child.wait()


def wait_for(holds: Callable[[Job], bool], folder: Path, seconds: float = 20.0) -> Job:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = read_job(folder)
        if job is not None and holds(job):
            return job
        time.sleep(0.02)
    pytest.fail(f"waited in vain; last: {read_job(folder)}\n{log_tail(folder)}")


def start(folder: Path, how: str = "count", n: int = 1000) -> Job:
    return start_job(Count(how, n, folder), folder=folder)


def resume(job: Job) -> Job:
    return start_job(command_to_resume(job.folder), folder=job.folder)


def counting(job: Job) -> bool:
    return job.running and job.stage == "count" and job.done >= 3


def test_job_runs_to_its_end(folder: Path) -> None:
    job = start(folder, n=20)
    assert job.running and job.pid and job.arguments == ("count", "20", str(folder))
    job = wait_for(lambda job: not job.running, folder)
    assert (job.state, job.done, job.total, job.fraction) == ("done", 20, 20, 1.0)
    assert job.stages_done == ("count",) and job.error is None
    assert "$ python -m core count 20" in log_tail(folder) and "mark 1" in log_tail(folder)


def test_job_has_a_session_of_its_own(folder: Path) -> None:
    job = start(folder)
    assert job.pid and os.getsid(job.pid) == job.pid != os.getsid(0)


def test_second_job_in_a_folder_is_refused(folder: Path) -> None:
    start(folder)
    with pytest.raises(JobError, match="already runs"):
        start(folder)
    wait_for(counting, folder)
    with pytest.raises(JobError, match="already runs"):
        start(folder)


@pytest.mark.slow
def test_cancel_then_resume(folder: Path) -> None:
    start(folder, n=60)
    job = cancel(wait_for(counting, folder))
    assert job.state == "cancelled" and "resume" in (job.error or "")
    log = log_tail(folder)
    assert "Traceback" not in log and "resume" in log.splitlines()[-1]
    assert jobs.children[folder.resolve()].wait() == 130

    resume(job)
    job = wait_for(lambda job: not job.running, folder)
    assert (job.state, job.done) == ("done", 60)
    assert {entry.name for entry in folder.iterdir()} == {*map(str, range(60)), "progress.json", "log.txt"}


def test_cancel_of_a_stubborn_job(folder: Path) -> None:
    start(folder, "stubborn")
    job = cancel(wait_for(counting, folder), patience=0.2)
    assert job.state == "cancelled" and read_job(folder) == job


def test_cancel_before_the_first_report__is_no_job_that_runs(folder: Path) -> None:
    start(folder)
    job = cancel(read_job(folder) or pytest.fail())  # the command is still being loaded
    assert job.state == "cancelled" and read_job(folder) == job


def test_cancel_of_an_ended_job_changes_nothing(folder: Path) -> None:
    start(folder, n=1)
    job = wait_for(lambda job: job.state == "done", folder)
    assert cancel(job).state == "done"


def test_interrupt_gets_through_where_it_is_ignored(folder: Path) -> None:
    """A dashboard started with `&` in a script ignores SIGINT, and its children inherit that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        start(folder)
        job = cancel(wait_for(counting, folder), patience=10)
    finally:
        signal.signal(signal.SIGINT, before)
    assert jobs.children[folder.resolve()].wait() == 130 and job.state == "cancelled"


@pytest.mark.slow
def test_killed_job_reads_interrupted_and_goes_on(folder: Path) -> None:
    start(folder, n=40)
    job = wait_for(counting, folder)
    assert job.pid
    os.kill(job.pid, signal.SIGKILL)
    job = wait_for(lambda job: not job.running, folder)
    assert job.state == "interrupted" and job.error
    record = read_record(folder / "progress.json")
    assert record and record["state"] == "running"  # reading does not write
    resume(job)
    assert wait_for(lambda job: not job.running, folder).state == "done"


def test_reused_pid_is_not_the_job(folder: Path) -> None:
    start(folder, n=1)
    wait_for(lambda job: job.state == "done", folder)
    record = read_record(folder / "progress.json") or {}
    mine = {"state": "running", "pid": os.getpid()}
    write_record(folder / "progress.json", record | mine | {"pid_started": "another time"})
    assert (read_job(folder) or pytest.fail()).state == "interrupted"
    write_record(folder / "progress.json", record | mine | {"pid_started": process_started(os.getpid())})
    assert (read_job(folder) or pytest.fail()).running


def test_job_on_another_machine(folder: Path) -> None:
    start(folder, n=1)
    wait_for(lambda job: job.state == "done", folder)
    jobs.children[folder.resolve()].wait()
    record = read_record(folder / "progress.json") or {}
    away = record | {"state": "running", "host": "elsewhere", "pid": 2**22 + 1, "updated": time.time()}
    write_record(folder / "progress.json", away)
    job = read_job(folder)
    assert job and job.running
    with pytest.raises(JobError, match="started"):
        cancel(job)
    write_record(folder / "progress.json", away | {"updated": time.time() - 3600})
    assert (read_job(folder) or pytest.fail()).state == "interrupted"


def test_failed_job_says_why(folder: Path) -> None:
    start(folder, "wrong")
    job = wait_for(lambda job: not job.running, folder)
    assert (job.state, job.error) == ("failed", "nothing to count")
    assert "Traceback" not in log_tail(folder)


@pytest.mark.slow
def test_job_that_ends_before_it_reports(folder: Path) -> None:
    start(folder, "refuse")
    job = wait_for(lambda job: not job.running, folder)
    assert (job.state, job.error) == ("failed", "no such option")
    start(folder, "quick")
    assert wait_for(lambda job: not job.running, folder).state == "done"


def test_job_that_ends_between_two_looks(folder: Path) -> None:
    job = start(folder, "quick")
    seen = jobs._job(folder, read_record(folder / "progress.json") or {})
    while is_running(jobs.children[folder.resolve()].pid, None):
        time.sleep(0.02)
    assert job.running and jobs._judge(seen, {"pid": None}).state == "done"


def test_list_jobs_finds_studies_below(tmp_path: Path) -> None:
    for number, name in enumerate(["a", "b/c", ".hidden", "a/representations"]):
        (tmp_path / name).mkdir(parents=True)
        record = {"state": "done", "command": [], "updated": number}
        (tmp_path / name / "progress.json").write_text(json.dumps(record))
    (tmp_path / "b" / "progress.json").mkdir()
    folders = [job.folder.relative_to(tmp_path).as_posix() for job in list_jobs(tmp_path)]
    assert folders == ["b/c", "a"]
    assert list_jobs(tmp_path / "absent") == [] and read_job(tmp_path) is None


def test_read_job__in_a_basis_what_runs_in_its_study(folder: Path) -> None:
    """Also where a job of the basis has ended; not what has ended in the study."""
    sae = folder / "bases" / "sae"
    sae.mkdir(parents=True)
    (folder / "manifest.json").touch()
    write_record(sae / "progress.json", {"state": "done", "command": [], "updated": 1})
    start(folder)
    assert wait_for(counting, sae).folder == folder
    assert [job.folder for job in list_jobs(folder.parent)].count(folder) == 1
    cancel(wait_for(counting, sae))
    after = read_job(sae)
    assert after is not None and (after.folder, after.state) == (sae, "done")


def test_resume__the_words_of_a_progress_file_are_never_used(folder: Path) -> None:
    start(folder, n=3)
    wait_for(lambda job: job.state == "done", folder)
    record = read_record(folder / "progress.json") or {}
    write_record(folder / "progress.json", record | {"command": ["python", "-m", "core", "rm", "9", "/"]})
    assert command_to_resume(folder) == Count("count", 3, folder)
    forget(folder)
    with pytest.raises(JobError, match="started"):
        command_to_resume(folder)


def test_cancel__never_a_process_that_a_file_names(tmp_path: Path) -> None:
    """Reproduction of safety.md 5a: progress.json names any process of the user."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        for started in (None, process_started(other.pid)):
            record = {"state": "running", "pid": other.pid, "pid_started": started, "updated": time.time()}
            write_record(tmp_path / "progress.json", record | {"command": [], "host": host_name()})
            with pytest.raises(JobError, match="started"):
                cancel(read_job(tmp_path) or pytest.fail(), patience=0.1)
            assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_cancel__the_process_that_was_started_whatever_the_file_says(folder: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        start(folder, "stubborn")
        job = wait_for(counting, folder)
        record = read_record(folder / "progress.json") or {}
        write_record(folder / "progress.json", record | {"pid": other.pid, "pid_started": None})
        cancel(job, patience=0.1)
        assert other.poll() is None
        assert not is_running(job.pid, job.pid_started)
    finally:
        other.kill()
        other.wait()


def test_memory__belongs_to_the_user_alone_and_survives_damage(folder: Path) -> None:
    start(folder, n=1)
    wait_for(lambda job: job.state == "done", folder)
    (path,) = [path for path in (state_folder() / "jobs").iterdir() if str(folder) in path.read_text()]
    assert state_folder().stat().st_mode & 0o077 == 0
    assert not path.is_relative_to(folder)
    for text in ("", "[]", "{}", '{"folder": 3}', path.read_text().replace(str(folder), "/elsewhere")):
        path.write_text(text)
        assert remembered(folder) is None


def test_log__a_link_in_its_place_is_not_written_through(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (tmp_path / "precious.txt").write_text("mine")
    (folder / "log.txt").symlink_to(tmp_path / "precious.txt")
    with pytest.raises(JobError, match="start"):
        start(folder)
    assert (tmp_path / "precious.txt").read_text() == "mine" and log_tail(folder) == ""


def test_pipes__are_neither_waited_for_nor_written_to(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "progress.json")
    os.mkfifo(folder / "log.txt")
    assert read_job(folder) is None and log_tail(folder) == "" and read_report(folder) is None
    with pytest.raises(JobError, match="start"):
        start(folder)


@pytest.mark.parametrize(
    "record",
    [
        {"done": "many"},
        {"total": [1]},
        {"eta_s": float("nan")},
        {"rate": 1e400},
        {"stages_done": "embed"},
        {"stages_done": [1]},
        {"error": {"a": 1}},
        {"stage": 7},
        {"pid": True},
        {"pid": "1"},
        {"offer": {"epsilon": "python:"}},
        {"offer": {"epsilon": None}},
        {"offer": [3.0]},
        {"updated": -1e300},
        {"command": [["a"]]},
    ],
)
def test_read_job__a_file_of_other_kinds_is_no_job(tmp_path: Path, record: dict[str, object]) -> None:
    sound = {"state": "failed", "command": [], "updated": 1.0}
    (tmp_path / "progress.json").write_text(json.dumps(sound | record))
    assert read_job(tmp_path) is None
    (tmp_path / "progress.json").write_text(json.dumps(sound))
    assert read_job(tmp_path) is not None


def test_read_job__too_long_or_a_link_is_no_job(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps({"state": "failed", "command": []}))
    (tmp_path / "progress.json").symlink_to(tmp_path / "other.json")
    assert read_job(tmp_path) is None
    (tmp_path / "progress.json").unlink()
    (tmp_path / "progress.json").write_text(json.dumps({"state": "failed", "error": "x" * (1 << 20)}))
    assert read_job(tmp_path) is None
    (tmp_path / "progress.json").write_text("[" * 100_000)
    assert read_job(tmp_path) is None


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match="start"):
        start_job(Count("count", 1, tmp_path), folder=tmp_path / "file" / "study")


def test_log_tail(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("".join(f"line {n}\n" for n in range(1000)))
    assert log_tail(tmp_path, 2) == "line 998\nline 999"
    assert log_tail(tmp_path / "absent") == ""


def ended(folder: Path, how: str) -> Job:
    """A job that was started and has come to its end."""
    start_job(Count(how, 1, folder), folder=folder)
    assert jobs.children[folder.resolve()].wait(timeout=60) == 0
    job = read_job(folder)
    assert job is not None and job.state == "done"
    return job


@pytest.mark.slow
def test_read_report_of_the_last_command(folder: Path) -> None:
    assert read_report(folder) is None
    ended(folder, "report")
    assert read_report(folder) == {"n": {"a": 2}, "text": "\n{", "odd": None}
    assert json.loads((folder / "result.json").read_text()) == read_report(folder)
    assert '"text"' in log_tail(folder)
    ended(folder, "quick")  # another command, which reports nothing
    assert read_report(folder) is None and '"text"' in log_tail(folder)


def test_read_report__a_folder_of_an_older_version_has_none(folder: Path) -> None:
    folder.mkdir()
    (folder / "log.txt").write_text('$ python -m core analyze a --json\n{\n "n": 1\n}\n')
    write_record(folder / "progress.json", {"command": ["python"], "state": "done", "updated": 1.0})
    job = read_job(folder)
    assert job is not None and job.state == "done" and read_report(folder) is None


def test_read_report__only_an_object_in_a_plain_file(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    result = folder / "result.json"
    for text in ("", "[1]", "{", "3"):
        result.write_text(text)
        assert read_report(folder) is None
    result.unlink()
    (tmp_path / "secret.json").write_text('{"a": 1}')
    result.symlink_to(tmp_path / "secret.json")
    assert read_report(folder) is None
    result.unlink()
    os.mkfifo(result)
    assert read_report(folder) is None


@pytest.mark.parametrize("odd", [{"updated": "2024-01-01"}, {"command": 3}, {"pid": "self"}])
def test_list_jobs__a_file_of_another_program_is_no_job(tmp_path, odd):
    record = {
        "command": ["python", "-m", "core", "quality", "x"],
        "state": "failed",
        "updated": 1.0,
        "pid": None,
    }
    for name, changes in (("good", {}), ("odd", odd)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "progress.json").write_text(json.dumps(record | changes))
    assert [job.folder.name for job in list_jobs(tmp_path)] == ["good"]


def test_words__a_step_that_is_the_same_in_every_basis_is_run_in_the_study(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    words = {step: RunStep(step, tmp_path / "bases/sae").words[1:] for step in ("search", "quality")}
    assert words == {"search": [str(tmp_path)], "quality": [str(tmp_path), "--basis=sae"]}


def test_wait_for__ends_when_no_job_runs_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([True, True, False, False])
    monkeypatch.setattr(jobs, "_is_busy", lambda _: next(looks))
    monkeypatch.setattr(jobs, "LOOK_AGAIN", 0.0)
    with Progress(tmp_path / "progress.json", terminal=False) as progress:
        jobs.wait_for([tmp_path / "first", tmp_path / "second"], progress)
    assert next(looks, None) is None and progress.stages_done == ["waiting"]
