"""Steps that a study lacks, each with a button that starts it; masks and words are asked for."""

from functools import partial

import streamlit as st

from core.errors import PeregrineError
from core.jobs.jobs import read_job
from core.steps import STEPS
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.components.path_picker import path_field
from dashboard.components.run_button import button_with, run_button, step_command
from dashboard.components.tooltips import plain
from dashboard.panels.masks.none_yet import mask_field
from dashboard.panels.new_study import request
from dashboard.state import session

WORDS = {request.WORD_FILE: "A caption file", request.GLYPH_WORDS: "Glyphworld's captions"}


def section() -> None:
    """For the study chosen in the sidebar; nothing where there is none, or while a job runs in it."""
    study = chosen_study()
    if study is None:
        return
    st.header(f"Further steps of {plain(served_studies.name_of(study))}")
    job = read_job(study.path)
    if job is not None and job.running:
        st.caption("A job runs in this study; further steps can be started when it has ended.")
        return
    missing = study.missing()
    for step, why in missing.items():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{STEPS[step].doing}**: {plain(why.reason)}")
            if (command := step_command(study, step, redo=why.redo)) is not None:
                run_button(command, key=f"further_{step}")
    if not missing:
        st.caption("No step is left to run. With other masks or captions, these can be run again:")
    left, right = st.columns(2, gap="large")
    with left.expander("Compare heatmaps with masks", key="further_masks", on_change="rerun") as masks:
        if masks.open:
            mask_field(study, key="further_masks")
    with right.expander("Name features with captions", key="further_words", on_change="rerun") as words:
        if words.open:
            _concepts(study)


def chosen_study() -> Study | None:
    """The study of the sidebar; None where there is none, or it has no images."""
    name = session.recall(session.STUDY)
    try:
        study = (
            served_studies.open_current(served_studies.resolve(served_studies.studies_folder(), name))
            if name
            else None
        )
        return study if study is not None and study.has("images") else None
    except PeregrineError:
        return None


def _concepts(study: Study) -> None:
    kind = st.selectbox("Captions", list(WORDS), format_func=lambda one: WORDS[one], key="further_words_kind")
    path = ""
    if kind == request.WORD_FILE:
        path = path_field(
            "Caption file",
            key="further_words_path",
            endings=(".txt", ".csv", ".tsv", ".parquet"),
            folder=True,
        )
    clip = st.text_input("CLIP", key="further_clip", placeholder="ViT-B-32@openai") or ""
    if kind == request.GLYPH_WORDS or path.strip():
        options = partial(request.word_options, kind, path, clip)
        button_with(study, "concepts", options, "Name the features")
