"""A tour of the demo in six steps: a card above the page says what to see. The URL holds the step."""

from dataclasses import dataclass

import streamlit as st

from core.store import Study
from dashboard.addresses import served_studies
from dashboard.components.page_link import link
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
        "What this encoder sees",
        "A study is one encoder on one set of images. The cards say how well a linear probe on it does, how "
        "many of its features ever fire, and whether their heatmaps lie on the object. Below are things to "
        "look at first. A question mark holds the formula.",
    ),
    Step(
        "features",
        "Features",
        "Each card is a feature: the images on which it is strongest, with the heatmap of where it looks. "
        "Choose a class above, and the features that make this class come first.",
    ),
    Step(
        "heatmaps",
        "Heatmaps",
        "Where the features look on images that are classified correctly, left, and on those that are not, "
        "right. Warm means strong.",
    ),
    Step(
        "masks",
        "Masks and mIoU",
        "Do heatmaps lie on the object? The scale shows the encoder between heatmaps that know nothing of "
        "the image and the best that maps of this resolution can reach.",
    ),
    Step(
        "errors",
        "Errors",
        "The kinds of images that are misclassified most often. Open one, or save it as a slice: every page "
        "then answers for its images alone.",
    ),
    Step(
        "predicting_errors",
        "Predicting errors",
        "Which score tells that an image is misclassified? One is recommended, with its AUROC (chance is "
        "0.5); the Q-Score stands among the others.",
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
                _link(study, number, "Back to the tour", "signpost")
                return
            if number:
                _link(study, number - 1, "Back", "arrow_back")
            if number + 1 < len(STEPS):
                _link(study, number + 1, f"Next: {STEPS[number + 1].title}", "arrow_forward")


def _link(study: Study, number: int, label: str, icon: str) -> None:
    step = STEPS[number]
    link(step.page, label, study, icon=icon, **{STEP: str(number + 1)})
