"""The state of background jobs, and their progress as a whole. No torch; nothing is started here."""

import math
import os
import subprocess
import threading
import time
import typing
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

from core.common.command_line import PREFIX, basis_of
from core.common.formatting import format_duration as format_duration
from core.common.processes import host_name, is_running, process_started
from core.study.progress import LOG, LONGEST_RESULT, PROGRESS, RESULT, WORTH_COUNTING, Progress, read_record
from core.study.steps import STEPS, in_analysis, of_basis

# Read the state of background jobs from their folders. No torch; nothing is started or stopped here.
#
# A job is a `python -m core …`; what it does stands in its folder: `progress.json` (written by the
# command), `log.txt` (what it printed) and `result.json` (its report, where it was asked for JSON). A
# folder may come from somebody else, so what it says is only shown: `core.study.runner` starts, stops and
# remembers.


START_PATIENCE = 60.0  # seconds within which a command must write its first progress
FOREIGN_PATIENCE = 600.0  # seconds without progress after which a job on another machine counts as dead
SEARCH_DEPTH = 4
LOOK_AGAIN = 0.5  # seconds between two looks at a job that is waited for

children: dict[Path, subprocess.Popen[bytes]] = {}  # processes started by this process, by folder


@dataclass(frozen=True)
class Job:
    """A snapshot of a job; call `read_job` again for a newer one."""

    folder: Path
    command: tuple[str, ...]
    cwd: str | None = None
    pid: int | None = None
    pid_started: str | None = None
    state: str = "running"  # or done, failed, cancelled, interrupted
    stage: str | None = None
    detail: str | None = None
    stages_done: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)  # that each finished step took
    took: dict[str, float] = field(default_factory=dict)  # by each step when it last worked
    idle: tuple[str, ...] = ()  # steps that have nothing to do, as far as that is known before them
    stages_total: int = 0
    done: int = 0
    total: int | None = None
    unit: str = ""
    rate: float | None = None
    eta_s: float | None = None
    step_s: float = 0.0  # since the present step began
    part_begin: float = 0.0  # shares of the step between which its present stages are
    part_end: float = 1.0
    run: int = 0  # which of several runs of the step this is, from 1
    runs: int = 0
    n_stages: int = 0  # begun in the present step
    error: str | None = None
    offer: dict[str, float] = field(default_factory=dict)  # settings with which the command would have worked
    updated: float = 0.0

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return the words after `python -m core`."""
        return self.command[len(PREFIX) :]

    @property
    def fraction(self) -> float | None:
        """Share of the current stage that is done, in [0, 1]; None where its length is unknown."""
        return min(self.done / self.total, 1.0) if self.total else None


def read_job(folder: str | Path) -> Job | None:
    """Read the last job of a study's folder, None without one; a vanished process reads 'interrupted'.

    While nothing runs in the folder of a basis, a job that runs in its study is its job, too.
    """
    folder = Path(folder)
    job, (study, basis) = _job_in(folder), basis_of(folder)
    if basis and not (job and job.running) and (of_study := _job_in(study)) and of_study.running:
        return of_study
    return job


def _job_in(folder: Path) -> Job | None:
    record = read_record(folder / PROGRESS)
    # A progress file of another program, or one forged to do harm, has values of other kinds.
    if record is None or not all(_is_sound(record.get(name), kinds) for name, kinds in _KINDS.items()):
        return None
    return _judge(_job(folder, record), record)


def _kinds_of(hint: Any) -> tuple[type, ...]:
    """The types that a field of a job has in JSON, besides null."""
    parts = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kinds = [typing.get_origin(part) or part for part in parts if part is not NoneType]
    return tuple(one for kind in kinds for one in {tuple: (list,), float: (int, float)}.get(kind, (kind,)))


_KINDS = {name: _kinds_of(hint) for name, hint in typing.get_type_hints(Job).items() if name != "folder"}
_KINDS["host"] = (str,)


def _is_sound(value: Any, kinds: tuple[type, ...]) -> bool:
    if value is None:
        return True
    if isinstance(value, bool) or not isinstance(value, kinds):
        return False
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    if isinstance(value, dict):
        return all(_is_sound(one, (int, float)) and one is not None for one in value.values())
    return not isinstance(value, int | float) or (math.isfinite(value) and abs(value) < 2**53)


def wait_for(folders: Iterable[str | Path], progress: Progress) -> None:
    """Return when no job runs in these studies any more; what became of them does not matter."""
    for folder in folders:
        if not _is_busy(folder):
            continue
        with progress.stage("waiting"):
            while _is_busy(folder):
                time.sleep(LOOK_AGAIN)


def _is_busy(folder: str | Path) -> bool:
    job = read_job(folder)
    return job is not None and job.running


def list_jobs(root: str | Path) -> list[Job]:
    """List the background jobs of all studies below `root`, latest first."""
    jobs = [_job_in(folder) for folder in _folders_with_progress(Path(root), SEARCH_DEPTH)]
    return sorted((job for job in jobs if job), key=lambda job: -job.updated)


def log_tail(folder: str | Path, lines: int = 20) -> str:
    """Return the last lines that a study's job printed; empty if it printed nothing."""
    try:
        with open(_log_for_reading(folder), "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(log.tell() - 400 * lines, 0))
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def read_report(folder: str | Path) -> dict[str, Any] | None:
    """Return the JSON report of a study's last job; None where it reported nothing (yet)."""
    return read_record(Path(folder) / RESULT, LONGEST_RESULT)


def _log_for_reading(folder: str | Path) -> int:
    """Open a folder's log and return its descriptor; OSError for a link (unsafe) or no regular file."""
    path = Path(folder) / LOG
    if not path.is_file():
        raise FileNotFoundError(path)
    return os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))


def _job(folder: Path, record: dict[str, Any]) -> Job:
    fields: dict[str, Any] = {
        name: record[name] for name in Job.__dataclass_fields__ if record.get(name) is not None
    }
    fields |= {name: tuple(fields.get(name, ())) for name in ("command", "stages_done", "idle")}
    child = children.get(folder.resolve())
    if fields.get("pid") is None and child is not None and child.poll() is None:
        fields |= {"pid": child.pid, "pid_started": process_started(child.pid)}
    fields["folder"] = folder
    return Job(**fields)


def _judge(job: Job, record: dict[str, Any]) -> Job:
    """Correct the state of a job whose record says 'running' although its process has ended."""
    if not job.running or _alive(job, record):
        return job
    last = read_record(job.folder / PROGRESS) or record
    if last.get("state") != "running":  # it ended between our two reads
        return _job(job.folder, last)
    if record.get("pid") is None:
        return _never_reported(job)
    return replace(
        job,
        state="interrupted",
        error="the process ended without a message (killed, out of memory, or the machine restarted). "
        "Finished work is kept: run the same command to resume",
    )


def _never_reported(job: Job) -> Job:
    """Describe a job that ended before it reported progress: a wrong option, or a short command."""
    child = children.get(job.folder.resolve())
    if child is not None and child.poll() == 0:
        return replace(job, state="done", stage=None)
    last_line = log_tail(job.folder, 1) or "the command did not start"
    return replace(job, state="failed", error=last_line.removeprefix("error: "))


def _alive(job: Job, record: dict[str, Any]) -> bool:
    age = abs(time.time() - job.updated)  # a time to come is no sign of life
    if record.get("host") not in (None, host_name()):
        return age < FOREIGN_PATIENCE
    if job.pid is not None:
        return is_running(job.pid, job.pid_started)
    started_here = job.folder.resolve() in children
    return not started_here and age < START_PATIENCE


def _folders_with_progress(folder: Path, depth: int) -> list[Path]:
    """List the folders with a progress file; subfolders of a study are not searched."""
    if not folder.is_dir():
        return []
    if (folder / PROGRESS).is_file():
        return [folder]
    if depth == 0:
        return []
    try:
        below = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")
    except OSError:
        return []
    return [job_folder for path in below for job_folder in _folders_with_progress(Path(path), depth - 1)]


# Progress of a job as a whole: which step of how many, and about how long the rest will take.
#
# Steps take different shares of an analysis (`Step.weight`). What the finished ones took on this machine
# and with these images turns the shares into seconds; before one has finished, the rate of the present one
# does. Learning a basis comes before the steps that are run in it, and counts by its own parts.


WHOLE = ("analyze", "resume", "demo", "basis")  # commands that run every step in its order
BASIS = "basis"  # the stage that learns one
RESUMED = "--resume"  # after which the steps of a basis follow
WEIGHT_OF_BASIS = 30.0  # beside the weights of the steps: as embedding
UNFINISHED = 0.95  # at most this share of a running step counts as done
WORTH_A_GUESS = 0.02  # share of a step from which the time so far tells how long the rest takes
MOST_JOBS = 500


@dataclass(frozen=True)
class Overall:
    """Progress over all steps.

    Attributes:
        number, of: the present step, from 1, and how many there are. step: its name.
        fraction: share of the work that is done, in [0, 1], by the weights of the steps.
        seconds_left: estimate for the present step and those to come; None while nothing is known.
        seconds_in_step: estimate for the present step alone, where that of the others is not known.
    """

    number: int
    of: int
    step: str
    fraction: float
    seconds_left: float | None
    seconds_in_step: float | None = None


def overall(job: Job) -> Overall | None:
    """Return how far a running job is as a whole; None for one that is not a run of all steps."""
    weights = _weights(job)
    if job.arguments[:1] not in [(name,) for name in WHOLE] or job.stage not in weights:
        return None
    names = list(weights)
    at = names.index(job.stage)
    before, after = (sum(weights[name] for name in part) for part in (names[:at], names[at + 1 :]))
    scale = None if job.stage == BASIS else _seconds_of_weight(job)
    share = _share(job, scale)
    left = in_step = None
    if job.stage == BASIS:
        in_step = _by_time_so_far(job, share)
        left = in_step if len(names) == 1 else None
    elif scale is not None:
        left = max((1 - share) * weights[job.stage] * scale, job.eta_s or 0.0, 0.0) + after * scale
    done = before + share * weights[job.stage]
    return Overall(at + 1, len(names), job.stage, done / (before + weights[job.stage] + after), left, in_step)


def seconds_of_step(folder: Path, step: str) -> float | None:
    """Return how long a step of a study took when it last had to work on this machine; None where unknown."""
    job = read_job(folder)
    return None if job is None else job.took.get(step)


def seconds_of_analysis(folder: Path) -> float | None:
    """Return how long the steps of a study took when each last had to work here; None where embedding is
    not among those that are known.
    """
    job = read_job(folder)
    took = {} if job is None else job.took
    return sum(took.get(name, 0.0) for name in in_analysis()) if took.get("embed") else None


def share_of_step(job: Job) -> float:
    """Return how much of its present step a job has done, in [0, 1], whatever is known of it."""
    return _share(job, None)


class Heights:
    """How far each job has been: a bar that was there stays there, whatever a new stage counts."""

    def __init__(self) -> None:
        self._lock, self._by_job = threading.Lock(), OrderedDict[tuple[Path, int | None, str | None], float]()

    def reached(self, job: Job, fraction: float) -> float:
        """Return the largest of this fraction and those before of the same process."""
        of = job.folder, job.pid, job.pid_started
        with self._lock:
            height = self._by_job[of] = max(fraction, self._by_job.pop(of, 0.0))
            while len(self._by_job) > MOST_JOBS:
                self._by_job.popitem(last=False)
        return height


def _weights(job: Job) -> dict[str, float]:
    """The steps of a job in their order, with their weights; those that have nothing to do weigh nothing."""
    learns = job.arguments[:1] == (BASIS,)
    in_basis = learns or any(word.startswith("--basis") for word in job.arguments[2:])
    names = of_basis() if in_basis else in_analysis()
    if learns and RESUMED not in job.arguments:
        names = []
    weights = {name: 0.0 if name in job.idle else STEPS[name].weight for name in names}
    return ({BASIS: WEIGHT_OF_BASIS} if learns else {}) | weights


def _seconds_of_weight(job: Job) -> float | None:
    """Return how many seconds a weight of 1 takes here; None while no step tells."""
    worked = [name for name in job.stages_done if name in STEPS and name not in job.idle]
    took = {name: job.seconds.get(name, 0.0) for name in worked}
    counted = {name: seconds for name, seconds in took.items() if seconds >= WORTH_COUNTING}
    if counted:
        return sum(counted.values()) / sum(STEPS[name].weight for name in counted)
    if job.stage in STEPS and job.detail is None and job.fraction and job.eta_s is not None:
        return (job.step_s + job.eta_s) / STEPS[job.stage].weight
    return None


def _by_time_so_far(job: Job, share: float) -> float | None:
    """Return the seconds that the rest of a step takes at the pace so far; None at its beginning."""
    return job.step_s * (1 - share) / share if share >= WORTH_A_GUESS and job.step_s > 0 else None


def _share(job: Job, scale: float | None) -> float:
    """Return how much of the present step is done: by its parts where it has some, else counted where its one
    stage is the step, else by time; each further stage of an unknown number does half of what is left.
    """
    begin, end = (min(max(edge, 0.0), 1.0) for edge in (job.part_begin, job.part_end))
    if (begin, end) != (0.0, 1.0):
        share = begin + max(end - begin, 0.0) * (job.fraction or 0.0)
    elif job.detail is None and job.fraction is not None:
        share = job.fraction
    elif scale is not None and job.stage in STEPS:
        share = max(job.step_s, 0.0) / (STEPS[job.stage].weight * scale)
    else:
        left = 0.5 ** min(max(job.n_stages - 1, 0), 50)
        share = 1 - left * (1 - 0.5 * (job.fraction or 0.0))
    return min(share, UNFINISHED)
