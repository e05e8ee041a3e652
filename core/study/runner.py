"""Start, cancel and remember background jobs. No torch.

A job is a `python -m core …` process in its own session, so it outlives the process that started it. The
record of what was started is kept in a private folder of the user (`core.common.assets`), never in
the study: only this record decides what to run again and which process may be stopped.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.common.assets import make_private, state_folder
from core.common.command_line import PREFIX, python_module
from core.common.processes import host_name, is_running, process_started, signal_group, without_tokens
from core.errors import STOPPED, JobError
from core.study.commands import Command, command_of
from core.study.jobs import Job, children, read_job
from core.study.progress import JOB_FOLDER, JOB_MARK, LOG, PROGRESS, RESULT, read_record, write_record
from core.study.write_access import asking_browser, check_write_access

LAUNCH = tuple(python_module("core"))


@dataclass(frozen=True)
class Started:
    """The record of a job: its command and the process that was started for it.

    Attributes:
        browser: the name of the browser that began it; "" for a terminal, or one without a name.
    """

    folder: Path
    command: dict[str, Any]
    pid: int
    pid_started: str | None
    host: str
    browser: str = ""

    @property
    def is_running(self) -> bool:
        """Return True when that same process still runs on this machine."""
        return (
            self.host == host_name()
            and self.pid_started is not None
            and is_running(self.pid, self.pid_started)
        )


def start_job(command: Command, *, folder: str | Path) -> Job:
    """Run a command in the background as a job of a study and record it.

    Args:
        folder: for its progress and log; for a command that makes a study, the study folder.
    Raises:
        JobError: a job already runs there, or the folder cannot be written. ReadOnlyAccess: a guest asks.
    """
    check_write_access()
    folder = Path(folder)
    present = read_job(folder)
    if present is not None and present.running:
        raise JobError(f"a job already runs in '{folder}' (pid {present.pid}). Wait for it or cancel it")
    make_private(state_folder())
    make_private(_memory())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RESULT).unlink(missing_ok=True)  # of the job before
        took = {} if present is None else present.took  # how long each step took is kept from job to job
        write_record(folder / PROGRESS, _first_record(command) | {"took": took})
        with open(_log(folder), "ab") as log:
            log.write(f"$ {command.shell}\n".encode("utf-8", "surrogateescape"))
            log.flush()
            process = _spawn(command, folder, log)
    except (OSError, ValueError) as error:
        raise JobError(
            f"cannot start a job in '{folder}': {getattr(error, 'strerror', None) or error}"
        ) from error
    children[folder.resolve()] = process
    since = process_started(process.pid)
    browser, record = asking_browser(), command.record()
    _remember(Started(folder.resolve(), record, process.pid, since, host_name(), browser))
    return read_job(folder) or Job(folder=folder, command=(*PREFIX, *command.words), pid=process.pid)


def remembered(folder: str | Path) -> Started | None:
    """Return the record of a study's job started by this user; None if there is none or it is damaged."""
    try:
        record = json.loads(_record_path(Path(folder)).read_text(encoding="utf-8"))
        started = Started(**(record | {"folder": Path(record["folder"])}))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return started if started.folder == Path(folder).resolve() else None


def command_to_resume(folder: str | Path) -> Command:
    """Return the command of the job that was started in a study's folder.

    Raises:
        JobError: this user started none there from a dashboard.
    """
    started = remembered(folder)
    if started is None:
        raise JobError(f"the command of '{folder}' was not started from here; resume it where it was started")
    return command_of(started.command)


def cancel(job: Job, *, patience: float = 20.0) -> Job:
    """Stop a job that was started here: first SIGINT (an orderly end), then SIGTERM, then SIGKILL.

    Returns:
        the job afterwards; a job that was not running is returned unchanged.
    Raises:
        JobError: it was not started by this user from a dashboard on this machine.
    """
    check_write_access()
    now, started = read_job(job.folder), remembered(job.folder)
    if now is None or not now.running:
        return now or job
    if started is None or not started.is_running:
        raise JobError(f"the job of '{job.folder}' was not started from here; stop it where it was started")
    for number, seconds in ((signal.SIGINT, patience), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        _send(started.pid, number)
        if _gone_within(seconds, started):
            break
    return _record_stop(now.folder, started)


def forget(folder: str | Path) -> None:
    """Delete what is recorded of a job that ended; its folder stays, with the log.

    Raises:
        OSError: the folder may not be written.
    """
    check_write_access()
    (Path(folder) / PROGRESS).unlink(missing_ok=True)
    _record_path(Path(folder)).unlink(missing_ok=True)


def _memory() -> Path:
    return state_folder() / "jobs"


def _record_path(folder: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
    return _memory() / f"{digest}.json"


def _remember(started: Started) -> None:
    values = {**asdict(started), "folder": str(started.folder)}
    with contextlib.suppress(
        OSError, UnicodeError
    ):  # disk full: the job runs, but cannot be stopped from here
        write_record(_record_path(started.folder), values)


def _log(folder: Path) -> int:
    """Open the folder's log and return its descriptor. A link could lead anywhere; a pipe could block."""
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | careful, 0o644)


def _spawn(command: Command, folder: Path, log: Any) -> subprocess.Popen[bytes]:
    ours = {JOB_MARK: "1", JOB_FOLDER: str(folder.resolve()), "PYTHONUNBUFFERED": "1"}
    environment = without_tokens(os.environ) | ours
    return subprocess.Popen(
        [*LAUNCH, *command.words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _first_record(command: Command) -> dict[str, Any]:
    """Return the first record, until the command writes its own; no pid, as the command may be faster."""
    return {
        "command": [*PREFIX, *command.words],
        "pid": None,
        "host": host_name(),
        "state": "running",
        "stage": "starting",
        "stages_done": [],
        "updated": time.time(),
    }


def _send(pid: int, number: int) -> None:
    """Send a signal: SIGINT to the command alone, which stops its helpers; stronger signals to the group."""
    try:
        os.kill(pid, number) if number == signal.SIGINT else signal_group(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise JobError(f"process {pid} belongs to another user; stop it there") from error


def _gone_within(seconds: float, started: Started) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not started.is_running:
            return True
        time.sleep(0.05)
    return False


def _record_stop(folder: Path, started: Started) -> Job:
    """Record that the job was stopped on purpose; a killed command cannot do so itself."""
    job, record = read_job(folder), read_record(folder / PROGRESS)
    if job is None or record is None:
        raise JobError(f"the progress file of '{folder}' is missing")
    if record["state"] != "running" or started.is_running:
        return job  # it recorded its own end, or lives on
    write_record(folder / PROGRESS, record | {"state": "cancelled", "error": STOPPED, "updated": time.time()})
    return read_job(folder) or job
