"""My figures: those that the reader marked in this tab of the browser, kept as the pages showed them.

They lie in a folder of the user's state folder, whose name only the session and the tab know: a page that is
loaded again begins another session, which the tab tells the name.
"""

import re
import secrets
import shutil
from pathlib import Path

import streamlit as st

from core.charts import kept_figures
from core.charts.kept_figures import KeptFigure
from core.common.assets import make_private, state_folder
from core.common.formatting import counted
from core.errors import PeregrineError
from core.study.write_access import check_write_access

FOLDERS = "figures"  # of the state folder
NAME = re.compile(r"[0-9a-f]{32}")
_NAME = "_my_figures"
MOST_FOLDERS = 100  # of tabs; those that were changed longest ago are removed


def name() -> str:
    """Return the name of this session's folder; "" where nothing was marked."""
    return st.session_state.get(_NAME, "")


def take_back(told: str) -> None:
    """Take over the folder that the tab knows from before a reload. Meant for callbacks."""
    if not name() and NAME.fullmatch(told) and (_home() / told).is_dir():
        st.session_state[_NAME] = told


def mark(figure: KeptFigure) -> str:
    """Keep a figure; returns what to say. Meant for callbacks."""
    if (number := count()) >= kept_figures.MOST_FIGURES:
        return f"Figures is full · {counted(number, 'figure')}"
    if figure in figures().values():
        return f"Already among my figures · {counted(number, 'figure')}"
    try:
        kept_figures.add_figure(_begun(), figure)
    except (PeregrineError, OSError) as error:
        return f"The figure could not be kept: {error}"
    return f"Added to my figures · {counted(number + 1, 'figure')}"


def figures() -> dict[str, KeptFigure]:
    """Return the figures by their names in the folder, in their order."""
    return kept_figures.read_figures(_folder()) if name() else {}


def count() -> int:
    """Return how many figures are marked."""
    return kept_figures.count_figures(_folder()) if name() else 0


def set_caption(figure: str, caption: str) -> None:
    """Give a figure another caption. Meant for callbacks."""
    kept_figures.set_caption(_folder(), figure, caption)


def move(figure: str, step: int) -> None:
    """Move a figure before the one before it, or behind the next. Meant for callbacks."""
    kept_figures.move_figure(_folder(), figure, step)


def remove(figure: str) -> None:
    """Take a figure out. Meant for callbacks."""
    kept_figures.remove_figure(_folder(), figure)


def _home() -> Path:
    return state_folder() / FOLDERS


def _folder() -> Path:
    return _home() / name()


def _begun() -> Path:
    """Return the folder of this session, made where there is none yet."""
    check_write_access()
    if not name():
        make_private(state_folder())
        make_private(_home())
        _tidy()
        st.session_state[_NAME] = secrets.token_hex(16)
    return make_private(_folder())


def _tidy() -> None:
    """Remove the folders of tabs that were changed longest ago."""
    folders = sorted(_home().iterdir(), key=lambda folder: -folder.stat().st_mtime)
    for folder in folders[MOST_FOLDERS - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)
