"""A small button that starts a command, where a click may do that, and the same in a terminal, folded."""

from collections.abc import Callable, Mapping
from typing import Literal

import streamlit as st

from core.common.formatting import full_sentence
from core.common.write_access import guest_is_asking
from core.errors import SettingsError
from core.jobs.commands import Command, Resume, RunStep
from core.steps import STEPS
from core.store import Study
from dashboard.components.job_follower import start_button
from dashboard.components.tooltips import plain
from dashboard.jobs import launcher


def run_button(
    command: Command, label: str = "Run", *, key: str, kind: Literal["primary", "secondary"] = "secondary"
) -> None:
    """The button; where a click may not start the command, it is disabled, with the reason below it."""
    if guest_is_asking():
        return
    about = "Runs in the background; its progress is shown below the page."
    with st.container(horizontal=True, vertical_alignment="center"):
        refused = start_button(command, label, key=f"run_{key}", about=about, kind=kind)
        with st.popover("In a terminal", type="tertiary"):
            st.code(command.shell, language="bash", wrap_lines=True)
    if refused:
        st.caption(plain(full_sentence(refused)))


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
