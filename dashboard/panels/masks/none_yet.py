"""What is shown where a study has no masks: what they would tell, and the fields that bring them."""

from functools import partial

import streamlit as st

from core.slices.inspection.populations import with_split
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.components.page_link import link
from dashboard.components.path_picker import path_field
from dashboard.components.run_button import button_with, step_command
from dashboard.components.tooltips import plain
from dashboard.jobs import dropped_images, launcher
from dashboard.panels.masks import scale
from dashboard.panels.new_study import drop, request

MASKS = {request.MASK_FOLDER: "Pictures named like the images", request.SALIENT: "Salient ImageNet"}
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
    summary = study.summary("overlap")
    st.header("Does it look at the object? Masks would tell")
    st.markdown(WHAT_THEY_TELL)
    if summary.get("masks"):
        st.warning(plain(str(summary["skipped"])), icon=":material/warning:")
    mask_field(study, key="masks")
    _example(study)
    return True


def mask_field(study: Study, *, key: str) -> None:
    """Choose or drop masks, and compare the heatmaps with them; where no click may, with a line to paste.

    Args:
        key: begins those of the fields, and their names in the URL.
    """
    about = "Object masks, or folders core (the object) and spurious (what merely comes with it)."
    left, right = st.columns(2, gap="large")
    with left:
        kind = st.selectbox("Masks", list(MASKS), format_func=lambda one: MASKS[one], key=f"{key}_kind")
        path = path_field("Mask folder", key=f"{key}_path", folder=True, help=about)
    if kind == request.MASK_FOLDER:
        with right:
            drop.folder_field(
                "Or drop a folder of masks here",
                about=about,
                path_key=f"{key}_path",
                keep=dropped_images.keep_masks,
            )
    options = partial(request.mask_options, kind, path)
    command = step_command(study, "overlap")
    reason = launcher.refusal(command) if command is not None else None
    if path.strip():
        button_with(study, "overlap", options, "Compare heatmaps with masks")
    if reason is not None:
        st.caption(f"The comparison cannot be started from here yet. {plain(reason)}")


def briefly_explained(study: Study) -> bool:
    """The same in a column of a page: one sentence, and the way to add them."""
    if not missing(study):
        return False
    st.caption("It needs masks of the objects, which this study does not have.")
    link("masks", "Add masks", study, icon="arrow_forward")
    return True


def missing(study: Study) -> bool:
    """True where masks are what a study lacks to compare heatmaps with."""
    skipped = study.summary("overlap").get("skipped")
    return bool(skipped) and not study.summary("heatmaps").get("skipped")


def _example(study: Study) -> None:
    """What masks tell of the demo, where it is served."""
    folders = {entry.name: entry.path for entry in served_studies.entries(served_studies.studies_folder())}
    if (path := folders.get(served_studies.DEFAULT)) is None or path == study.path:
        return
    demo = served_studies.open_current(path)
    if demo.has("overlap_summary"):
        with st.container(border=True):
            st.caption(f"An example, of the study {served_studies.DEFAULT}:")
            scale.finding(demo, among := with_split(demo, Slice()))
            scale.overlap_scale(demo, among)
            link("masks", "Open this example", demo, icon="arrow_forward", where="")
