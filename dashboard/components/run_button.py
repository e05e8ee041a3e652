"""A small button that starts the command a page shows, where a click may do that."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core.jobs.commands import Command, RunStep
from core.steps import STEPS
from core.store import Study
from dashboard.jobs import launcher
from dashboard.state import session


def run_button(command: Command, *, key: str) -> None:
    """The button; where a click may not start the command, it is disabled and says why."""
    reason = launcher.refusal(command)
    st.button(
        "Run",
        key=f"run_{key}",
        icon=":material/play_arrow:",
        help=reason or "Starts this command in the background; its progress is shown above.",
        disabled=reason is not None,
        on_click=_run,
        args=(command,),
    )


def step_command(
    study: Study, step: str, options: Mapping[str, str] | None = None, *, redo: bool = False
) -> Command | None:
    """The command that runs a step of a study; None for one that no click can run (`embed`)."""
    if step not in STEPS or STEPS[step].options is None:
        return None
    return RunStep(step, study.path, tuple((options or {}).items()), redo)


def _run(command: Command) -> None:
    if reason := launcher.run(command):
        session.note(reason)
