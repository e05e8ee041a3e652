"""A small button that starts the command a page shows, where a click may do that."""

from __future__ import annotations

import streamlit as st

from dashboard import state, workshop


def run_button(command: str, *, key: str) -> None:
    """Nothing is drawn for a command that the reader has to finish first, or that is no step of a study."""
    arguments = workshop.step_command(command)
    if arguments is None:
        return
    st.button(
        "Run",
        key=f"run_{key}",
        icon=":material/play_arrow:",
        help="Starts this command in the background; its progress is shown above.",
        on_click=_run,
        args=(arguments,),
    )


def _run(arguments: list[str]) -> None:
    if reason := workshop.run_step(arguments):
        state.note(reason)
