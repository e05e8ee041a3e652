"""An image as crops with words: what it activates, and what speaks for the probe's answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from core.concepts.decomposition import stored
from core.errors import PeregrineError
from core.jobs.jobs import Job, read_report
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache.features import concept_reads
from dashboard.components import widgets
from dashboard.components.job_follower import follow
from dashboard.jobs import launcher
from dashboard.panels.concepts import decomposition, evidence
from dashboard.panels.jobs import study_progress
from dashboard.state import session

JOB, RESULT, TROUBLE = "_decompose_job", "_decompose_result", "_decompose_trouble"  # of this session


def of_image(study: Study, row: int) -> None:
    """The crops of an image of the study: where each feature that it highly activates looks, with words."""
    if not evidence.ready(study, "No feature was put into words"):
        return
    image_id = str(study.column("images", "image_id").iat[row])
    decomposed = _result(study, image_id) or stored(study, row) | {"size": concept_reads.size_of(study, row)}
    picture = served_studies.picture_url(study, row, "image")
    without = sum(part["box"] is None for part in decomposed["features"])
    if without and _result(study, image_id) is None:
        _ask(study, image_id, without)
    decomposition.decomposition(
        study,
        decomposed,
        picture=picture,
        crop=lambda part: concept_reads.crop_url(study, row, tuple(part["box"])) if part["box"] else "",
    )


def _ask(study: Study, image_id: str, without: int) -> None:
    """Where the other features look is not stored: the encoder can say."""
    folder = session.recall(JOB)
    if folder is not None:
        _progress(study, Path(folder), image_id)
        return
    features, they = ("one of its features looks", "it looks")
    if without > 1:
        features, they = (f"{without} of its features look", "they look")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.caption(f"Where {features} is not stored.", width="content")
        if why := session.recall(TROUBLE):  # the last job did not begin, or ended without a result
            st.error(widgets.plain(why[:1].upper() + why[1:]), icon=":material/error:")
        st.button(
            f"Compute where {they}",
            icon=":material/center_focus_strong:",
            key="decompose_again",
            on_click=_begin,
            args=(lambda: launcher.decompose_image(study, image_id),),
        )


def _begin(start: Callable[[], Path]) -> None:
    _forget()
    try:
        session.set_widget(JOB, str(start()))
    except PeregrineError as error:
        session.set_widget(TROUBLE, str(error))


def _forget() -> None:
    """Another picture, or none: what is known of the last one goes."""
    if (folder := session.recall(JOB)) is not None:
        launcher.discard(Path(folder))
    for name in (JOB, RESULT, TROUBLE):
        session.set_widget(name, None)


def _result(study: Study, name: str) -> dict[str, Any] | None:
    """The result of this session's last job, if it is about this picture and this study as it is now."""
    about, result = session.recall(RESULT) or (None, None)
    return result if about == (study.key, name) else None


def _progress(study: Study, folder: Path, name: str) -> None:
    """Show how far the job is; when it has ended, fetch its result and remove its folder."""

    def fetch(job: Job | None) -> None:
        result = read_report(folder)
        if result is None:
            why = (job.error if job is not None else None) or "the job ended without a result"
            session.set_widget(TROUBLE, why)
        else:
            session.set_widget(RESULT, ((study.key, name), result))
        launcher.discard(folder)
        session.set_widget(JOB, None)

    follow(folder, _working, on_done=fetch)


def _working(job: Job) -> None:
    study_progress.staged(job, least=3)
    st.button("Stop", key="decompose_stop", icon=":material/stop:", on_click=_forget)
