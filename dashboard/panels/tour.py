"""A walk through the demo in six steps: a card above the page says what to see. The URL holds the step."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from core.store import Study
from dashboard.addresses import served_studies
from dashboard.state import session

STEP = "tour"  # part of the URL: the number of the step, from 1


@dataclass(frozen=True)
class Step:
    """A page, and what to look at there."""

    page: str
    title: str
    see: str


STEPS = (
    Step(
        "overview",
        "What a study is",
        "One encoder on one set of images. The cards hold the headline numbers; rest the pointer on a "
        "question mark for the formula. The sentence below says whether the Q-Score may be believed here.",
    ),
    Step(
        "features",
        "Features",
        "Each point is a feature of the encoder, by how many images make it fire. Click one in the green "
        "band: its strongest images and the classes it prefers appear below.",
    ),
    Step(
        "quality",
        "Quality",
        "Does a score of the representation predict a misclassified image? Drag the cut-off and read what "
        "it catches, then see the Q-Score among its rivals.",
    ),
    Step(
        "heatmaps",
        "Heatmaps",
        "Where the features look, on images classified correctly and not. Warm means strong. The planted "
        "masks of object and background can be drawn over it.",
    ),
    Step(
        "concepts",
        "Concepts",
        "What a feature means in words: its images are cropped to where it looks, and captions that fit the "
        "crops are searched. Pick a row of the table, or search for a word such as night.",
    ),
    Step(
        "failures",
        "Failures",
        "Rows are true classes, columns what the probe said. Click a cell: below are those images and the "
        "features that spoke for the wrong class, with their words.",
    ),
)


def start(study: Study) -> None:
    """The button that begins the tour; shown where the tour fits, and not while one is on."""
    if study.path.name != served_studies.DEFAULT or current() is not None:
        return
    st.button(
        "Take the tour",
        icon=":material/signpost:",
        help="Six pages of this study, with a sentence each on what to see.",
        on_click=session.set_url,
        args=(STEP, 1),
        key="tour_start",
    )


def current() -> int | None:
    """The number of the step that the URL asks for, from 0, or None."""
    text = session.url_text(STEP) or ""
    return int(text) - 1 if text.isdecimal() and 0 < int(text) <= len(STEPS) else None


def card(study: Study, page: str) -> None:
    """The card of the step that the URL asks for. On another page than the step's it only leads back."""
    number = current()
    if number is None:
        return
    step = STEPS[number]
    with st.container(border=True, key="tour", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{number + 1} of {len(STEPS)}: {step.title}**", width="stretch")
            st.button(
                "Close",
                icon=":material/close:",
                type="tertiary",
                on_click=session.set_url,
                args=(STEP, None),
                key="tour_close",
            )
        st.markdown(step.see if page == step.page else "The tour waits on another page.")
        with st.container(horizontal=True, vertical_alignment="center"):
            if page != step.page:
                _link(study, number, "Back to the tour", ":material/signpost:")
                return
            if number:
                _link(study, number - 1, "Back", ":material/arrow_back:")
            if number + 1 < len(STEPS):
                _link(study, number + 1, f"Next: {STEPS[number + 1].title}", ":material/arrow_forward:")


def _link(study: Study, number: int, label: str, icon: str) -> None:
    step = STEPS[number]
    query = {session.STUDY: served_studies.name_of(study), STEP: str(number + 1)}
    st.page_link(f"views/{step.page}.py", label=label, icon=icon, query_params=query, width="content")
