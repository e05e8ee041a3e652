"""One of the four words of a verdict, as a badge with its sentence."""

from typing import Literal

import streamlit as st

from core.common.verdicts.words import RELIABLE, USEFUL, USELESS, WEAK, Verdict
from dashboard.components import widgets

Colour = Literal["green", "blue", "orange", "red", "gray"]
LOOKS: dict[str, tuple[str, Colour]] = {
    RELIABLE: (":material/verified:", "green"),
    USEFUL: (":material/check:", "blue"),
    WEAK: (":material/trending_flat:", "orange"),
    USELESS: (":material/close:", "red"),
    "": (":material/help:", "gray"),
}
NOT_JUDGED = "not judged"


@widgets.stable_container
def verdict(judged: Verdict) -> None:
    """The word of a verdict, and the sentence with its numbers."""
    icon, colour = LOOKS[judged.word]
    with st.container(gap="xxsmall"):
        st.badge(judged.word or NOT_JUDGED, icon=icon, color=colour, help=widgets.help_text("verdict"))
        st.markdown(widgets.plain(judged.sentence))
