"""The one gallery: tiles of images with captions, opened by click or Enter.

Tiles are marked by their corner, with ctrl, cmd or shift, with Space, or by a box drawn with the mouse.

The browser half (gallery.js) receives plain data and writes every text as text, so a label that contains
markup stays inert. It keeps tiles whose id is still shown, so a rerun does not make the page flash.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

import streamlit as st

from core.common.captions import with_class_names
from dashboard.components.browser_half import browser_half, on_sent


@dataclass(frozen=True)
class Tile:
    """One image. `verdict` is "correct", "wrong" or "" and is drawn as a mark beside the first line.

    `beside` are further pictures of it (an overlay, its masks), drawn to the right of `src`; `names` says
    what each picture is, `src` included, to a pointer that rests on it. An empty address is drawn as absent.
    `traces`: what people left on the image: signs or short texts, each with what it says in full.
    """

    id: int
    src: str
    alt: str
    lines: tuple[str, ...] = ()
    verdict: str = ""
    badge: str = ""
    traces: tuple[tuple[str, str], ...] = ()
    beside: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A gallery as it is drawn: its label and its tiles."""

    label: str
    tiles: Sequence[Tile]


_COLLECTED: ContextVar[list[Shown] | None] = ContextVar("collected", default=None)


@contextmanager
def collected() -> Iterator[list[Shown]]:
    """Collect the galleries that are drawn inside: what a menu around them saves is what is shown."""
    galleries: list[Shown] = []
    before = _COLLECTED.set(galleries)
    try:
        yield galleries
    finally:
        _COLLECTED.reset(before)


_GALLERY = browser_half(
    "gallery",
    '<div class="gallery" role="group"></div>\n<p class="hint" aria-live="polite"></p>',
    "zoom.js",
    "gallery.js",
)


def gallery(
    tiles: Sequence[Tile],
    *,
    key: str,
    label: str,
    on_open: Callable[[int], None] | None = None,
    on_pick: Callable[[list[int]], None] | None = None,
    picked: Sequence[int] = (),
    tile: int = 132,
    columns: int = 0,
    zoom: bool = False,
) -> None:
    """Draw the tiles. `on_open` gets the id of the tile that was opened (None: the tiles are pictures only),
    `on_pick` (None: marking is off) the ids that are marked now. Both run as callbacks, before the next run.
    `tile`: least width in pixels; `columns`: that many in a row, whatever the width (0: as many as fit).
    `zoom`: pictures that cannot be opened can be magnified, those of one tile together.
    """
    galleries = _COLLECTED.get()
    if galleries is not None and tiles:
        galleries.append(Shown(label, tuple(tiles)))
    turn = f"{key}_turn"  # how often the browser has sent marks

    def marked() -> None:
        marks = st.session_state[key].picked
        if on_pick is not None and marks is not None:
            st.session_state[turn] = int(marks["turn"])
            on_pick([int(row) for row in marks["rows"]])

    data = {
        "tiles": [_tile_data(one) for one in tiles],
        "label": label,
        "picked": [int(row) for row in picked],
        "turn": st.session_state.get(turn, 0),
        "marking": on_pick is not None,
        "still": on_open is None,
        "tile": tile,
        "columns": columns,
        "zoom": zoom and on_open is None,
    }
    _GALLERY(
        key=key, data=data, on_opened_change=on_sent(key, "opened", on_open, int), on_picked_change=marked
    )


def _tile_data(tile: Tile) -> dict[str, Any]:
    return asdict(tile) | {"lines": [with_class_names(line) for line in tile.lines]}
