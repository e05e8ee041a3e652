"""Starting a job with a button, and following it until it has ended."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import streamlit as st

from core.common.formatting import full_sentence
from core.errors import PeregrineError, SettingsError
from core.store import Study
from core.study.commands import Command, Resume, RunStep
from core.study.jobs import Job, read_job
from core.study.steps import STEPS
from core.study.write_access import guest_is_asking
from dashboard.components.tooltips import plain
from dashboard.jobs import launcher
from dashboard.jobs.resident_models import ModelState
from dashboard.state import session

# Starting a job with a button, and following it until it has ended.


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


def is_run_now(command: Command) -> bool:
    """Whether this very command runs now in its folder."""
    job = read_job(launcher.folder_of(command))
    return job is not None and job.running and job.arguments == tuple(command.words)


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
        why it cannot be started now, which the caller shows by `why_not`; None where it can.
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
    return reason


def why_not(reason: str | None) -> None:
    """Say in a line why a button cannot be pressed: a tooltip of a button that does nothing is not found."""
    if reason:
        st.caption(plain(full_sentence(reason)), width="stretch")


def _start(command: Command, folder: Path | None, then: Callable[[Job], None]) -> None:
    """Start a command; where that is not possible, note the reason for the page."""
    try:
        job = launcher.start(command, folder)
    except PeregrineError as error:
        session.notify(str(error))
    else:
        then(job)


# A small button that starts a command, where a click may do that, and the same in a terminal, folded.


def run_button(
    command: Command, label: str = "Run", *, key: str, kind: Literal["primary", "secondary"] = "secondary"
) -> None:
    """The button; where a click may not start the command, it is disabled, with the reason beside it."""
    if guest_is_asking():
        return
    about = "Runs in the background; its progress is shown below the page."
    with st.container(horizontal=True, vertical_alignment="center"):
        reason = start_button(command, label, key=f"run_{key}", about=about, kind=kind)
        with st.popover("In a terminal", type="tertiary"):
            st.code(command.shell, language="bash", wrap_lines=True)
        why_not(reason)


def step_command(
    study: Study, step: str, options: Mapping[str, str] | None = None, *, redo: bool = False
) -> Command | None:
    """The command that runs a step of a study; None for one that no click can run (`embed`)."""
    if step not in STEPS or STEPS[step].options is None:
        return None
    return RunStep(step, study.path, tuple((options or {}).items()), redo)


def making_command(study: Study, step: str, *, redo: bool = False) -> Command | None:
    """Return the command of a step; in a basis that lacks further steps, the one that runs all of them.

    Nothing has to be chosen for those, as the settings are the study's.
    """
    whole = Resume(study.path)
    if not redo and study.below is not None and len(study.missing()) > 1 and launcher.refusal(whole) is None:
        return whole
    return step_command(study, step, redo=redo)


def button_with(study: Study, step: str, options: Callable[[], Mapping[str, str]], label: str) -> None:
    """The button of a step with options that were chosen; what is wrong with them, where something is."""
    try:
        command = step_command(study, step, options())
    except SettingsError as error:
        st.error(plain(error), icon=":material/error:")
        return
    if command is not None:
        run_button(command, label, key=f"{step}_with", kind="primary")
