"""The cells of the figure sheet: kept for each study in this session, and in the link of its own page.

The link is read once, when a session begins; afterwards the session knows better (the browser's back button
leads to addresses from before a figure was added). A page that is loaded again begins another session, which
the browser tells what was on the sheets before.
"""

from collections.abc import Mapping, Sequence

import streamlit as st

from core.common.formatting import counted
from core.errors import SettingsError
from core.figures.cells import LONGEST_CAPTION as LONGEST_CAPTION
from core.figures.cells import CellRequest, parse_cell
from dashboard.state import session

SHEET, PAGE = session.SHEET, "figures"
BETWEEN = "|"  # two cells in the link
MOST_CELLS = 24  # more would make a link nobody can paste
_SHEETS = "_sheets"  # text of the sheet, by study
_STUDY = "_sheet_of"


def enter(study: str) -> None:
    """Called by `main.py` alone, once per run, before the view: the address of Figures names the sheet."""
    sheets = st.session_state.setdefault(_SHEETS, {})
    asked = session.url_text(SHEET) or ""
    if not sheets and asked:
        sheets[study] = _checked(asked)
    st.session_state[_STUDY] = study
    _name_in_address()


def by_study() -> dict[str, str]:
    """The text of the sheet of every study that this session knows."""
    return dict(_texts())


def take_back(before: Mapping[str, str]) -> None:
    """Take over the sheets of the studies that this session knows none of yet. Meant for callbacks."""
    for study, text in before.items():
        _texts().setdefault(study, _checked(text))


def cells() -> list[CellRequest]:
    """The cells of the sheet of the present study."""
    text = _texts().get(_study(), "")
    return [parse_cell(one) for one in _split(text)]


def add(cell: CellRequest) -> str:
    """Put a cell at the end of the sheet; returns what to say."""
    now = cells()
    if cell in now:
        return f"Already on the sheet · {counted(len(now), 'figure')}"
    if len(now) >= MOST_CELLS:
        return f"The sheet is full · {counted(len(now), 'figure')}"
    put([*now, cell])
    return f"Added to the sheet · {counted(len(now) + 1, 'figure')}"


def put(cells: Sequence[CellRequest]) -> None:
    """Replace the sheet. Meant for callbacks."""
    text = BETWEEN.join(str(one).replace(BETWEEN, "%7C") for one in cells[:MOST_CELLS])
    _texts()[_study()] = text
    _name_in_address()


def _name_in_address() -> None:
    text = _texts().get(_study(), "") if session.here()[0] == PAGE else ""
    if text != (session.url_text(SHEET) or ""):
        session.set_url(SHEET, text or None)


def _study() -> str:
    """The name under which the sheet of the present study is kept."""
    return st.session_state.get(_STUDY, "")


def _texts() -> dict[str, str]:
    return st.session_state.setdefault(_SHEETS, {})


def _split(text: str) -> list[str]:
    return [one.replace("%7C", BETWEEN) for one in text.split(BETWEEN) if one]


def _checked(text: str) -> str:
    """The cells of a link that can be read; the others are dropped with a note."""
    readable = []
    for one in _split(text)[:MOST_CELLS]:
        try:
            parse_cell(one)
        except SettingsError as error:
            session.notify(f"A figure of the link was dropped: {error}")
            continue
        readable.append(one)
    return BETWEEN.join(one.replace(BETWEEN, "%7C") for one in readable)
