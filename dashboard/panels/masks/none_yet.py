"""What is said where a study has no masks: what a mask is, and the command that adds them."""

from __future__ import annotations

import streamlit as st

from core.common.command_line import command_line
from core.store import Study
from dashboard.components import widgets
from dashboard.components.page_link import link

HOW_TO_ADD = (
    "A mask marks the object (core), or what merely comes with it (spurious). Put the masks below one folder "
    "DIR, in its folders core and spurious, each with the name of its image. Then run this command, or "
    "choose the folder under New study, Further steps."
)


def no_masks_help(study: Study) -> bool:
    """Say how masks are added to a study that was made without; where some were given, why none counts.

    False, and nothing is said, where masks are not what is missing.
    """
    if not missing(study):
        return False
    summary = study.summary("overlap")
    why = str(summary["skipped"]) if summary.get("masks") else HOW_TO_ADD
    widgets.empty_state("No masks yet", why, command_line("overlap", study.path, masks="DIR"))
    _way_to_add(study)
    return True


def briefly_explained(study: Study) -> bool:
    """The same in a column of a page: one sentence, and the way to add them."""
    if not missing(study):
        return False
    st.caption("It needs masks of the objects, which this study does not have.")
    _way_to_add(study)
    return True


def missing(study: Study) -> bool:
    """True where masks are what a study lacks to compare heatmaps with."""
    skipped = study.summary("overlap").get("skipped")
    return bool(skipped) and not study.summary("heatmaps").get("skipped")


def _way_to_add(study: Study) -> None:
    link("new_study", "Choose the mask folder", study, icon="arrow_forward")
