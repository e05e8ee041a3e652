"""A chart as a PDF for a paper: white ground, serif or sans, one or two columns wide, fonts embedded."""

from __future__ import annotations

import streamlit as st

from core.errors import SettingsError
from core.figures.files import find_browser, render
from core.figures.restyle import for_print
from core.figures.theme import Theme
from dashboard.cache.rendered_figures import Drawn
from dashboard.components.tooltips import plain

FONTS = {"Serif": "serif", "Sans": "sans"}
COLUMNS = {"3.5 in, one column": "single", "7.25 in, two columns": "double"}


def pdf_button(figure: Drawn, theme: Theme, *, key: str, alt: str) -> None:
    """A button that opens the choices; the chart is printed only when it is asked for.

    figure: drawn with `theme`. alt: what it shows, for those who do not see it.
    """

    @st.fragment(key=f"{key}_print")
    def draw() -> None:
        with st.popover("PDF", key=f"{key}_pdf", on_change="rerun", help="For a paper: vectors") as opened:
            if opened.open:
                _choices(figure, theme, key, alt)

    draw()


def _choices(figure: Drawn, theme: Theme, key: str, alt: str) -> None:
    try:
        find_browser()
    except SettingsError as error:
        st.caption(plain(error))
        return
    font = st.segmented_control("Type", list(FONTS), default="Serif", required=True, key=f"{key}_font")
    column = st.segmented_control(
        "Width", list(COLUMNS), default=next(iter(COLUMNS)), required=True, key=f"{key}_column"
    )
    st.download_button(
        "Save as PDF",
        data=lambda: printed(figure, theme, COLUMNS[column or next(iter(COLUMNS))], FONTS[font or "Serif"]),
        file_name=f"{key}.pdf",
        mime="application/pdf",
        key=f"{key}_save_pdf",
        icon=":material/download:",
        help=alt,
        on_click="ignore",
    )
    st.caption("Drawing takes a few seconds. Colours are told apart with every common colour vision.")


def printed(figure: Drawn, theme: Theme, column: str, font: str) -> bytes:
    """The PDF of a chart. Raises SettingsError where no browser can draw it."""
    return render(for_print(figure.text, theme, column=column, font=font), "pdf")
