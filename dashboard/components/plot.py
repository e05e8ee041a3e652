"""One chart: plotly draws it in the browser, once, at its final width, when it comes into sight or is idle.

Streamlit's own chart element is drawn at least twice (first without a width) and again after each rerun. Here
a rerun with the same figure costs nothing, and one with another figure changes what is there without a flash.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from plotly.offline import get_plotlyjs_version

from dashboard.cache.chart_reads import RenderedFigure
from dashboard.components.browser_half import browser_half

LOAD_PLOTLY = Path(__file__).with_name("load_plotly.js")

_PLOT = browser_half(
    "plot",
    '<div class="peregrine-plot" role="figure"><div class="peregrine-drawing"></div></div>',
    *(LOAD_PLOTLY, "plot.js"),
    isolate_styles=False,  # plotly's own style sheet is the page's
)


@cache
def library() -> str:
    """Return the address of plotly, relative to the page; a new version has a new address."""
    return f"plotly.js?v={get_plotlyjs_version()}"


def plot(
    figure: RenderedFigure,
    *,
    key: str,
    alt: str,
    on_click: Callable[[list[dict[str, Any]]], None] | None = None,
) -> None:
    """Draw a figure. `alt` says in a sentence what it shows. `on_click` gets the points of each click, before
    the next run: a dict each with x, y and its `customdata` as a list.
    """

    def clicked() -> None:
        points = st.session_state[key].clicked
        if points and on_click is not None:
            on_click(points)

    _PLOT(
        key=key,
        data={
            "figure": figure.text,
            "height": figure.height,
            "width": figure.width,
            "alt": alt,
            "name": key,
            "library": library(),
            "clickable": on_click is not None,
        },
        on_clicked_change=clicked,
    )
