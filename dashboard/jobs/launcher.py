"""The one place of the dashboard that starts, stops and resumes commands. No streamlit.

A command that makes or extends a study runs in the study's folder. Others (checks of a new study, reports,
or published pages) run in folders of their own in the user's state folder, which may be deleted at any time.
"""

import contextlib
import hashlib
import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

from core.common.assets import make_private, state_folder
from core.errors import JobError, PeregrineError
from core.study import uploads
from core.study.commands import Analyze, Command, DecomposeImage, MakeReport, Resume, RunStep, typed
from core.study.jobs import Job, list_jobs, read_job
from core.study.runner import Started, cancel, command_to_resume, forget, remembered, start_job
from core.study.write_access import READ_ONLY, asking_browser, check_write_access, guest_is_asking
from dashboard.jobs.trust import judged_on_page, trust
from dashboard.state import served_studies
from dashboard.state.presence import PRESENCE

KEPT = 40  # finished folders of checks and reports; older ones are removed
OF_ANOTHER = (
    "Another browser began this job, so it is cancelled there, or in a terminal with `jobs FOLDER --cancel`. "
    "Once that browser has left, anybody may cancel it here."
)
REPORTS = {"report": "report.html", "publish": "site.zip"}


def home() -> Path:
    """The folder of the jobs that belong to no study, one for each studies folder that is served."""
    served = hashlib.sha256(str(served_studies.studies_folder()).encode("utf-8", "surrogateescape"))
    return state_folder() / "work" / served.hexdigest()[:16]


def folder_of(command: Command, version: str = "") -> Path:
    """Return the folder of a command's run: its study, or a folder that depends on the command alone.

    Args:
        version: of what the command reads, where its result is kept for it alone.
    """
    if command.in_study and command.target is not None and not getattr(command, "dry_run", False):
        return command.target
    text = json.dumps(_with_outputs(command, Path()).record(), sort_keys=True)
    return home() / "-".join([command.name, _digest(text), *([_digest(version)] if version else [])])


def of_earlier_versions(command: Command, version: str) -> list[Path]:
    """Return the folders of a command's runs on earlier versions of what it reads, the latest first."""
    present, plain = folder_of(command, version), folder_of(command)
    folders = [one for one in plain.parent.glob(f"{plain.name}-*") if one != present and one.is_dir()]
    return sorted(folders, key=lambda folder: -folder.stat().st_mtime)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def refusal(command: Command) -> str | None:
    """Return why a click may not start a command, as a page asks for its buttons; None where it may."""
    return READ_ONLY if guest_is_asking() else trust(command, judged_on_page)


def start(command: Command, folder: Path | None = None) -> Job:
    """Check whether a command may start, whatever the page has found, and start it; return its job.

    A command that is already running is not started again.

    Args:
        folder: of an earlier start of it; None: where `folder_of` says, or one that this page alone reads.
    Raises:
        JobError: a click may not start it, or it cannot be started. ReadOnlyAccess: a guest asks.
    """
    check_write_access()
    if reason := trust(command):
        raise JobError(reason)
    if isinstance(command, DecomposeImage):
        return _start_private(command)
    job_folder = folder or folder_of(command)
    whole = _with_outputs(command, job_folder)
    running = read_job(job_folder)
    if running is not None and running.running:
        started = remembered(running.folder)
        if started is not None and started.command == whole.record():
            return running
    if job_folder.parent == home():
        make_private(state_folder())
        _tidy()
    return start_job(whole, folder=job_folder)


def _with_outputs(command: Command, folder: Path) -> Command:
    """A command that writes files writes them into its own folder, whatever it was made with."""
    if isinstance(command, MakeReport):
        return replace(command, output=folder / REPORTS[command.name])
    if isinstance(command, DecomposeImage):
        return replace(command, output=folder / uploads.RESULT)
    return command


def _start_private(command: Command) -> Job:
    """Start a command in a folder that goes with the page which reads it."""
    folder = uploads.new_folder()
    try:
        job = start_job(_with_outputs(command, folder), folder=folder)
    except BaseException:
        uploads.discard(folder)
        raise
    threading.Thread(target=uploads.wait_for_page, args=(folder,), daemon=True).start()
    return job


def discard(folder: Path) -> None:
    """Stop the job of a picture and remove its folder; any other folder is left alone."""
    if folder.parent != uploads.uploads_folder():
        return
    check_write_access()
    job = read_job(folder)
    if job is not None and job.running:
        stop(job, patience=2.0)
    uploads.discard(folder)


def all_jobs() -> list[Job]:
    """Jobs of studies and of this dashboard, the running ones first, then the latest."""
    jobs = [*list_jobs(served_studies.studies_folder()), *list_jobs(home())]
    return sorted(jobs, key=lambda job: (not job.running, -job.updated))


def can_stop(job: Job) -> bool:
    """Return True when the job was started here, and by the browser that asks or by one that has left."""
    started = remembered(job.folder)
    return started is not None and started.is_running and _may_stop(started)


def stop(job: Job, *, patience: float = 8.0) -> str | None:
    """Cancel a job, asking for `patience` seconds before telling; the reason where that is not possible."""
    started = remembered(job.folder)
    if started is not None and not _may_stop(started):
        return READ_ONLY if guest_is_asking() else OF_ANOTHER
    try:
        cancel(job, patience=patience)
    except PeregrineError as error:
        return str(error)
    return None


def _may_stop(started: Started) -> bool:
    """Whether who asks may stop a job: the browser that began it, and anybody once that has left."""
    if guest_is_asking():
        return False
    return started.browser in ("", asking_browser()) or PRESENCE.has_left(started.browser)


def resume_command(job: Job) -> Command | None:
    """The command that resumes a job which stopped; None where nobody here knows one.

    What was started here is remembered here. Of a study that was begun elsewhere, the steps that it lacks are
    run with its own settings. The words in its files are never used.
    """
    try:
        command = command_to_resume(job.folder)
        once = isinstance(command, DecomposeImage) or getattr(command, "dry_run", False)
        return None if once else command
    except JobError:
        pass
    try:
        study = served_studies.open_current(job.folder)
    except (PeregrineError, OSError):
        return None
    return Resume(study.path) if study.settings("embed") and study.missing() else None


def offered(job: Job) -> Command | None:
    """Return the command that a failed job offers: the same study with a smaller epsilon that works."""
    epsilon, before = job.offer.get("epsilon", 0.0), resume_command(job)
    if job.state != "failed" or not 0 < epsilon < 100:
        return None
    if isinstance(before, Analyze | Resume) or (isinstance(before, RunStep) and before.step == "features"):
        return replace(before, options=typed(**(before.settings | {"epsilon": f"{epsilon:g}"})))
    return None


def can_remove(job: Job) -> bool:
    """Return True when an ended job may be dismissed: it is of this dashboard, or its study can be shown."""
    return not job.running and (job.folder.parent == home() or _holds_study(job.folder))


def remove(folder: Path) -> None:
    """Remove what an ended job of this dashboard left, or the record of one in a study."""
    check_write_access()
    with contextlib.suppress(OSError):  # a study that may not be written
        forget(folder)
    if folder.parent == home():
        shutil.rmtree(folder, ignore_errors=True)


def _holds_study(folder: Path) -> bool:
    return (folder / served_studies.MANIFEST).is_file()


def _tidy() -> None:
    """Remove the oldest finished folders."""
    ended = [job for job in list_jobs(home()) if not job.running]
    for job in sorted(ended, key=lambda job: -job.updated)[KEPT:]:
        if time.time() - job.updated > 60:
            remove(job.folder)
