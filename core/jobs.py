"""Commands in the background: started, watched, stopped and gone on with, from any process. No torch.

A job is a `python -m core …` in a session of its own, so it outlives the dashboard that started it. What it
does stands in its folder: `progress.json` (written by the command) and `log.txt` (what it printed).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import JobError
from core.processes import host_name, is_running, process_started, signal_group
from core.progress import JOB_FOLDER, JOB_MARK, LOG, PROGRESS, read_record, spoken_time, write_record

__all__ = [
    "Job",
    "cancel",
    "list_jobs",
    "log_tail",
    "read_job",
    "read_report",
    "resume",
    "spoken_time",
    "start_job",
]

LAUNCH = (sys.executable, "-m", "core")
PREFIX = ["python", "-m", "core"]
START_PATIENCE = 60.0  # seconds in which a command must have written its first progress
FOREIGN_PATIENCE = 600.0  # seconds of silence after which a job on another machine counts as gone
SEARCH_DEPTH = 4
STATES = ("running", "done", "failed", "cancelled", "interrupted")

_children: dict[Path, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Job:
    """What is known about a command at one moment; `read_job` again for the next."""

    folder: Path
    command: tuple[str, ...]
    cwd: str | None = None
    pid: int | None = None
    pid_started: str | None = None
    state: str = "running"
    stage: str | None = None
    detail: str | None = None
    stages_done: tuple[str, ...] = ()
    stages_total: int = 0
    done: int = 0
    total: int | None = None
    unit: str = ""
    rate: float | None = None
    eta_s: float | None = None
    error: str | None = None
    updated: float = 0.0

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows `python -m core`."""
        return self.command[len(PREFIX) :]

    @property
    def fraction(self) -> float | None:
        """Share of the present stage that is done, in [0, 1]; None where its length is unknown."""
        return min(self.done / self.total, 1.0) if self.total else None


def start_job(arguments: Sequence[str], *, folder: str | Path) -> Job:
    """Run `python -m core ARGUMENTS` in the background.

    Args:
        arguments: the command and its options.
        folder: where its progress and log go: for a command that makes a study, the study.
    Raises:
        JobError: a job is running there already, or the folder cannot be written.
    """
    return _start([str(argument) for argument in arguments], Path(folder), Path.cwd())


def read_job(folder: str | Path) -> Job | None:
    """The last job of a folder, or None where none ever ran; a vanished process reads 'interrupted'."""
    folder = Path(folder)
    record = read_record(folder / PROGRESS)
    if record is None or not _sound(record):
        return None
    return _judge(_job(folder, record), record)


def _sound(record: dict[str, Any]) -> bool:
    """False for a progress file that some other program has left."""
    command, updated, pid = record.get("command", []), record.get("updated", 0.0), record.get("pid")
    words = isinstance(command, list) and all(isinstance(word, str) for word in command)
    return words and isinstance(updated, int | float) and (pid is None or type(pid) is int)


def list_jobs(root: str | Path) -> list[Job]:
    """The jobs of all folders below `root`, the latest first."""
    found = [read_job(folder) for folder in _folders_with_progress(Path(root), SEARCH_DEPTH)]
    return sorted((job for job in found if job), key=lambda job: -job.updated)


def cancel(job: Job, *, patience: float = 20.0) -> Job:
    """Stop a job: asked first (SIGINT, so it ends in order), then told (SIGTERM), then killed.

    Returns:
        the job as it is afterwards; one that was not running is returned as it is.
    Raises:
        JobError: it runs on another machine.
    """
    now = read_job(job.folder)
    if now is None or not now.running:
        return now or job
    if now.pid is None or not is_running(now.pid, now.pid_started):
        raise JobError(f"the job of '{job.folder}' runs on another machine; stop it there")
    for number, seconds in ((signal.SIGINT, patience), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        _send(now.pid, number)
        if _gone_within(seconds, now):
            break
    return _record_stop(now.folder)


def resume(job: Job) -> Job:
    """Run a job's command line again; commands go on where they stopped.

    Raises:
        JobError: it is still running, or its command is no command of ours.
    """
    if list(job.command[: len(PREFIX)]) != PREFIX or not job.arguments:
        raise JobError(f"'{job.folder / PROGRESS}' names no command that can be run again")
    cwd = Path(job.cwd) if job.cwd and Path(job.cwd).is_dir() else Path.cwd()
    return _start(list(job.arguments), job.folder, cwd)


def log_tail(folder: str | Path, lines: int = 20) -> str:
    """The last lines that a job printed; empty where it printed nothing.

    A log is never a link: one in a stranger's study could show any file of this machine.
    """
    if (Path(folder) / LOG).is_symlink():
        return ""
    try:
        with open(Path(folder) / LOG, "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(log.tell() - 400 * lines, 0))
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def read_report(folder: str | Path) -> dict[str, Any] | None:
    """What the last command of a folder printed with `--json`; None where that is no JSON object (yet)."""
    try:
        log = (Path(folder) / LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    said = "\n" + log.rpartition(f"$ {' '.join(PREFIX)} ")[2]
    _, brace, rest = said.rpartition("\n{\n")
    try:
        return json.JSONDecoder().raw_decode("{" + rest)[0] if brace else None
    except ValueError:
        return None


def _start(arguments: list[str], folder: Path, cwd: Path) -> Job:
    present = read_job(folder)
    if present is not None and present.running:
        raise JobError(f"a job runs in '{folder}' already (pid {present.pid}). Wait for it or cancel it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder / PROGRESS, _first_record(arguments, cwd))
        with open(folder / LOG, "ab") as log:
            log.write(f"$ {' '.join(PREFIX)} {subprocess.list2cmdline(arguments)}\n".encode())
            log.flush()
            _children[folder.resolve()] = _spawn(arguments, folder, cwd, log)
    except OSError as error:
        raise JobError(f"cannot start a job in '{folder}': {error.strerror or error}") from error
    return _job(folder, read_record(folder / PROGRESS) or _first_record(arguments, cwd))


def _spawn(arguments: list[str], folder: Path, cwd: Path, log: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*LAUNCH, *arguments],
        cwd=cwd,
        env=os.environ | {JOB_MARK: "1", JOB_FOLDER: str(folder.resolve()), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _first_record(arguments: list[str], cwd: Path) -> dict[str, Any]:
    """Stands until the command writes its own; without a pid, because the command may be faster than us."""
    return {
        "command": [*PREFIX, *arguments],
        "cwd": str(cwd.resolve()),
        "pid": None,
        "host": host_name(),
        "state": "running",
        "stage": "starting",
        "stages_done": [],
        "updated": time.time(),
    }


def _job(folder: Path, record: dict[str, Any]) -> Job:
    known: dict[str, Any] = {
        name: record[name] for name in Job.__dataclass_fields__ if record.get(name) is not None
    }
    known |= {name: tuple(known.get(name, ())) for name in ("command", "stages_done")}
    child = _children.get(folder.resolve())
    if known.get("pid") is None and child is not None and child.poll() is None:
        known |= {"pid": child.pid, "pid_started": process_started(child.pid)}
    known["folder"] = folder
    return Job(**known)


def _judge(job: Job, record: dict[str, Any]) -> Job:
    """Correct a job that says 'running' but does not."""
    if not job.running or _alive(job, record):
        return job
    last = read_record(job.folder / PROGRESS) or record
    if last.get("state") != "running":  # it ended between our two looks
        return _job(job.folder, last)
    if record.get("pid") is None:
        return _never_reported(job)
    return _with(
        job,
        state="interrupted",
        error="the process is gone without a word (killed, out of memory, or the machine restarted). "
        "What is finished is kept: run the same command to go on",
    )


def _never_reported(job: Job) -> Job:
    """It ended before it had anything to report: a wrong option, or a short command."""
    child = _children.get(job.folder.resolve())
    if child is not None and child.poll() == 0:
        return _with(job, state="done", stage=None)
    said = log_tail(job.folder, 1) or "the command did not start"
    return _with(job, state="failed", error=said.removeprefix("error: "))


def _alive(job: Job, record: dict[str, Any]) -> bool:
    age = time.time() - job.updated
    if record.get("host") not in (None, host_name()):
        return age < FOREIGN_PATIENCE
    if job.pid is not None:
        return is_running(job.pid, job.pid_started)
    started_here = job.folder.resolve() in _children
    return not started_here and age < START_PATIENCE


def _with(job: Job, **changes: Any) -> Job:
    return Job(**(job.__dict__ | changes))


def _send(pid: int, number: int) -> None:
    """SIGINT goes to the command alone, which winds down its helpers; the rougher ones go to all."""
    try:
        os.kill(pid, number) if number == signal.SIGINT else signal_group(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise JobError(f"process {pid} belongs to another user; stop it there") from error


def _gone_within(seconds: float, job: Job) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not is_running(job.pid, job.pid_started):
            return True
        time.sleep(0.05)
    return False


def _record_stop(folder: Path) -> Job:
    """A command that was killed could not write that it was stopped on purpose."""
    job, record = read_job(folder), read_record(folder / PROGRESS)
    if job is None or record is None:
        raise JobError(f"the progress file of '{folder}' is gone")
    if job.state != "interrupted":
        return job
    stop = {"state": "cancelled", "error": "stopped; run the same command to go on", "updated": time.time()}
    write_record(folder / PROGRESS, record | stop)
    return _job(folder, record | stop)


def _folders_with_progress(folder: Path, depth: int) -> list[Path]:
    """Folders with a progress file; a study is not searched further."""
    if (folder / PROGRESS).is_file():
        return [folder]
    if depth == 0 or not folder.is_dir():
        return []
    try:
        below = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")
    except OSError:
        return []
    return [found for path in below for found in _folders_with_progress(Path(path), depth - 1)]
