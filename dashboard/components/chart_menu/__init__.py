"""The "⋯" of a chart or of pictures: files of it, and "Add to sheet". It stands on the chart, takes no room,
and is seen where a pointer or the focus is.
"""

from collections.abc import Callable
from dataclasses import replace

import plotly.graph_objects as go
import streamlit as st

from core.errors import SettingsError
from core.export.table_file import TableFile
from core.figures.cells import CellRequest, usual_caption
from core.figures.files import find_browser, render
from dashboard.components.browser_half import browser_half
from dashboard.components.page_behaviour import KEEP_SHEETS
from dashboard.state import session, sheet

FONTS = ("serif", "sans")
COLUMNS = {"single": "PDF, one column wide (3.5 in)", "double": "PDF, two columns wide (7.25 in)"}


def _html() -> str:
    def item(attribute: str, words: str, group: str) -> str:
        attributes = f'type="button" role="menuitem" tabindex="-1" class="{group}" {attribute}'
        return f"<button {attributes}>{words}</button>"

    files = [item(f'data-format="{one}"', one.upper(), "file") for one in ("svg", "png")]
    files += [item(f'data-column="{column}"', words, "file") for column, words in COLUMNS.items()]
    radios = "".join(
        f'<button type="button" role="menuitemradio" tabindex="-1" aria-checked="false" data-type="{font}">'
        f"{font.capitalize()}</button>"
        for font in FONTS
    )
    files += [
        f'<div class="fonts file" role="group" aria-label="Type in the PDF">'
        f'<span class="label" aria-hidden="true">Type in the PDF</span>{radios}</div>',
        item('data-csv="1"', "Data as CSV", "file"),
    ]
    add = [item('data-sheet="1"', "Add to sheet", "sheet")]
    parts = "".join([*files, '<hr class="between">', *add])
    return (
        '<div class="peregrine-menu"><button type="button" class="more" aria-haspopup="menu" '
        'aria-expanded="false" title="Save, add to sheet">⋯</button>'
        f'<div role="menu" hidden>{parts}</div></div>'
    )


# Its place on the chart is a matter of the page.
_MENU = browser_half(
    "chart_menu", _html(), KEEP_SHEETS, "vector_text.js", "chart_menu.js", isolate_styles=False
)


def chart_menu(
    name: str,
    *,
    alt: str,
    print_as: Callable[..., go.Figure] | None = None,
    table: TableFile | None = None,
    cell: CellRequest | None = None,
) -> None:
    """Draw the menu. Meant for the end of a container whose key is `{name}_framed`.

    Args:
        name: key of the chart. alt: what it shows, for screen readers.
        print_as: draws it for print in a `column` and a `font`; with `table`, its numbers, it can be saved.
        cell: what "Add to sheet" adds; None where the catalogue of figures does not have it.
    """

    @st.fragment
    def draw() -> None:
        _menu(name, alt, print_as, table, cell)

    if table is not None or cell is not None:
        draw()


def _menu(
    name: str,
    alt: str,
    print_as: Callable[..., go.Figure] | None,
    table: TableFile | None,
    cell: CellRequest | None,
) -> None:
    key, opened, answer = f"{name}_chartmenu", f"_{name}_opened", f"_{name}_said"

    def add() -> None:
        if cell is not None and session.value(key).add is not None:
            captioned = cell if cell.caption or cell.is_picture else with_caption(cell)
            number = session.recall(answer, {"number": 0})["number"] + 1
            text = sheet.add(captioned)
            session.set_widget(answer, {"number": number, "text": text, "sheets": sheet.by_study()})

    def go() -> None:
        if session.value(key).go is not None:
            session.go("figures")

    files = print_as is not None and table is not None
    is_open = files and bool(session.recall(opened))
    _MENU(
        key=key,
        data={
            "chart": name,
            "file": table.stem if table is not None else name,
            "alt": alt,
            "files": files,
            "sheet": cell is not None,
            "problem": _problem() if is_open else None,
            "said": session.recall(answer),
        },
        width="content",
        on_opened_change=lambda: session.set_widget(opened, True),
        on_add_change=add,
        on_go_change=go,
    )
    if is_open and print_as is not None and table is not None:
        _files(name, print_as, table)
    if session.is_leaving():
        st.rerun()


def with_caption(cell: CellRequest) -> CellRequest:
    """A cell with its usual caption."""
    return replace(cell, caption=usual_caption(cell))


def _problem() -> str | None:
    """Return why no PDF can be drawn; None if one can."""
    try:
        find_browser()
    except SettingsError as error:
        return str(error)
    return None


def _files(name: str, print_as: Callable[..., go.Figure], table: TableFile) -> None:
    """Hidden buttons of the files that the server makes, each when it is asked for."""
    with st.container(key=f"{name}_chartfiles"):
        st.download_button(
            "CSV",
            data=table.content,
            file_name=f"{table.stem}.csv",
            mime="text/csv",
            key=f"{name}_csv",
            on_click="ignore",
        )
        for column in COLUMNS:
            for font in FONTS:
                st.download_button(
                    f"PDF {column} {font}",
                    data=lambda look=(column, font): render(print_as(column=look[0], font=look[1]), "pdf"),
                    file_name=f"{table.stem}.pdf",
                    mime="application/pdf",
                    key=f"{name}_pdf_{column}_{font}",
                    on_click="ignore",
                )
