"""Figures: charts, images and heatmaps on one page of vectors, in order, with captions, for a paper."""

from dataclasses import asdict

import streamlit as st

from core.common.formatting import counted
from core.figures.cells import CellRequest
from core.figures.sheet_layout import PAGE_TITLES, SheetGrid
from core.jobs.commands import MakeSheet
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.addresses.pages import PAGES
from dashboard.components import widgets
from dashboard.components.choose_one import choose_one, select_one
from dashboard.components.sheet_preview import Content
from dashboard.panels.sheet import on_the_sheet, preview
from dashboard.state import session, sheet

FONTS = {"Serif": "serif", "Sans": "sans"}


def figures_page(study: Study) -> None:
    widgets.page_header(PAGES["figures"].title, PAGES["figures"].question)
    cells = sheet.cells()
    grid = _look(drawn=bool(cells))
    if not cells:
        on_the_sheet.begin(study)
        on_the_sheet.add(study)
        on_the_sheet.absent(study)
        return
    answer = served_studies.answer_option(study)
    command = MakeSheet(study.path, tuple(map(str, cells)), **asdict(grid), answer=answer)
    left, right = st.columns([2, 3], gap="large")
    drawn, problems = preview.contents(study, cells, grid)
    with left:
        on_the_sheet.cards(cells, problems, grid)
        on_the_sheet.add(study)
        on_the_sheet.absent(study)
    with right:
        _right(cells, drawn, grid, command)
    on_the_sheet.gallery(study)


@widgets.stable_container
def _right(cells: list[CellRequest], drawn: list[Content], grid: SheetGrid, command: MakeSheet) -> None:
    with st.container(key="sheet_files"):
        preview.files(session.current_study(), cells, command)
    preview.sheet_preview_part(cells, drawn, grid)
    preview.in_a_paper(cells, grid)
    preview.in_a_terminal(command)


@widgets.stable_container
def _look(*, drawn: bool) -> SheetGrid:
    """The width of the page, its columns, type, letters and captions; not asked of an empty sheet."""
    if not drawn:
        return SheetGrid()
    pages = {title: name for name, title in PAGE_TITLES.items()}
    usual = PAGE_TITLES[SheetGrid.page]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="sheet_controls"):
        page = select_one("Width of the page", pages, key="sheet_page", default=usual, width=205)
        columns = st.segmented_control(
            "Columns",
            [1, 2, 3, 4],
            default=2,
            required=True,
            key="sheet_columns",
            bind="query-params",
            format_func=lambda n: counted(n, "column"),
            label_visibility="collapsed",
            help="All are equally wide.",
        )
        font = choose_one("Type", FONTS, key="sheet_font", default="Serif")
        letters = st.toggle("Letters", value=True, key="sheet_letters", bind="query-params")
        captions = st.toggle(
            "Captions",
            value=True,
            key="sheet_captions",
            bind="query-params",
            help="Below the panels. The LaTeX has them in any case: leave them out here for a paper.",
        )
    return SheetGrid(pages[page], columns or 2, FONTS[font], bool(letters), bool(captions))


figures_page(session.current_study())
