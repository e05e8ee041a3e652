"""The report of a study from the Overview: made in the background, then offered as a download."""

from pathlib import Path

import streamlit as st

from core.jobs.commands import MakeReport
from core.jobs.jobs import Job, read_job
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.components.job_follower import follow, start_button
from dashboard.components.tooltips import plain
from dashboard.jobs import launcher
from dashboard.panels.jobs import study_progress
from dashboard.panels.jobs.controls import controls


def section(study: Study) -> None:
    """A button, then the progress of the job, then the file."""
    with st.expander("Report", icon=":material/description:", key="report", on_change="rerun") as opened:
        if opened.open:
            _report(study)


def _report(study: Study) -> None:
    command = MakeReport(study.path, answer=served_studies.answer_option(study))
    folder = launcher.folder_of(command, study.key)
    job, made = read_job(folder), folder / launcher.REPORT
    if job is not None and job.running:
        follow(folder, _bar)
        return
    if job is None or not made.is_file():
        st.caption(
            "One HTML file with everything on these pages: it opens anywhere, needs no network and prints."
        )
        _button("Make the report", command, folder)
        if job is not None and job.error:
            st.error(plain(job.error), icon=":material/error:")
        return
    st.caption(f"Made from the study as it is now, {made.stat().st_size / 1e6:.1f} MB.")
    with st.container(horizontal=True):
        st.download_button(
            "Download the report",
            data=made.read_bytes,
            file_name=f"{study.name}-report.html",
            mime="text/html",
            key="report_file",
            icon=":material/download:",
            on_click="ignore",
        )
        _button("Make it again", command, folder)


def _button(label: str, command: MakeReport, folder: Path) -> None:
    start_button(command, label, key=f"report_{label}", folder=folder)


def _bar(job: Job) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        study_progress.staged(job)
        controls(job)
