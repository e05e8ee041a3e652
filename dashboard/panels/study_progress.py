"""What is shown while a study is being made, broken or missing, and the buttons of one job."""

import math
from pathlib import Path

import streamlit as st

from core.common.command_line import basis_of, command_line, short_path
from core.errors import user_message
from core.study.commands import BuildDemo, Command
from core.study.jobs import Heights, Job, log_tail, overall, read_job, share_of_step
from core.study.missing import nothing
from core.study.steps import STEPS
from core.study.write_access import guest_is_asking
from dashboard.components import widgets
from dashboard.components.job_follower import follow, start_button, why_not
from dashboard.components.page_behaviour import fold_button
from dashboard.jobs import launcher, opened_ahead
from dashboard.panels import sidebar
from dashboard.panels.findings import WAY
from dashboard.panels.tried_picture import picture_field
from dashboard.state import served_studies, session

# Buttons of one job: stop what runs, go on with what stopped, open what is done.


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
            on_click=session.go_to_study,
            args=(name,),
        )
        if session.is_leaving():  # a part of the page that is drawn by itself
            st.rerun()


def _stop(job: Job) -> None:
    if reason := launcher.stop(job):
        session.notify(reason)


def _restart(job: Job, command: Command, label: str, kind: str) -> None:
    icon = ":material/replay:"
    why_not(start_button(command, label, key=f"{kind}_{job.folder}", folder=job.folder, icon=icon))


def study_name(folder: Path) -> str | None:
    """The study that a job's folder is, by the name it is served under; None for other folders."""
    root = served_studies.studies_folder()
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else None


# What is shown while a study is being made, when it is broken, and when there is none at all.


HEIGHTS = Heights()  # of all jobs that this server shows
DOING = {"basis": "Learn the basis", "waiting": "Waiting for an earlier study"}  # besides the steps
ENDINGS = {"failed": "stopped with an error", "cancelled": "was stopped", "interrupted": "was interrupted"}


def no_studies(folder: Path) -> None:
    """The page of an empty studies folder; becomes the dashboard by itself as soon as a study is there."""
    st.title("Welcome to Peregrine")
    st.caption("It opens up an image encoder: which features fire, where they look, what goes wrong and why.")
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True, height="stretch"):
        st.header("See what an encoder makes of a picture", anchor=False)
        picture_field(small=False, leads_there=True, stacked=True)
    with right, st.container(border=True, height="stretch"):
        st.header("Or study many", anchor=False)
        st.markdown(
            "A study is one encoder on one image set: its features, its mistakes, and where it looks. The "
            "demo is one of 5,000 drawn pictures whose truth is known. Once built, it opens by itself."
        )
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            reason = start_button(
                BuildDemo(folder),
                "Build the demo",
                key="build_demo",
                folder=folder / served_studies.DEFAULT,
                kind="primary",
            )
            if not guest_is_asking():
                about = "Study your own images"
                st.page_link("views/new_study.py", label=about, icon=":material/add_circle:")
        why_not(reason)
        st.caption("With images of your own:")
        st.markdown(WAY)
    with st.expander("From a terminal"):
        st.code(command_line("demo"), language="bash")
        mine = command_line("analyze", folder / "mine", images="DIR", encoder="torchvision:resnet50")
        st.code(mine, language="bash", wrap_lines=True)
        st.caption(f"Studies are looked for in {widgets.plain(short_path(folder))}.")
    _wait_for_study(folder)


def not_ready(entry: served_studies.Entry, error: Exception | None) -> None:
    """The page of a study that cannot be shown: running, ended too early, or broken."""
    st.title(widgets.plain(entry.name))
    job = read_job(entry.path)
    if job is not None and job.running:
        st.caption("This study is being made. Its views open by themselves when there is something to see.")
        _live(entry, stamp_of(entry.path), full=True)
    elif job is not None and job.state in ENDINGS:
        _unfinished(entry, job)
    elif (entry.path / served_studies.MANIFEST).is_file() and error is not None:
        st.error(widgets.plain(user_message(error, again="try again")), icon=":material/error:")
        st.caption("Other studies are not touched by this; choose one in the sidebar.")
        st.button("Try again", icon=":material/refresh:")
    else:
        widgets.empty_state(
            "This study holds no images yet",
            nothing("not_begun"),
            command_line("analyze", entry.path, images="DIR", encoder="SPEC"),
        )


@widgets.stable_container
def strip(entry: served_studies.Entry, stamp: int) -> None:
    """Below the views of a study: the command whose later steps are still running in it, or that ended badly.

    In a basis, also those of its study. stamp: `stamp_of` the study before its page was drawn.
    """
    job, (whole, basis) = read_job(entry.path), basis_of(entry.path)
    if basis and (job is None or job.state == "done"):
        job = read_job(whole)
    if job is None or job.state == "done":
        return
    with st.container(key="job_strip_row"):
        if job.running:
            _live(entry, stamp, full=False)
        else:
            _ended(job)


@widgets.stable_container
def not_opened_ahead(folder: Path) -> None:
    """Why a study was not read while the server started, above its pages."""
    if opened_ahead.was_left_out(folder):
        st.warning(
            "The server ended when it last opened this study at its start, so this time it did not. "
            "A file of the study may be damaged.",
            icon=":material/healing:",
        )
        st.code(command_line("verify", folder), language="bash")


def time_left(folder: Path) -> str:
    """What stands in place of a number that a job will bring, "running, about 40 s left"; "" without one."""
    job = read_job(folder)
    if job is None or not job.running:
        return ""
    whole = overall(job)
    left = "" if whole is None or whole.seconds_left is None else f", about {about(whole.seconds_left)} left"
    return f"running{left}"


@st.fragment(run_every=2)
def _wait_for_study(folder: Path) -> None:
    if served_studies.entries(folder):
        st.rerun()


def _live(entry: served_studies.Entry, stamp: int, *, full: bool) -> None:
    """Follow the job of a study; the page runs again whenever a step is added, too."""

    def show(job: Job) -> None:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            share = bar(job)
            controls(job)
            if not full:
                fold_button(f"{100 * share:.0f} %")
        if full:
            _steps(job)
            with st.expander("What the command prints"):
                st.code(log_tail(entry.path, 12) or "Nothing yet.", language=None, wrap_lines=True)

    follow(entry.path, show, stop=lambda: stamp_of(entry.path) != stamp)


def stamp_of(path: Path) -> int:
    """Return a number that changes whenever a step is added to the study."""
    try:
        return (path / served_studies.MANIFEST).stat().st_mtime_ns
    except OSError:
        return 0


def staged(job: Job, *, least: int = 1) -> None:
    """Draw the share of a job's stages that are done, each taken for as long as another.

    Args:
        least: how many stages there are at least, while the job has not said how many.
    """
    n_done, n_stages = len(job.stages_done), max(job.stages_total, least)
    step = [f"Step {min(n_done + 1, n_stages)} of {n_stages}"] if n_stages > 1 else []
    part = f"{job.done:,} of {job.total:,} {job.unit}" if job.total else f"{job.stage or 'starting'} …"
    text = " · ".join([*step, part])
    st.progress(min((n_done + (job.fraction or 0.0)) / n_stages, 1.0), text=f"{text[:1].upper()}{text[1:]}")


def bar(job: Job) -> float:
    """How far a running job is, in one bar with its words: over all steps, where it runs them all.

    Returns:
        the share that the bar shows, in [0, 1]; it never falls.
    """
    whole = overall(job)
    if whole is None:
        return _stage_bar(job)
    parts = [f"Step {whole.number} of {whole.of}"] if whole.of > 1 else []
    parts.append(STEPS[whole.step].title if whole.step in STEPS else DOING.get(whole.step, whole.step))
    parts += _runs(job)
    if whole.seconds_left is not None:
        parts.append(f"about {about(whole.seconds_left)} left")
    elif whole.seconds_in_step is not None:
        parts.append(f"about {about(whole.seconds_in_step)} left in this step")
    share = HEIGHTS.reached(job, whole.fraction)
    st.progress(share, text=" · ".join(parts))
    return share


def _runs(job: Job) -> list[str]:
    return [f"run {job.run} of {job.runs}"] if job.runs > 1 and job.run else []


def about(seconds: float) -> str:
    """An estimate in words that promise no more than it holds.

    >>> about(3), about(44), about(100), about(1000), about(9000)
    ('10 s', '50 s', '2 min', '17 min', '2 h 30 min')
    """
    if seconds < 55:
        return f"{10 * max(math.ceil(seconds / 10), 1)} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {10 * round(minutes % 60 / 10)} min"


def _stage_bar(job: Job) -> float:
    stage = job.stage or "starting"
    what = STEPS[stage].doing if stage in STEPS else DOING.get(stage, stage.capitalize())
    share = HEIGHTS.reached(job, share_of_step(job))
    if job.fraction is None:
        st.progress(share, text=f"{what} …")
        return share
    parts = [f"{what}: {job.done:,} of {job.total:,} {job.unit}", *_runs(job)]
    if job.rate:
        parts.append(f"{job.rate:,.0f} a second" if job.rate >= 10 else f"{job.rate:.2g} a second")
    if job.eta_s is not None:
        parts.append(f"about {about(job.eta_s)} left in this step")
    st.progress(share, text=", ".join(parts))
    return share


def _steps(job: Job) -> None:
    lines = []
    for step in STEPS.values():
        if step.on_request and step.name not in (job.stage, *job.stages_done):
            continue
        if step.name in job.stages_done:
            lines.append(f":green[:material/check_circle:] {step.doing}")
        elif step.name == job.stage:
            of = f", {job.done:,} of {job.total:,} {job.unit}" if job.total else ""
            mark = ":orange[:material/pending:]" if job.running else ":red[:material/stop_circle:]"
            lines.append(f"{mark} **{step.doing}**{of}")
        else:
            lines.append(f":gray[:material/circle:] {step.doing}")
    st.markdown("  \n".join(lines))


def _unfinished(entry: served_studies.Entry, job: Job) -> None:
    """The page of a study whose making ended before it had images: why, how far it came, and what next."""
    command, whole = launcher.resume_command(job), overall(job)
    st.warning(f"Making this study {ENDINGS[job.state]}{reason(job)}", icon=":material/warning:")
    came = "" if whole is None else f"It came to step {whole.number} of {whole.of}; finished steps are kept. "
    after = "Resume continues with it." if command is not None else "Run the same command to resume."
    st.markdown(came + after)
    with st.container(horizontal=True, vertical_alignment="center", key="ended"):
        controls(job)
        if not guest_is_asking():
            with st.popover("Delete", icon=":material/delete:", key="unfinished_deletion"):
                sidebar.deletion(entry, of="unfinished")
        _details(job, command)
    if whole is not None:
        _steps(job)


def _ended(job: Job) -> None:
    command = launcher.resume_command(job)
    what = f"The last command {ENDINGS.get(job.state, job.state)}{reason(job)} Finished work is kept."
    what += "" if command is not None else " Run the same command to resume."
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="ended"):
        st.markdown(f":orange[:material/warning:] {what}")
        buttons = "ended_buttons"
        with st.container(
            horizontal=True, vertical_alignment="center", gap="small", width="content", key=buttons
        ):
            controls(job)
            _details(job, command, what)
            fold_button("stopped")


def _details(job: Job, command: Command | None, what: str = "") -> None:
    """What resumes a job, not the words of its files, since readers paste what they see; and its log.

    what: the sentence that stands beside it, of which a strip shows the beginning.
    """
    tail = log_tail(job.folder, 20)
    if command is None and not tail:
        return
    with st.popover("Details", type="tertiary"):
        st.markdown(what)
        if command is not None:
            st.caption("In a terminal")
            st.code(command.shell, language="bash", wrap_lines=True)
        if tail:
            st.caption("What it printed last")
            st.code(tail, language=None, wrap_lines=True)


def reason(job: Job) -> str:
    """Why a job ended, where there is more to say than that somebody stopped it."""
    if job.state == "cancelled":
        return "."
    if job.state == "interrupted":
        return ": it was killed, ran out of memory, or the machine restarted."
    return f": {widgets.plain((job.error or 'no reason given').rstrip('.'))}."
