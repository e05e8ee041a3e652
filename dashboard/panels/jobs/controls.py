"""Buttons of one job: stop what runs, go on with what stopped, open what is done."""

from pathlib import Path

import streamlit as st

from core.common.write_access import guest_is_asking
from core.jobs.commands import Command
from core.jobs.jobs import Job
from dashboard.addresses import served_studies
from dashboard.addresses.pages import HOME
from dashboard.components.job_follower import start_button
from dashboard.jobs import launcher
from dashboard.state import session

STOPPED = ("failed", "cancelled", "interrupted")


def controls(job: Job) -> None:
    """Cancel what runs, resume what stopped, open the study that is done."""
    if job.running:
        if launcher.can_stop(job):  # only what was started here: a progress file may name any process
            st.button(
                "Cancel", key=f"cancel_{job.folder}", icon=":material/stop:", on_click=lambda: _stop(job)
            )
    elif job.state in STOPPED and guest_is_asking():
        return
    elif job.state in STOPPED:
        if launcher.can_remove(job):
            st.button(
                "Dismiss",
                key=f"dismiss_{job.folder}",
                icon=":material/close:",
                help="No longer list this. Finished work is kept.",
                on_click=launcher.remove,
                args=(job.folder,),
            )
        if (other := launcher.offered(job)) is not None:
            _restart(job, other, f"Try epsilon {job.offer['epsilon']:g}", "offer")
        if (command := launcher.resume_command(job)) is not None:
            _restart(job, command, "Resume", "resume")
    elif (name := study_name(job.folder)) is not None:
        # A link would keep the study that the selector shows.
        st.button(
            "Open",
            key=f"open_{job.folder}",
            icon=":material/arrow_forward:",
            type="tertiary",
            on_click=open_by_name,
            args=(name,),
        )
        if session.is_leaving():  # a part of the page that is drawn by itself
            st.rerun()


def open_by_name(name: str) -> None:
    """Show a study from its first page, all of its images."""
    session.set_filter("")
    session.choose_study(name)
    session.go(HOME)


def _stop(job: Job) -> None:
    if reason := launcher.stop(job):
        session.notify(reason)


def _restart(job: Job, command: Command, label: str, kind: str) -> None:
    start_button(command, label, key=f"{kind}_{job.folder}", folder=job.folder, icon=":material/replay:")


def study_name(folder: Path) -> str | None:
    """The study that a job's folder is, by the name it is served under; None for other folders."""
    root = served_studies.studies_folder()
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else None
