"""Starting a job with a button, and following it until it has ended."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import streamlit as st

from core.common.write_access import guest_is_asking
from core.errors import PeregrineError
from core.jobs.commands import Command
from core.jobs.jobs import Job, read_job
from dashboard.jobs import launcher
from dashboard.jobs.clip_process import ModelState
from dashboard.state import session

BUSY = "It can start when the command that is running now has ended."


def follow(
    folder: Path,
    show: Callable[[Job], object],
    *,
    on_done: Callable[[Job | None], None] = lambda job: None,
    stop: Callable[[], bool] = lambda: False,
    every: float = 1.0,
) -> None:
    """Show the job that runs in a folder, again and again; when it has ended, run the whole page again.

    Args:
        show: draws the running job.
        on_done: called with the ended job before the page runs again; None where the folder holds none.
        stop: true where the page has to run again although the job still runs.
        every: seconds between two looks.
    """

    @st.fragment(run_every=every)
    def progress() -> None:
        job = read_job(folder)
        if job is None or not job.running:
            on_done(job)
            st.rerun()
        if stop():
            st.rerun()
        show(job)

    progress()


def is_written(folder: Path) -> bool:
    """Whether a command runs in a folder now."""
    job = read_job(folder)
    return job is not None and job.running


def follow_model(prepare: Callable[[], ModelState], said: Callable[[float], str]) -> None:
    """Say for how long a model has been loading, and run the whole page again when that has ended.

    Args:
        prepare: the state of the model now. said: a line for the seconds so far.
    """

    @st.fragment(run_every=0.4)
    def loading() -> None:
        state = prepare()
        if state.name != "loading":
            st.rerun()
        st.caption(said(state.seconds))

    loading()


def start_button(
    command: Command,
    label: str,
    *,
    key: str,
    folder: Path | None = None,
    icon: str | None = ":material/play_arrow:",
    about: str | None = None,
    kind: Literal["primary", "secondary", "tertiary"] = "secondary",
    then: Callable[[Job], None] = lambda job: None,
) -> str | None:
    """A button that starts a command; where a click may not start it, or a command runs in its folder or in a
    study that it writes into, it is disabled and says why. Guests, who may start nothing, have none.

    Args:
        folder: see `launcher.start`. about: tooltip of the button where it may be pressed.
        then: called with the job that a click started.
    Returns:
        why no click may start it; None where one may.
    """
    if guest_is_asking():
        return None
    refused = launcher.refusal(command)
    is_busy = any(map(is_written, (folder or launcher.folder_of(command), *command.written)))
    reason = BUSY if is_busy else refused
    st.button(
        label,
        key=key,
        icon=icon,
        help=reason or about,
        type=kind,
        disabled=reason is not None,
        on_click=_start,
        args=(command, folder, then),
    )
    return refused


def _start(command: Command, folder: Path | None, then: Callable[[Job], None]) -> None:
    """Start a command; where that is not possible, note the reason for the page."""
    try:
        job = launcher.start(command, folder)
    except PeregrineError as error:
        session.notify(str(error))
    else:
        then(job)
