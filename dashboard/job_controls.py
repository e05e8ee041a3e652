"""Buttons of one job: stop what runs, go on with what stopped, open what is done."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.jobs import Job
from dashboard import catalogue, state, workshop

STOPPED = ("failed", "cancelled", "interrupted")


def controls(job: Job) -> None:
    """Cancel what runs, resume what stopped, open the study that is done."""
    key = str(job.folder)
    if job.running:
        st.button("Cancel", key=f"cancel_{key}", icon=":material/stop:", on_click=_cancel, args=(job,))
    elif job.state in STOPPED:
        st.button("Resume", key=f"resume_{key}", icon=":material/replay:", on_click=_resume, args=(job,))
    elif (name := study_name(job.folder)) is not None:
        st.page_link(
            "views/overview.py",
            label="Open",
            icon=":material/arrow_forward:",
            query_params={state.STUDY: name},
        )


def study_name(folder: Path) -> str | None:
    """The study that a job's folder is, by the name it is served under; None for a folder of the workshop."""
    root = catalogue.studies_folder()
    inside = folder.is_relative_to(root) and not folder.is_relative_to(workshop.home())
    return folder.relative_to(root).as_posix() if inside else None


def _cancel(job: Job) -> None:
    _say(workshop.stop(job))


def _resume(job: Job) -> None:
    _say(workshop.go_on(job))


def _say(reason: str | None) -> None:
    if reason:
        state.note(reason)
