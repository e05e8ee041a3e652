"""Figures: those that were marked on any page, each a click, and all as one .zip for a paper."""

from dataclasses import dataclass, field
from functools import partial

import streamlit as st

from core.charts.documents import figures_zip
from core.charts.figure_files import render
from core.charts.fonts import font_faces
from core.charts.kept_figures import EARLIER, LATER, LONGEST_CAPTION, KeptFigure
from core.common.formatting import counted
from core.study.missing import nothing
from dashboard.cache.chart_reads import RenderedFigure
from dashboard.components import widgets
from dashboard.components.chart_menu import print_problem
from dashboard.components.page_link import link
from dashboard.components.plot import plot
from dashboard.components.tooltips import plain
from dashboard.state import my_figures, session
from dashboard.state.pages import PAGES

BESIDE = 400  # px of what stands beside a figure, or below a wide one
MIME = {"pdf": "application/pdf", "svg": "image/svg+xml", "png": "image/png", "csv": "text/csv"}
OLD_LINK = "sheet"  # part of the URL before 0.4.0: what was on a figure sheet
MOVES = {EARLIER: ("Earlier", ":material/arrow_upward:"), LATER: ("Later", ":material/arrow_downward:")}
ONE_COLUMN = 3.5  # inches of a page of two columns
LEFT = "Figure sheets left in 0.4.0, so what this link had on one is not shown. Mark its figures instead."


@dataclass(frozen=True)
class Source:
    """A page with charts or pictures; item: what it draws them from."""

    page: str
    title: str
    item: str
    query: dict[str, str] = field(default_factory=dict)


SOURCES = (
    Source("predicting_errors", "Predicting errors", "quality"),
    Source("features", "Plot of the features", "features", {"features_as": "Plot"}),
    Source("map", "Map", "map_pca", {"map_figure": "true"}),
    Source("heatmaps", "Heatmaps", "heatmap_maps"),
    Source("masks", "Masks and mIoU", "overlap"),
)


def figures_page() -> None:
    widgets.page_header(PAGES["figures"].title, PAGES["figures"].question)
    if session.url_text(OLD_LINK) is not None:
        session.set_url(OLD_LINK, None)
        session.notify(LEFT)
    figures = my_figures.figures()
    if not figures:
        widgets.empty_state("No figure yet", nothing("no_figure_marked"))
        _where_figures_are()
        return
    problem = print_problem()
    _archive(list(figures.values()), problem)
    st.html(f"<style>{font_faces()}</style>")  # the type of print
    for number, (name, figure) in enumerate(figures.items(), start=1):
        _figure(name, figure, problem, {EARLIER: number > 1, LATER: number < len(figures)})


def _where_figures_are() -> None:
    """A button to a page with a chart, and links to others, as far as the study has them."""
    study = session.current_study()
    pages = [page for page in SOURCES if study.has(page.item)]
    if not pages:
        return
    first, *others = pages
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.button(
            "Open a chart to add",
            key="figures_first",
            type="primary",
            icon=PAGES[first.page].icon,
            on_click=lambda: session.go(first.page, **first.query),
        )
        for page in others:
            icon = PAGES[page.page].icon.strip(":").rpartition("/")[2]
            link(page.page, page.title, study, icon=icon, **page.query)


def _archive(figures: list[KeptFigure], problem: str | None) -> None:
    """The button that hands out all figures, and what is in the file."""
    if problem:
        st.warning(plain(problem), icon=":material/print_disabled:")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="figures_all"):
        st.download_button(
            f"Download {counted(len(figures), 'figure')}",
            data=partial(figures_zip, figures),
            file_name="figures.zip",
            mime="application/zip",
            key="figures_zip",
            type="primary",
            icon=":material/folder_zip:",
            on_click="ignore",
            disabled=problem is not None,
        )
        st.caption(
            "Each figure as PDF with its data; `figures.tex` and `figures.typ` place them with their "
            "captions."
        )


def _figure(name: str, figure: KeptFigure, problem: str | None, moves: dict[int, bool]) -> None:
    """One figure at its own size, its caption, and its files. moves: whether one is before, or behind it."""
    with st.container(border=True, horizontal=True, gap="medium", key=f"figure_{name}"):
        with st.container(width=figure.width):
            plot(RenderedFigure(figure.figure), key=f"kept_{name}", alt=figure.caption)
        with st.container(width=BESIDE):
            _title(name, figure, moves)
            _caption(name, figure)
            _files(name, figure, problem)


def _title(name: str, figure: KeptFigure, moves: dict[int, bool]) -> None:
    """What its files are called, and the buttons that move it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{plain(figure.stem)}**", width="stretch")
        for step, can_move in moves.items():
            label, icon = MOVES[step]
            st.button(
                label,
                key=f"figure_{label.lower()}_{name}",
                type="tertiary",
                icon=icon,
                disabled=not can_move,
                on_click=my_figures.move,
                args=(name, step),
            )


def _caption(name: str, figure: KeptFigure) -> None:
    """The field of the caption."""
    key = f"figure_caption_{name}"
    st.text_area(
        "Caption",
        figure.caption,
        max_chars=LONGEST_CAPTION,
        key=key,
        height="content",
        on_change=lambda: my_figures.set_caption(name, session.value(key)),
    )


def _files(name: str, figure: KeptFigure, problem: str | None) -> None:
    """The size of a figure, its files, and what takes it out."""
    columns = "one column" if figure.inches <= ONE_COLUMN else "two columns"
    st.caption(f"{figure.inches:.2f} × {figure.height / 96:.2f} in, {columns}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for kind in ("pdf", "svg", "png"):
            _download(name, figure, kind, problem)
        _download(name, figure, "csv", None)
        st.button(
            "Remove",
            key=f"figure_remove_{name}",
            type="tertiary",
            icon=":material/close:",
            on_click=my_figures.remove,
            args=(name,),
        )


def _download(name: str, figure: KeptFigure, kind: str, problem: str | None) -> None:
    """The button of one file."""
    content = figure.numbers if kind == "csv" else partial(_rendered, figure, kind)
    st.download_button(
        kind.upper(),
        data=content,
        file_name=f"{figure.stem}.{kind}",
        mime=MIME[kind],
        key=f"figure_{kind}_{name}",
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
        disabled=problem is not None,
    )


def _rendered(figure: KeptFigure, kind: str) -> bytes:
    return render(figure.figure, kind)


figures_page()
