"""A chart: drawn once for all readers who see the same, and saved as svg, png, pdf or csv."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.common.csv_text import csv_text
from core.errors import SettingsError
from core.figures.catalogue import FIGURES
from core.figures.files import find_browser, render
from core.figures.options import FigureOptions
from core.figures.print_version import print_version
from core.figures.theme import Theme, theme_named
from core.store import Study
from dashboard.cache.cached_study import CachedStudy
from dashboard.cache.rendered_figures import rendered
from dashboard.components.plot import plot
from dashboard.components.save_chart import save_buttons
from dashboard.components.tooltips import plain

FONTS = {"Serif": "serif", "Sans": "sans"}
COLUMNS = {"3.5 in, one column": "single", "7.25 in, two columns": "double"}


def page_theme() -> Theme:
    """The figure theme of the page as the reader sees it now: light or dark."""
    return theme_named(st.context.theme.type)


def chart(
    study: Study,
    name: str,
    draw: Callable[[Theme], go.Figure],
    *depends_on: Hashable,
    alt: str,
    data: pd.DataFrame,
    on_select: Callable[[list[dict]], None] | None = None,
) -> None:
    """Show a figure, and below it buttons that save it as svg, png or pdf, and its numbers as csv.

    Args:
        name: unique on the page; also the name of the saved files.
        draw: makes the figure in a theme; called again with the theme of paper for a PDF.
        depends_on: every choice, slice and other study that the figure depends on besides the study and the
            theme. What was drawn for the same ones is not drawn again.
        alt: one sentence for screen readers. data: the numbers.
        on_select: called once with the points of each new click, before the next run (each a dict with its
            `customdata`).
    """
    theme = page_theme()
    figure = rendered(study, name, theme.name, depends_on, partial(draw, theme))
    plot(figure, key=name, alt=alt, on_click=on_select)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        save_buttons(name, alt=alt)
        _pdf_button(partial(print_version, draw, screen_height=figure.height), name=name, alt=alt)
        download(data, name=name)


def catalogue_chart(
    study: Study,
    entry: str,
    options: FigureOptions = FigureOptions(),  # noqa: B008  (frozen)
    *,
    name: str,
    alt: str,
    data: pd.DataFrame,
    others: Sequence[Study] = (),
    on_select: Callable[[list[dict]], None] | None = None,
) -> None:
    """Show a figure of the catalogue, the same that the command `figure` writes.

    Args:
        entry: its name in the catalogue. others: further studies that it compares. The rest: see `chart`.
    """
    studies = [CachedStudy(one) for one in (study, *others)]
    draw = partial(FIGURES[entry].draw, studies, options)
    chart(study, name, draw, entry, options, *others, alt=alt, data=data, on_select=on_select)


def download(frame: pd.DataFrame, *, name: str, label: str = "Data as CSV") -> None:
    """A quiet button that saves a table; the text is made only when it is pressed."""
    st.download_button(
        label,
        data=lambda: csv_text(frame).encode(),
        file_name=f"{name}.csv",
        mime="text/csv",
        key=f"{name}_csv",
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
    )


def _pdf_button(draw: Callable[..., go.Figure], *, name: str, alt: str) -> None:
    """A button that opens the choices; the chart is drawn for print only when it is asked for."""

    @st.fragment(key=f"{name}_print")
    def choices() -> None:
        with st.popover("PDF", key=f"{name}_pdf", on_change="rerun", help="For a paper: vectors") as opened:
            if opened.open:
                _choices(draw, name, alt)

    choices()


def _choices(draw: Callable[..., go.Figure], name: str, alt: str) -> None:
    try:
        find_browser()
    except SettingsError as error:
        st.caption(plain(error))
        return
    font = st.segmented_control("Type", list(FONTS), default="Serif", required=True, key=f"{name}_font")
    column = st.segmented_control(
        "Width", list(COLUMNS), default=next(iter(COLUMNS)), required=True, key=f"{name}_column"
    )
    look = {"font": FONTS[font or "Serif"], "column": COLUMNS[column or next(iter(COLUMNS))]}
    st.download_button(
        "Save as PDF",
        data=lambda: render(draw(**look), "pdf"),
        file_name=f"{name}.pdf",
        mime="application/pdf",
        key=f"{name}_save_pdf",
        icon=":material/download:",
        help=alt,
        on_click="ignore",
    )
    st.caption("Drawing takes a few seconds. Colours are told apart with every common colour vision.")
