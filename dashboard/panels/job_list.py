"""The list of commands in the background: how far each is, what went wrong, and its buttons."""

import time
from pathlib import Path

import streamlit as st

from core.answers.kinds import KINDS as ANSWERS
from core.common.command_line import shell_text
from core.common.records import Templates
from core.study.jobs import Job, format_duration, log_tail
from core.study.steps import STEPS
from dashboard.components.tooltips import plain
from dashboard.jobs import launcher
from dashboard.panels import study_progress
from dashboard.panels.study_progress import controls, study_name

_say = Templates.beside(__file__)
SHOWN = 12
IN_SIGHT = 3  # jobs that are done; further ones are folded
KINDS = {
    "analyze": "Analyze",
    "basis": "Bases",
    "compare": "Which encoder",
    "demo": "Build the demo",
    "publish": "Pages to share",
    "report": "Report",
    "resume": "Remaining steps",
}
REMOVING = (("answers",), ("basis",))
CHECK = "Check of a new study"
MARKS = {
    "running": ":orange[:material/pending:]",
    "done": ":green[:material/check_circle:]",
    "failed": ":red[:material/error:]",
    "cancelled": ":gray[:material/cancel:]",
    "interrupted": ":red[:material/bolt:]",
}


def jobs_section(*, but: Path | None = None) -> None:
    """The list of jobs; it follows running ones by itself, also when the page was opened in the middle.

    but: the folder of a job whose error the page says already.
    """
    st.header("Jobs")
    jobs = _listed(but)
    if not jobs:
        st.caption("Nothing was started yet. Jobs go on when this page is closed, and are listed here.")
        return
    _list(but, every=1.0 if any(job.running for job in jobs) else None)


def _list(but: Path | None, *, every: float | None) -> None:
    @st.fragment(run_every=every, key="jobs_list")
    def draw() -> None:
        jobs = _listed(but)
        latest = jobs[:SHOWN]
        folded = [job for job in latest if job.state == "done"][IN_SIGHT:]
        with st.container(gap="xxsmall"):
            for job in latest:
                if job not in folded:
                    _one(job)
        if folded:
            title = f"{len(folded):,} earlier {'one' if len(folded) == 1 else 'ones'}"
            with st.expander(title, key="jobs_earlier", on_change="rerun") as earlier:
                for job in folded if earlier.open else ():
                    _one(job)
        if len(jobs) > SHOWN:
            st.caption(f"{len(jobs) - SHOWN} older ones are not listed.")
        if any(job.running for job in jobs) != (every is not None):
            st.rerun()  # something began or ended: the whole page learns of it, and the list ticks or rests

    draw()


def _one(job: Job) -> None:
    """A line of a job that is done; a box of one that runs or has stopped."""
    if job.state == "done":
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(_headline(job), width="content")
            controls(job)
        return
    with st.container(border=True, gap="xsmall"):
        left, right = st.columns([4, 1], vertical_alignment="center")
        with left:
            st.markdown(_headline(job))
            if job.running:
                study_progress.bar(job)
            elif job.state in ("cancelled", "interrupted"):
                more = "*Resume* continues where it stopped." if launcher.resume_command(job) else ""
                st.caption(f"Finished work is kept. {more}")
            elif job.error:
                st.caption(plain(job.error))
        with right.container(horizontal=True, horizontal_alignment="right"):
            controls(job)
        with st.expander("What the command printed", key=f"jobs_log_{job.folder}", on_change="rerun") as log:
            if log.open:
                st.code(f"$ {shell_text(job.command)}", language=None, wrap_lines=True)
                st.code(log_tail(job.folder, 15) or "Nothing yet.", language=None, wrap_lines=True)


def _headline(job: Job) -> str:
    """How it stands with a job, in a line of Markdown."""
    age = time.time() - job.updated
    when = f", {format_duration(age)} ago" if not job.running and age >= 1 else ""
    return f"{MARKS.get(job.state, '')} **{plain(title(job))}** {job.state}{when}"


def _listed(but: Path | None) -> list[Job]:
    """The jobs that somebody asked for by name; checks and searches, only where they failed."""
    jobs = [job for job in launcher.all_jobs() if not (job.folder == but and job.error)]
    return [job for job in jobs if job.state == "failed" or not _runs_unasked(job)]


def _runs_unasked(job: Job) -> bool:
    """Whether it is a check of inputs or a search."""
    return "--dry-run" in job.arguments or job.arguments[:1] == ("search",)


def title(job: Job) -> str:
    """What a job does to what: "Analyze mine", "Check of a new study"."""
    if "--dry-run" in job.arguments:
        return CHECK
    command = job.arguments[0] if job.arguments else "command"
    what = _change(job) or KINDS.get(command) or (STEPS[command].doing if command in STEPS else command)
    named = Path(job.arguments[1]).name if len(job.arguments) > 1 and command != "demo" else ""
    of = study_name(job.folder) or named
    return f"{what}: {of}" if of else what


def _change(job: Job) -> str:
    """What a command adds or takes away, where that is not what the step of its name does."""
    options = [word.partition("=") for word in job.arguments if word.startswith("--")]
    given = {name: value for name, _, value in options}
    if job.arguments[:1] == ("answers",) and (added := given.get("--add")):
        return _say("adding_answer", what=ANSWERS[added].title if added in ANSWERS else Path(added).name)
    if job.arguments[:1] in REMOVING and "--remove" in given:
        return _say("removing", what=given["--remove"])
    return ""
