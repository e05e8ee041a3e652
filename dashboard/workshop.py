"""Jobs that the dashboard starts: where they run, and what may be started. No streamlit.

A command that makes or extends a study runs in the study's folder. Others (checks of a new study, reports,
figure sheets) run in folders of their own below `.jobs` of the studies folder, which may be deleted at any
time.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from core.errors import JobError, PeregrineError
from core.jobs import PREFIX, Job, cancel, list_jobs, read_job, resume, start_job
from core.store import manifests
from dashboard import catalogue

HOME = ".jobs"
KEPT = 40  # finished folders of checks, reports and sheets; older ones are removed
RUNNABLE = frozenset(manifests.STEPS)
UNFINISHED = ("…", "DIR", "SPEC", "FILE", "PATH", "NAME")


def home() -> Path:
    return catalogue.studies_folder() / HOME


def folder_of(kind: str, arguments: Sequence[str]) -> Path:
    """The folder of a job that belongs to no study: the same for the same words."""
    digest = hashlib.sha256("\0".join(arguments).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return home() / f"{kind}-{digest}"


def begin(kind: str, arguments: Sequence[str], folder: Path | None = None) -> Job:
    """Start a command in `folder`, or in one of its own; one that runs there already is returned.

    Raises:
        JobError: it cannot be started.
    """
    place = folder or folder_of(kind, arguments)
    running = read_job(place)
    if running is not None and running.running and running.arguments == tuple(arguments):
        return running
    _tidy()
    return start_job(arguments, folder=place)


def all_jobs() -> list[Job]:
    """Jobs of studies and of the workshop, the running ones first, then the latest."""
    jobs = [*list_jobs(catalogue.studies_folder()), *list_jobs(home())]
    return sorted(jobs, key=lambda job: (not job.running, -job.updated))


def forget(folder: Path) -> None:
    """Remove what a job of the workshop left, so that it can be run anew."""
    if folder.parent == home():
        shutil.rmtree(folder, ignore_errors=True)


def typed(arguments: Sequence[str]) -> str:
    """Words as one would type them in a shell."""
    return shlex.join(arguments)


def stop(job: Job, *, patience: float = 8.0) -> str | None:
    """Cancel a job, asking for `patience` seconds before telling; the reason where that is not possible."""
    try:
        cancel(job, patience=patience)
    except PeregrineError as error:
        return str(error)
    return None


def go_on(job: Job) -> str | None:
    """Resume a job; the reason where that is not possible.

    A study may come from somebody else, and its last command with it: one that would run code named in it is
    not started by a click.
    """
    if any("python:" in word or word.partition("=")[0] == "--captioner" for word in job.arguments) or (
        catalogue.names_code(job.folder)
    ):
        return "this command runs code of its own (python:…), so it is only started from a terminal"
    if job.cwd and Path(job.cwd).resolve() != Path.cwd().resolve():
        return (
            f"this command was started in another folder that perhaps holds code ('{job.cwd}'); run it there"
        )
    try:
        resume(job)
    except PeregrineError as error:
        return str(error)
    return None


def step_command(command: str) -> list[str] | None:
    """The words of a command that a page shows, if a click may start it: one step of a served study.

    None for anything else, also where the reader has to fill in a word first.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    arguments = words[len(PREFIX) :]
    if words[: len(PREFIX)] != PREFIX or len(arguments) < 2 or arguments[0] not in RUNNABLE:
        return None
    if any(word in UNFINISHED or "…" in word for word in arguments):
        return None
    study = Path(arguments[1])
    return arguments if _is_served(study) and not catalogue.names_code(study) else None


def run_step(arguments: Sequence[str]) -> str | None:
    """Start a step in its study; the reason where that is not possible."""
    try:
        begin(arguments[0], list(arguments), Path(arguments[1]))
    except JobError as error:
        return str(error)
    return None


def _is_served(study: Path) -> bool:
    served = {entry.path.resolve() for entry in catalogue.entries(catalogue.studies_folder())}
    return study.resolve() in served


def _tidy() -> None:
    """Remove the oldest finished folders of the workshop."""
    ended = [job for job in list_jobs(home()) if not job.running]
    for job in sorted(ended, key=lambda job: -job.updated)[KEPT:]:
        if time.time() - job.updated > 60:
            shutil.rmtree(job.folder, ignore_errors=True)
