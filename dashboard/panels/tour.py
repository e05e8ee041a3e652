"""A tour of the demo in six steps: a card above the page says what to see. The URL holds the step."""

import streamlit as st

from core.store import Study
from dashboard.components.page_link import link
from dashboard.state import served_studies, session
from dashboard.state.pages import PAGES, Page

STEP = "tour"  # part of the URL: the number of the step, from 1
STEPS = [page for page in PAGES.values() if page.tour]


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
            st.markdown(f"**{number + 1} of {len(STEPS)}: {_title(step)}**", width="stretch")
            st.button(
                "Close",
                icon=":material/close:",
                type="tertiary",
                on_click=session.set_url,
                args=(STEP, None),
                key="tour_close",
            )
        st.markdown(step.tour if page == step.name else "The tour waits on another page.")
        with st.container(horizontal=True, vertical_alignment="center"):
            if page != step.name:
                _link(study, number, "Back to the tour", "signpost")
                return
            if number:
                _link(study, number - 1, "Back", "arrow_back")
            if number + 1 < len(STEPS):
                _link(study, number + 1, f"Next: {_title(STEPS[number + 1])}", "arrow_forward")


def _title(step: Page) -> str:
    return step.tour_title or step.title


def _link(study: Study, number: int, label: str, icon: str) -> None:
    link(STEPS[number].name, label, study, icon=icon, **{STEP: str(number + 1)})
