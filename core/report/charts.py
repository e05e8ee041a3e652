"""The charts of a report: drawn once each, and put into the page as vector pictures or as living figures.

Pictures are the default: a chart is then some 20 kB instead of a share of plotly.js's 4.5 MB, prints as
vectors, and the page runs no script at all, so that every mail program and viewer shows it. They need a
Chrome or Chromium when the report is made. `interactive` embeds plotly.js once instead, to hover and zoom.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup

from core.charts.options import FigureOptions
from core.charts.theme import LIGHT
from core.errors import PeregrineError, SettingsError
from core.figures.catalogue import chart_named, drawn, read_chart
from core.figures.files import HTML_CONFIG, find_browser, render_all
from core.report.page import parts, picture
from core.store import Study

WIDTH = 660  # pixels, so that type keeps its size beside the text when two stand in a row
CHARTS = (
    "sorted_activation",
    "purity",
    "errors_found",
    "baselines",
    "q_distribution",
    "roc",
    "risk_coverage",
    "by_cause",
    "error_causes",
    "remedies",
    "miou",
    "threshold_sweep",
)


@dataclass(frozen=True)
class Charts:
    """Charts of one study by name; one that the study cannot draw is absent."""

    shown: Mapping[str, Markup]

    def row(self, *names: str) -> list[Markup]:
        """The charts of these names that there are, side by side; an empty list without any."""
        there = [self.shown[name] for name in names if name in self.shown]
        return [parts.row(there)] if there else []


def choose_interactive(interactive: bool) -> tuple[bool, str]:
    """Return True for interactive charts, and a note where that is only for want of a browser."""
    if interactive:
        return True, ""
    try:
        find_browser()
    except SettingsError:
        return (
            True,
            "No Chrome or Chromium was found to draw charts as pictures, so they are drawn by plotly.js.",
        )
    return False, ""


def study_charts(study: Study, *, interactive: bool) -> Charts:
    """Every chart of a report that the study holds the tables for."""
    figures = drawable(study)
    titles = [chart_named(name).title.partition(";")[0].replace(" (--score)", "") for name in figures]
    headings = [title if title[1:2].isupper() else title[0].upper() + title[1:] for title in titles]
    charts = [figure for figure, _ in figures.values()]
    pieces = embed(charts, headings, interactive, [alt for _, alt in figures.values()])
    return Charts(dict(zip(figures, pieces, strict=True)))


def drawable(study: Study) -> dict[str, tuple[go.Figure, str]]:
    """Draw the charts that the study holds the tables for, by name; with each its text for screen readers."""
    figures, options = {}, FigureOptions()
    for name in CHARTS:
        chart = chart_named(name)
        try:
            table = read_chart(study, chart, options)
            figures[name] = drawn(chart, table, options, LIGHT), chart.described(table)
        except PeregrineError:
            continue  # its chapter says why there is nothing
    return figures


def embed(
    figures: Sequence[go.Figure], titles: Sequence[str], interactive: bool, described: Sequence[str] = ()
) -> list[Markup]:
    """Figures with their titles below, as pieces of a page; `described` is for screen readers."""
    if interactive:
        config: dict[str, Any] = HTML_CONFIG | {"responsive": True}
        pieces = [
            Markup(one.to_html(full_html=False, include_plotlyjs=False, config=config)) for one in figures
        ]
        return [parts.chart(piece, title) for piece, title in zip(pieces, titles, strict=True)]
    for figure in figures:
        figure.update_layout(width=WIDTH)
    pictures = render_all(figures, "svg")
    facts = zip(pictures, titles, described or titles, strict=True)
    return [parts.chart(picture(svg, "svg+xml", alt=alt), title) for svg, title, alt in facts]
