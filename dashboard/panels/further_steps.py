"""Steps that a study lacks, each with a button that starts it; masks and words are asked for."""

import os
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import streamlit as st

from core.common.command_line import PROGRAM
from core.common.formatting import full_sentence
from core.common.step_facts import OverlapFacts
from core.errors import PeregrineError, SettingsError
from core.measures.slice import Slice
from core.measures.slice_comparison import with_split
from core.store import Study
from core.study.jobs import read_job
from core.study.steps import STEPS
from core.study.write_access import guest_is_asking
from dashboard.components.form_fields import path_field
from dashboard.components.job_follower import button_with, run_button, step_command
from dashboard.components.page_link import link
from dashboard.components.tooltips import plain
from dashboard.jobs import allowed_paths, dropped_images, launcher
from dashboard.panels import folder_field, masks, new_study_request
from dashboard.state import served_studies, session

# Steps that a study lacks, each with a button that starts it; masks and words are asked for.


WORDS = {
    new_study_request.WORD_FILE: "A caption file",
    new_study_request.GLYPH_WORDS: "Glyphworld's captions",
}


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
    if kind == new_study_request.WORD_FILE:
        path = path_field(
            "Caption file",
            key="further_words_path",
            endings=(".txt", ".csv", ".tsv", ".parquet"),
            folder=True,
        )
    clip = st.text_input("CLIP", key="further_clip", placeholder="ViT-B-32@openai") or ""
    if kind == new_study_request.GLYPH_WORDS or path.strip():
        options = partial(new_study_request.word_options, kind, path, clip)
        button_with(study, "concepts", options, "Name the features")


# What is shown where a study has no masks: what they would tell, and the fields that bring them.


MASKS = {
    new_study_request.MASK_FOLDER: "Pictures named like the images",
    new_study_request.SALIENT: "Salient ImageNet",
}
WHAT_THEY_TELL = (
    "A mask is a picture that is white where the object is. With masks, this page tells whether the encoder "
    "looks at the objects or at what is around them: as one number with its interval, by class, by feature, "
    "and for misclassified images."
)


def no_masks_help(study: Study) -> bool:
    """Say what masks would tell and bring them; where some were given, say why none counts.

    False, and nothing is drawn, where masks are not what is missing.
    """
    if not missing(study):
        return False
    facts = study.facts(OverlapFacts)
    st.header("Does it look at the object? Masks would tell")
    st.markdown(WHAT_THEY_TELL)
    if facts.masks:
        st.warning(plain(facts.skipped), icon=":material/warning:")
    if not guest_is_asking():
        mask_field(study, key="masks")
    _example(study)
    return True


def mask_field(study: Study, *, key: str) -> None:
    """Choose or drop masks, and compare the heatmaps with them; where no click may, with lines to paste.

    Args:
        key: begins those of the fields, and their names in the URL.
    """
    about = "Object masks, or folders core (the object) and spurious (what merely comes with it)."
    left, right = st.columns(2, gap="large")
    with left:
        kind = st.selectbox("Masks", list(MASKS), format_func=lambda one: MASKS[one], key=f"{key}_kind")
        path = path_field("Mask folder", key=f"{key}_path", folder=True, help=about)
    if kind == new_study_request.MASK_FOLDER:
        with right:
            folder_field.folder_field(
                "Or drop a folder of masks here",
                about=about,
                path_key=f"{key}_path",
                keep=dropped_images.keep_masks,
            )
    command = step_command(study, "overlap")
    reason = launcher.refusal(command) if command is not None else None
    if reason is not None:
        _in_a_terminal(study, kind, path, reason)
    elif path.strip():
        options = partial(new_study_request.mask_options, kind, path)
        button_with(study, "overlap", options, "Compare heatmaps with masks")


def _in_a_terminal(study: Study, kind: str, path: str, reason: str) -> None:
    """The line that compares heatmaps with masks, and the one after which a click does it."""
    options: Mapping[str, str] = {new_study_request.NAMING_MASKS[kind]: "MASKS"}
    if path.strip():
        try:
            options = new_study_request.mask_options(kind, path)
        except SettingsError as error:
            st.error(plain(full_sentence(str(error))), icon=":material/error:")
    command = step_command(study, "overlap", options)
    roots = [text for text in (os.environ.get(allowed_paths.ROOTS), _images_folder(study)) if text]
    if command is None:
        return
    with st.container(border=True):
        st.markdown("**One command compares them.** Then reload this page.")
        st.code(command.shell, language="bash", wrap_lines=True)
        if not path.strip():
            st.caption("MASKS is the folder of the masks. Drop them above, and it stands here.")
        if allowed_paths.ROOTS in reason and _images_folder(study):
            st.markdown("**Or let clicks do it:** start the dashboard so that it may read the images, too.")
            line = f"{allowed_paths.ROOTS}={shlex.quote(os.pathsep.join(roots))} {PROGRAM} dashboard"
            served = served_studies.studies_folder()
            st.code(f"{line} --studies {shlex.quote(str(served))}", language="bash", wrap_lines=True)
        else:
            st.caption(plain(reason))


def _images_folder(study: Study) -> str:
    """The folder on this computer that a study reads its images from; "" for any other source."""
    images = Path(str(study.settings("embed").get("images") or ""))
    folder = images if images.is_dir() else images.parent
    return str(folder) if images.is_absolute() and folder.is_dir() else ""


def briefly_explained(study: Study) -> bool:
    """Say in a column of a page that masks are missing, and link to the way; False where they are there."""
    if not missing(study):
        return False
    st.caption("It needs masks of the objects, which this study does not have.")
    link("masks", "Add masks", study, icon="arrow_forward")
    return True


def missing(study: Study) -> bool:
    """True where masks are what a study lacks to compare heatmaps with."""
    skipped = study.why_skipped("overlap")
    return bool(skipped) and not study.why_skipped("heatmaps")


def _example(study: Study) -> None:
    """What masks tell of the demo, where it is served."""
    demo = served_studies.example_beside(study)
    if demo is not None and demo.has("overlap_summary"):
        with st.container(border=True):
            st.caption(f"An example, of the study {served_studies.DEFAULT}:")
            masks.scale_finding(demo, among := with_split(demo, Slice()))
            masks.overlap_scale(demo, among)
            link("masks", "Open this example", demo, icon="arrow_forward", where="")
