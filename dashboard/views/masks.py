"""Masks and mIoU: do the heatmaps lie on the object, or on what merely comes with it?"""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.measures.slice import Slice
from core.store import Study
from dashboard.cache import image_filter
from dashboard.components import widgets
from dashboard.components.choose_one import choose_one
from dashboard.panels import further_steps, masks
from dashboard.panels.filter_bar import filter_bar
from dashboard.panels.heatmaps import why_no_heatmaps
from dashboard.state import session
from dashboard.state.pages import PAGES

SHOWN = {
    "Overall": masks.overlap_scale,
    "By class": masks.by_class,
    "By feature": masks.overlap_by_feature,
    "By image": masks.overlap_by_image,
    "Correct against misclassified": masks.by_correctness,
    "Method": masks.overlap_method,
}


def masks_page(study: Study, population: Slice) -> None:
    row = st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute")
    with row:
        with st.container(width="content"):
            widgets.page_header(PAGES["masks"].title, PAGES["masks"].question)
        parts = st.container(width="content")
    if not _ready(study):
        return
    with parts:
        part = choose_one("Show", SHOWN, key="masks_part")
    filter_bar(study, population)
    masks.scale_finding(study, population)
    controls = st.container(horizontal=True, vertical_alignment="center", gap="small", key="part_controls")
    _part(study, population, part, controls)


@widgets.stable_container
def _part(study: Study, population: Slice, part: str, controls: DeltaGenerator) -> None:
    SHOWN[part](study, population, controls)


def _ready(study: Study) -> bool:
    """True when heatmaps were compared with masks; else says why not, and how to add masks."""
    skipped = study.why_skipped("overlap")
    if not skipped:
        return widgets.needs(study, "overlap_summary", "The overlap of heatmaps with masks")
    if why := why_no_heatmaps(study):
        widgets.empty_state("There are no heatmaps to compare with masks", why)
        return False
    return not further_steps.no_masks_help(study)


masks_page(session.current_study(), image_filter.population())
