"""Masks and mIoU: do the heatmaps lie on the object, or on what merely comes with it?"""

from __future__ import annotations

import streamlit as st

from core.common.command_line import command_line
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses.pages import PAGES
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.components.choose_one import choose_one
from dashboard.components.stable_container import own_place
from dashboard.panels.filter_bar import filter_bar
from dashboard.panels.masks import classes, features, images, method, scale
from dashboard.state import session

SHOWN = {
    "By class": classes.by_class,
    "By feature": features.show,
    "By image": images.show,
    "Correct against misclassified": classes.by_correctness,
    "Method": method.show,
}
HOW_TO_ADD = (
    "A mask marks the object (core), or what merely comes with it (spurious). Put the masks below one folder "
    "DIR, in its folders core and spurious, each with the name of its image. Then run this command."
)


def page(study: Study) -> None:
    widgets.page_header(PAGES["masks"].title, PAGES["masks"].question)
    if not _ready(study):
        return
    population = filter_bar(study)
    scale.show(study, population)
    with st.container(key="masks_controls"):
        part = choose_one("Show", SHOWN, key="masks_part", default="By class")
    _part(study, population, part)


@own_place
def _part(study: Study, population: Slice, part: str) -> None:
    SHOWN[part](study, population)


def _ready(study: Study) -> bool:
    """True when heatmaps were compared with masks; else says why not, and how to add masks."""
    skipped = reads.summary(study, "overlap").get("skipped")
    if not skipped:
        return widgets.needs(study, "overlap_summary", "The overlap of heatmaps with masks")
    if why := reads.summary(study, "heatmaps").get("skipped"):
        widgets.empty_state("There are no heatmaps to compare with masks", str(why))
        return False
    command = command_line("overlap", study.path, masks="DIR")
    given = reads.summary(study, "overlap").get("masks")
    widgets.empty_state("No masks yet", str(skipped) if given else HOW_TO_ADD, command)
    return False


page(session.current_study())
