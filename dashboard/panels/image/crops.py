"""An image as crops with words: what it activates, and what speaks for the probe's answer."""

from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from core.concepts.decomposition import stored
from core.jobs.commands import DecomposeImage
from core.jobs.jobs import Job, read_report
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache.features import concept_reads
from dashboard.components import widgets
from dashboard.components.job_follower import follow, start_button
from dashboard.jobs import launcher
from dashboard.panels.concepts import decomposition, evidence
from dashboard.panels.jobs import study_progress
from dashboard.state import session

# Of this session, each with the image that it is about: `About` and the folder, the result, or the reason.
JOB, RESULT, TROUBLE = "_decompose_job", "_decompose_result", "_decompose_trouble"
About = tuple[str, str]  # key of a study as it is now, and image_id


def of_image(study: Study, row: int) -> None:
    """The crops of an image of the study: where each feature that it highly activates looks, with words."""
    if not evidence.ready(study, "No feature was put into words"):
        return
    about = study.key, str(study.column("images", "image_id").iat[row])
    result = _kept(RESULT, about)
    decomposed: dict[str, Any] = result or stored(study, row) | {"size": concept_reads.size_of(study, row)}
    picture = served_studies.picture_url(study, row, "image")
    without = sum(part["box"] is None for part in decomposed["features"])
    if without and result is None:
        _ask(study, about, without)
    decomposition.decomposition(
        study,
        decomposed,
        picture=picture,
        crop=lambda part: concept_reads.crop_url(study, row, tuple(part["box"])) if part["box"] else "",
    )


def _ask(study: Study, about: About, without: int) -> None:
    """Where the other features look is not stored: the encoder can say."""
    if (folder := _kept(JOB, about)) is not None:
        _progress(folder, about)
        return
    features, they = ("one of its features looks", "it looks")
    if without > 1:
        features, they = (f"{without} of its features look", "they look")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.caption(f"Where {features} is not stored.", width="content")
        if why := _kept(TROUBLE, about):  # the last job ended without a result
            st.error(widgets.plain(why[:1].upper() + why[1:]), icon=":material/error:")
        refused = start_button(
            request(study, about[1]),
            f"Compute where {they}",
            key="decompose_again",
            icon=":material/center_focus_strong:",
            then=partial(_started, about),
        )
        if refused:
            st.caption(widgets.plain(refused))


def request(study: Study, image_id: str) -> DecomposeImage:
    """Return the command that looks at an image of a study, by the answer of the page."""
    return DecomposeImage(study.path.resolve(), image_id, answer=served_studies.answer_option(study))


def _started(about: About, job: Job) -> None:
    _forget()
    session.set_widget(JOB, (about, job.folder))


def _forget() -> None:
    """Another picture, or none: what is known of the last one goes."""
    if (job := session.recall(JOB)) is not None:
        launcher.discard(job[1])
    for name in (JOB, RESULT, TROUBLE):
        session.set_widget(name, None)


def _kept(name: str, about: About) -> Any:
    """What this session keeps under JOB, RESULT or TROUBLE; None where it is about another image."""
    whose, value = session.recall(name) or (None, None)
    return value if whose == about else None


def _progress(folder: Path, about: About) -> None:
    """Show how far the job is; when it has ended, fetch its result and remove its folder."""

    def fetch(job: Job | None) -> None:
        result = read_report(folder)
        if result is None:
            why = (job.error if job is not None else None) or "the job ended without a result"
            session.set_widget(TROUBLE, (about, why))
        else:
            session.set_widget(RESULT, (about, result))
        launcher.discard(folder)
        session.set_widget(JOB, None)

    follow(folder, _working, on_done=fetch)


def _working(job: Job) -> None:
    study_progress.staged(job, least=3)
    st.button("Stop", key="decompose_stop", icon=":material/stop:", on_click=_forget)
