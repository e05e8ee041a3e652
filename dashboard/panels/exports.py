"""What others can open without Peregrine, and what a study knows of its images for another tool."""

from functools import partial
from pathlib import Path

import streamlit as st

from core.charts.table_file import file_stem
from core.common.command_line import command_line
from core.common.records import Templates
from core.measures import saved_slices
from core.publish.served import studies_folder
from core.publish.tool_exports import TOOLS, tool_archive
from core.store import Study
from core.study.commands import MakeReport, PublishStudy
from core.study.jobs import Job, read_job
from core.study.traces import traces_stamp
from core.study.write_access import guest_is_asking
from dashboard.components.job_follower import follow, start_button, why_not
from dashboard.components.tooltips import plain
from dashboard.jobs import launcher
from dashboard.panels import study_progress
from dashboard.panels.study_progress import controls
from dashboard.state import served_studies, session
from dashboard.state.visitor import guest_link, reaches_others

# What others can open without Peregrine: made in the background, then offered as downloads.


_say = Templates.beside(__file__)
KINDS = (
    (MakeReport, "report", "**One HTML file** to read or print."),
    (PublishStudy, "pages", "**Pages** to click through, with lists of images and features, as a zip."),
)


EVERY_ADDRESS = "0.0.0.0"  # where a server listens that other machines reach


def report_section(study: Study) -> None:
    """For each kind a button, then the progress of the job, then the file."""
    if guest_is_asking():
        return
    with st.expander("Share this study", icon=":material/share:", key="report", on_change="rerun") as opened:
        if not opened.open:
            return
        st.caption("Files that others open in their browser, without Peregrine and without a network:")
        answer = served_studies.answer_option(study)
        version = repr((study.key, saved_slices.stamp(study.path), traces_stamp(study.path)))
        for column, (kind, name, about) in zip(st.columns(len(KINDS), gap="large"), KINDS, strict=True):
            command = kind(study.path, answer=answer)
            with column:
                st.caption(about)
                _made(study, command, name, version)
        _read_only_link(study)


def _read_only_link(study: Study) -> None:
    """Show the read-only link to this page, and where it leads nobody else, what to start for others."""
    link = guest_link(session.link_query(study))
    if not link:  # no server: a test
        return
    st.caption(_say("read_only"))
    st.code(link, language=None, wrap_lines=True)
    if not reaches_others(link):
        st.caption(_say("this_machine"))
        st.code(_shared_server(), language="bash", wrap_lines=True)


def _shared_server() -> str:
    """The command that serves these studies to other machines."""
    return command_line(
        "dashboard", studies=studies_folder(), host=EVERY_ADDRESS, port=st.get_option("server.port")
    )


def _made(study: Study, command: MakeReport, name: str, version: str) -> None:
    """The latest file, also one of before the last change, and the button that makes it of the study now."""
    folder = launcher.folder_of(command, version)
    job = read_job(folder)
    if job is not None and job.running:
        follow(folder, _report_bar)
        return
    folders = (folder, *launcher.of_earlier_versions(command, version))
    files = (one / launcher.REPORTS[command.name] for one in folders)
    made = next((file for file in files if file.is_file()), None)
    if made is None:
        _report_button(f"Make the {name}", command, folder)
    else:
        with st.container(horizontal=True):
            _download(study, name, made)
            _report_button(f"Make the {name} again", command, folder)
        kind = "now" if made.parent == folder else "before"
        st.caption(_say(kind, value=made.stat().st_size / 1e6))
    if job is not None and job.error:
        st.error(plain(job.error), icon=":material/error:")


def _download(study: Study, name: str, made: Path) -> None:
    st.download_button(
        f"Download the {name}",
        data=made.read_bytes,
        file_name=f"{study.name}-{name}{made.suffix}",
        mime="text/html" if made.suffix == ".html" else "application/zip",
        key=f"{name}_file",
        icon=":material/download:",
        on_click="ignore",
    )


def _report_button(label: str, command: MakeReport, folder: Path) -> None:
    why_not(start_button(command, label, key=f"report_{label}", folder=folder))


def _report_bar(job: Job) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        study_progress.staged(job)
        controls(job)


# What a study knows of its images, for another tool: a .zip at a click, or a command for many images.


MOST_IMAGES = 2000  # of which a browser is handed a file
TOOL_KEY = "take_along"


def tool_exports_section(study: Study) -> None:
    """A folded list of the tools, each with what it is given and a button."""
    with st.expander(
        "Take it to another tool", icon=":material/output:", key=TOOL_KEY, on_change="rerun"
    ) as opened:
        if not opened.open:
            return
        st.caption(
            "Predictions, confidence, Q, causes, doubtful labels, duplicates, slices, heatmaps, masks and "
            "representations, joined by path. Every field begins with `peregrine_`; yours stay as they are."
        )
        for tool in TOOLS:
            _tool_line(study, tool)


def _tool_line(study: Study, tool: str) -> None:
    form = TOOLS[tool]
    text, button = st.columns([4, 1], vertical_alignment="center")
    text.markdown(f"**{form.title}** {form.about}")
    if study.n_images > MOST_IMAGES:
        st.code(_tool_command(study, tool), language="bash", wrap_lines=True)
        return
    button.download_button(
        "Download",
        data=partial(tool_archive, study, tool),
        file_name=f"{file_stem([study.name], tool)}.zip",
        mime="application/zip",
        key=f"{TOOL_KEY}_{tool}",
        icon=":material/download:",
        help=form.about,
        on_click="ignore",
        width="stretch",
    )


def _tool_command(study: Study, tool: str) -> str:
    named = {"answer": study.answer.name} if study.answer else {}
    return command_line("export", study.path, tool, **named, output="FOLDER")
