"""Report a command's progress: as a bar on the terminal, and in `progress.json` for other processes.

with Progress(study / "progress.json", terminal=True, stages_total=5) as progress:
    with progress.stage("embed", total=60_000, unit="images") as bar:
        bar.update(256)

Leaving the outer block records the outcome: done, failed (with the reason) or cancelled.
"""

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from core.common.formatting import format_duration
from core.common.inside import replacing
from core.common.processes import host_name, is_running, process_started
from core.errors import STOPPED, PeregrineError, one_line, user_message

PROGRESS = "progress.json"
LOG = "log.txt"
JOB_MARK = "PEREGRINE_JOB"  # set in the environment of a command that was started as a job …
JOB_FOLDER = "PEREGRINE_JOB_FOLDER"  # … and the folder for its progress
LONGEST_RECORD = 1 << 20  # bytes; longer progress files are not read
RESULT = "result.json"  # a job's report: the JSON that its command prints
LONGEST_RESULT = 16 << 20
WORTH_COUNTING = 0.5  # seconds: a step that took less was up to date
MOST_STEPS, LONGEST_STEP = 100, 1e8  # of a file of progress that is believed; seconds
WRITE_EVERY = 0.25  # seconds: at most 4 writes a second
SAY_EVERY = 15.0  # seconds between plain lines when there is no terminal for a bar


def read_record(path: Path, longest: int = LONGEST_RECORD) -> dict[str, Any] | None:
    """The content of a study's file of progress, or None without one (or a link, or too long)."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > longest:
            return None
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Replace the file of progress in a study's folder; see `replace_text`."""
    replace_text(path, json.dumps(record, ensure_ascii=False))


def replace_text(path: Path, text: str) -> None:
    """Replace a file of a study in one go, so that a reader never sees half of it."""
    with replacing(path, durable=False) as temporary:
        temporary.write_text(text, encoding="utf-8")


class StepPart(NamedTuple):
    """Which part of a step its present stages are; see `Progress.part`."""

    begin: float
    end: float
    run: int = 0
    of: int = 0


WHOLE_STEP = StepPart(0.0, 1.0)


class Bar:
    """Counts the work of one stage; created by `Progress.stage`."""

    def __init__(self, progress: "Progress", name: str, total: int | None, unit: str):
        self.name, self.total, self.unit, self.done = name, total, unit, 0
        self._uncounted = 0  # units of an earlier run, and of the first update: it waits for a model
        self._updates = 0
        self._progress = progress
        self._opened = self._began = self._last_note = time.monotonic()
        self._drawing: Any = progress._draw(self)

    def update(self, n: int = 1) -> None:
        """Count `n` more units as done."""
        self.done += n
        self._updates += 1
        if self._updates == 1:
            self._uncounted, self._began = self._uncounted + n, time.monotonic()
        if self._drawing is not None:
            self._drawing.update(n)
        elif (
            self._progress.terminal
            and self.done != self.total
            and time.monotonic() - self._last_note >= SAY_EVERY
        ):
            self._last_note = time.monotonic()
            self._progress.note(self.describe())
        self._progress._write(self)

    def skip(self, n: int) -> None:
        """Count `n` units as done by an earlier run: they do not enter the rate."""
        self.done += n
        self._uncounted += n
        if self._drawing is not None:
            self._drawing.initial += n
            self._drawing.update(n)
        self._progress._write(self)

    @property
    def rate(self) -> float | None:
        """Units per second in this run since the first update; None before the second."""
        elapsed = time.monotonic() - self._began
        worked = self.done - self._uncounted
        return worked / elapsed if worked and elapsed > 0 else None

    @property
    def seconds_left(self) -> float | None:
        if self.total is None or not self.rate:
            return None
        return max(self.total - self.done, 0) / self.rate

    def describe(self) -> str:
        """Return one plain line for logs."""
        of = "" if self.total is None else f"/{self.total}"
        line = f"{self._progress._label(self)}: {self.done}{of} {self.unit}".rstrip()
        if self.rate:
            line += f", {self.rate:.3g}/s"
        if self.seconds_left is not None and self.done < (self.total or 0):
            line += f", {format_duration(self.seconds_left)} left"
        return line

    def _close(self, finished: bool) -> None:
        if self._drawing is not None:
            self._drawing.close()
        elif self._progress.terminal and finished:
            took = format_duration(time.monotonic() - self._opened)
            self._progress.note(f"{self.describe()}, done in {took}")


class Progress:
    """Reports stages to a progress file (if `path` is given) and to stderr (if `terminal`).

    The file is written only once its folder exists, and never while another live process owns it: the
    second of two writers must not overwrite what the first reports. A full disk loses reports, not work.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        terminal: bool,
        stages_total: int = 0,
        command: Sequence[str] | None = None,
    ):
        self.path, self.terminal, self.stages_total = path, terminal, stages_total
        self.command = list(command) if command is not None else ["python", "-m", "core", *sys.argv[1:]]
        self.state, self.error = "running", None
        self.offer: dict[str, float] | None = None
        self.stages_done: list[str] = []
        self.seconds: dict[str, float] = {}  # that each finished step took; next to none if it was up to date
        self.idle: list[str] = []  # steps that have nothing to do, as far as that is known before them
        self._bar: Bar | None = None  # the bar that is counting now
        self._last_bar: Bar | None = None  # the last one reported: the final record names it
        self._step: str | None = None
        self._step_began = 0.0
        self._n_stages = 0  # that were begun in this step
        self._part = WHOLE_STEP
        self._took_before: dict[str, float] = {}  # by steps that earlier commands ran here
        self._written = 0.0
        self._mine = False

    @classmethod
    def silent(cls) -> "Progress":
        """Return an object that reports nothing, for use as a library."""
        return cls(None, terminal=False)

    @classmethod
    def for_command(cls, folder: Path | None, *, stages_total: int = 0) -> "Progress":
        """Choose where a command reports: to its folder, or to the folder of its job if it has none.

        Of the processes that torchrun starts, only the first reports.
        """
        if os.environ.get("RANK", "0") != "0":
            return cls.silent()
        job = os.environ.get(JOB_FOLDER)
        home = folder or (Path(job) if job else None)
        return cls(home and home / PROGRESS, terminal=True, stages_total=stages_total)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Report a step of a study: it counts as one stage, and its own stages are details."""
        self._step, self._last_bar = name, None
        self._n_stages, self._part = 0, WHOLE_STEP
        self._step_began = time.monotonic()
        self._write(None, now=True)
        yield
        self.seconds[name] = round(time.monotonic() - self._step_began, 2)
        self.stages_done.append(name)
        self._step = None
        self._write(self._last_bar, now=True)

    def keep_seconds(self, step: str, seconds: float | None) -> None:
        """Keep how long a step inside another took; None: unknown, so that nothing older stays."""
        self._took_before.pop(step, None)
        if seconds is not None:
            self._took_before[step] = round(seconds, 2)

    @contextmanager
    def stage(self, name: str, *, total: int | None = None, unit: str = "") -> Iterator[Bar]:
        """Report one stage of the work. A nested stage replaces the outer one while it lasts."""
        outer, bar = self._bar, Bar(self, name, total, unit)
        self._n_stages += 1
        self._bar = self._last_bar = bar
        self._write(bar, now=True)
        finished = False
        try:
            yield bar
            finished = True
        finally:
            bar._close(finished)
            self._bar = outer
            if finished and outer is None and self._step is None:
                self.stages_done.append(name)
            self._write(bar, now=True)

    @contextmanager
    def part(self, begin: float, end: float, *, run: int = 0, of: int = 0) -> Iterator[None]:
        """Say which part of a step the stages inside are, where they are not the whole of it.

        Args:
            begin, end: shares of the step, in [0, 1]. run, of: which of several runs this is, from 1.
        """
        self._part = StepPart(begin, end, run, of)
        yield

    def note(self, line: str) -> None:
        """Print a line between the bars."""
        if self.terminal:
            from tqdm import tqdm

            tqdm.write(line, file=sys.stderr)

    def finish(
        self, state: str, error: str | None = None, *, offer: Mapping[str, float] | None = None
    ) -> None:
        """Record the outcome: done, failed or cancelled.

        Args:
            offer: settings, by name, with which the same command would work.
        """
        self.state, self.error, self.offer = state, error, dict(offer) if offer else None
        self._write(self._last_bar, now=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish("done")
        elif isinstance(error, KeyboardInterrupt):
            self.finish("cancelled", STOPPED)
        elif isinstance(error, Exception) and (line := user_message(error)) is not None:
            self.finish("failed", line, offer=error.offer if isinstance(error, PeregrineError) else None)
        elif isinstance(error, SystemExit):
            self.finish("done" if not error.code else "failed", str(error.code) if error.code else None)
        else:
            self.finish("failed", one_line(f"{type(error).__name__}: {error}"))

    def _label(self, bar: Bar) -> str:
        return bar.name if self._step in (None, bar.name) else f"{self._step}: {bar.name}"

    def _draw(self, bar: Bar) -> Any:
        if not (self.terminal and sys.stderr.isatty()):
            return None
        from tqdm import tqdm

        size = shutil.get_terminal_size()  # some terminals report 0 x 0, which tqdm would use as it is
        return tqdm(
            total=bar.total,
            desc=self._label(bar),
            unit=f" {bar.unit}",
            file=sys.stderr,
            ncols=size.columns,
            nrows=size.lines,
            position=0 if self._bar is None else 1,
            leave=self._bar is None,
        )

    def _record(self, bar: Bar | None) -> dict[str, Any]:
        process = {
            "command": self.command,
            "cwd": os.getcwd(),
            "pid": os.getpid(),
            "pid_started": process_started(os.getpid()),
            "host": host_name(),
        }
        stages = {
            "state": self.state,
            "stage": self._step or (bar.name if bar else None),
            "detail": bar.name if bar and self._step not in (None, bar.name) else None,
            "stages_done": self.stages_done,
            "seconds": self.seconds,
            "took": self._took_before | {step: s for step, s in self.seconds.items() if s >= WORTH_COUNTING},
            "idle": self.idle,
            "stages_total": max(self.stages_total, len(self.stages_done)),
        }
        advance = {
            "done": bar.done if bar else 0,
            "total": bar.total if bar else None,
            "unit": bar.unit if bar else "",
            "rate": bar.rate if bar else None,
            "eta_s": bar.seconds_left if bar else None,
            "step_s": time.monotonic() - self._step_began if self._step else 0.0,
            "part_begin": self._part.begin,
            "part_end": self._part.end,
            "run": self._part.run,
            "runs": self._part.of,
            "n_stages": self._n_stages,
        }
        outcome = {"error": self.error, "offer": self.offer, "updated": time.time()}
        return process | stages | advance | outcome

    def _write(self, bar: Bar | None, *, now: bool = False) -> None:
        if self.path is None or not (now or time.monotonic() - self._written >= WRITE_EVERY):
            return
        self._written = time.monotonic()
        if not self.path.parent.is_dir() or not self._may_write():
            return
        with contextlib.suppress(OSError):
            write_record(self.path, self._record(bar))

    def _may_write(self) -> bool:
        if not self._mine and self.path is not None:
            other = read_record(self.path) or {}
            busy = other.get("state") == "running" and other.get("pid") != os.getpid()
            self._mine = not (busy and is_running(other.get("pid"), other.get("pid_started")))
            self._took_before = _sound_seconds(other.get("took"))
        return self._mine


def _sound_seconds(value: object) -> dict[str, float]:
    """The seconds of steps that a file of progress keeps; nothing of one that holds anything else."""
    entries = value if isinstance(value, dict) and len(value) <= MOST_STEPS else {}
    is_number = {name: isinstance(s, int | float) and not isinstance(s, bool) for name, s in entries.items()}
    return {name: float(s) for name, s in entries.items() if is_number[name] and 0 <= s < LONGEST_STEP}


def keep_result(text: str) -> None:
    """Write the JSON that a command prints to the folder of its job, too; nothing where it is no job.

    A full disk loses the file and not the job.
    """
    if folder := os.environ.get(JOB_FOLDER):
        with contextlib.suppress(OSError):
            replace_text(Path(folder) / RESULT, text)
