"""Figures: charts, images and heatmaps on one page of vectors, in order, with captions, for a paper."""

from __future__ import annotations

import streamlit as st

from core.figures.cells import CellRequest
from core.jobs.commands import MakeSheet
from core.store import Study
from dashboard.addresses.pages import PAGES
from dashboard.components import widgets
from dashboard.components.sheet_preview import Content
from dashboard.components.stable_container import own_place
from dashboard.panels.sheet import on_the_sheet, preview
from dashboard.state import session, sheet

FONTS = {"Serif": "serif", "Sans": "sans"}


def page(study: Study) -> None:
    widgets.page_header(PAGES["figures"].title, PAGES["figures"].question)
    cells = sheet.cells()
    columns, font, letters = _look(drawn=bool(cells))
    if not cells:
        on_the_sheet.begin(study)
        on_the_sheet.add(study)
        on_the_sheet.absent(study)
        return
    command = MakeSheet(study.path, tuple(map(str, cells)), columns=columns, font=font, letters=letters)
    left, right = st.columns([2, 3], gap="large")
    shown, widths, problems = preview.contents(study, cells, columns=columns, font=font)
    with left:
        on_the_sheet.cards(cells, problems, letters=letters)
        on_the_sheet.add(study)
        on_the_sheet.absent(study)
    with right:
        _right(cells, shown, widths, command)


@own_place
def _right(cells: list[CellRequest], shown: list[Content], widths: list[float], command: MakeSheet) -> None:
    with st.container(key="sheet_files"):
        preview.files(session.current_study(), command)
    preview.show(cells, shown, widths, command=command)
    preview.in_a_terminal(command)


@own_place
def _look(*, drawn: bool) -> tuple[int, str, bool]:
    """How many columns the sheet has, its type, and whether cells have letters; not asked of an empty one."""
    if not drawn:
        return 2, "serif", True
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="sheet_controls"):
        columns = st.segmented_control(
            "Columns",
            [1, 2, 3, 4],
            default=2,
            required=True,
            key="sheet_columns",
            bind="query-params",
            format_func=lambda n: "1 column" if n == 1 else f"{n} columns",
            label_visibility="collapsed",
            help="Each is 3.5 in wide.",
        )
        font = st.segmented_control(
            "Type",
            list(FONTS),
            default="Serif",
            required=True,
            key="sheet_font",
            bind="query-params",
            label_visibility="collapsed",
        )
        letters = st.toggle("Letters (a), (b) …", value=True, key="sheet_letters", bind="query-params")
    return columns or 2, FONTS[font or "Serif"], bool(letters)


page(session.current_study())
