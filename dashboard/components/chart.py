"""A chart: drawn once for all readers who see the same, and saved as svg, png, pdf or csv."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.charts.chart import Chart, frame_of
from core.charts.options import FigureOptions
from core.charts.print_version import print_version
from core.charts.table_file import TableFile, answers_read
from core.charts.theme import Theme, paper, theme_named
from core.measures.slice import Slice
from core.store import Study
from dashboard.cache.chart_reads import chart_table, rendered
from dashboard.components.chart_menu import Drawing, chart_menu
from dashboard.components.gallery import GALLERIES, Shown, own_column, picture_figure, picture_table
from dashboard.components.plot import plot
from dashboard.components.tooltips import plain
from dashboard.state import served_studies


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
    column: str = "single",
    source: str = "",
    file: str = "",
) -> None:
    """Show a figure, and on it a menu that saves it as svg, png or pdf and its numbers as csv, and that adds
    it to my figures.

    Args:
        name: unique on the page; also the name of the saved files, unless they have their own, `file`, that
            tells them from those of other features or images.
        draw: makes the figure in a theme; called again with the theme of paper for print.
        depends_on: every choice, slice and other study that the figure depends on besides the study and the
            theme. What was drawn for the same ones is not drawn again. The first slice says which images it
            is of.
        alt: one sentence for screen readers. data: the numbers.
        on_select: called once with the points of each new click, before the next run (each a dict with its
            `customdata`).
        column: its width in print, single or double. source: the figure of a paper that it is drawn as.
    """
    theme = page_theme()
    figure = rendered(study, name, theme.name, depends_on, partial(draw, theme))
    drawing = Drawing(
        alt=alt,
        print_as=partial(print_version, draw, screen_height=figure.height),
        table=table_of(study, file or name, data, *depends_on),
        column=column,
        answer=served_studies.answer_option(study),
        source=source,
    )
    if source:
        st.caption(plain(f"As {source}"))
    with st.container(key=f"{name}_framed"):
        plot(figure, key=name, alt=alt, on_click=on_select)
        chart_menu(name, drawing)


def table_of(
    study: Study, name: str, data: pd.DataFrame | Callable[[], pd.DataFrame], *depends_on: Hashable
) -> TableFile:
    """The numbers of a chart as a file, named after what the chart depends on."""
    others = [one for one in depends_on if isinstance(one, Study) and one.key != study.key]
    among = next((one for one in depends_on if isinstance(one, Slice)), None)
    names = tuple(served_studies.name_of(one) for one in (study, *others))
    return TableFile(names, name, data, among, answers_read(study, *others))


@contextmanager
def with_menu(
    study: Study, name: str, *depends_on: Hashable, alt: str, file: str = ""
) -> Iterator[list[Shown]]:
    """A frame around galleries, with a menu that saves the pictures that they show and adds them to my
    figures; see `chart`. Pictures that no gallery shows are added to the list that it yields.
    """
    with st.container(key=f"{name}_framed"):
        with GALLERIES.collect() as galleries:
            yield galleries
        if not galleries:
            return
        drawing = Drawing(
            alt=alt,
            print_as=partial(_print_pictures, galleries, alt),
            print_above_caption=partial(_print_pictures, galleries, ""),
            table=table_of(study, file or name, partial(picture_table, study, galleries), *depends_on),
            column=own_column(galleries),
            answer=served_studies.answer_option(study),
            screen=lambda: picture_figure(galleries, page_theme(), about=alt),
        )
        chart_menu(name, drawing)


def _print_pictures(
    galleries: Sequence[Shown], about: str, *, column: str = "double", font: str = "serif"
) -> go.Figure:
    """Draw the pictures of galleries for print."""
    return picture_figure(galleries, paper(column=column, font=font), column=column, about=about)


def bold(finding: str) -> None:
    """Write a finding above its chart."""
    st.markdown(f"**{finding}**")


def show_chart(
    study: Study,
    what: Chart,
    options: FigureOptions = FigureOptions(),  # noqa: B008  (frozen)
    *,
    among: Slice | None = None,
    others: Sequence[Study] = (),
    name: str = "",
    title: Callable[[str], object] | None = bold,
    shown: Any = None,
    depends_on: tuple[Hashable, ...] = (),
    on_select: Callable[[list[dict]], None] | None = None,
) -> None:
    """Show a chart of the catalogue, as the command `figure` writes it, below its finding.

    Args:
        among: the images that it is of; None: those of the whole study. others: studies that it compares.
        name: unique on the page, if not that of the chart. title: writes the finding; None: no title.
        shown: what it shows, where the page has read that already. depends_on: what that depends on besides
            the studies, the options and the images.
        on_select: see `chart`.
    """
    table = chart_table(study, among, what.name, options, tuple(others)) if shown is None else shown
    if title is not None and (finding := what.finding(table)):
        title(plain(finding))
    numbers = frame_of(table)
    chart(
        study,
        name or what.name,
        lambda theme: what.draw(table, options, theme),
        *(what.name, options, among, *others, *depends_on),
        alt=what.described(table),
        data=pd.DataFrame() if numbers is None else numbers,
        on_select=on_select,
        column=what.column,
        source=what.source,
    )


def download(
    of: Study | Sequence[Study],
    frame: pd.DataFrame | Callable[[], pd.DataFrame],
    among: Slice | None = None,
    *,
    name: str,
    label: str = "Data as CSV",
    key: str = "",
) -> None:
    """A quiet button that saves a table; the text is made only when it is pressed.

    Args:
        of: the study, or the studies, that the numbers are of. among: the images that they are of.
        frame: the table, or what makes it once the button is pressed.
        name: of the table, and of its file; also the key of the button where none is given.
    """
    first, *others = [of] if isinstance(of, Study) else of
    table = table_of(first, name, frame, *others, among)
    st.download_button(
        label,
        data=table.content,
        file_name=f"{table.stem}.csv",
        mime="text/csv",
        key=f"{key or name}_csv",
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
    )
