"""The one gallery: tiles of images with captions, opened by click or Enter; and galleries as figures."""

import io
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from PIL import Image

from core.charts.panels import ColourBar, Picture, Strip, picture_grid
from core.charts.shown_names import as_text
from core.charts.theme import Theme
from core.common.captions import with_class_names
from core.common.formatting import full_sentence
from core.common.records import Templates
from core.data.picture_limits import wanted
from core.errors import PeregrineError
from core.store import Study
from dashboard.cache import reads
from dashboard.components.browser_half import browser_half, on_sent
from dashboard.components.collecting import Collector
from dashboard.state import served_studies

# The one gallery: tiles of images with captions, opened by click or Enter.
#
# Tiles are marked by their corner, with ctrl, cmd or shift, with Space, or by a box drawn with the mouse.
#
# The browser half (gallery.js) receives plain data and writes every text as text, so a label that contains
# markup stays inert. It keeps tiles whose id is still shown, so a rerun does not make the page flash.


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


# Galleries of a block: what a menu around them saves is what is shown.
GALLERIES: Collector[Shown] = Collector("galleries")


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
    if tiles:
        GALLERIES.add(Shown(label, tuple(tiles)))
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


# Galleries as figures: the pictures that the reader sees now, in their order, with the words below them.


_say = Templates.beside(__file__)
PICTURE_SIDE = 480  # pixels of the longer side of a picture in a file
WIDE, NARROW = 6, 3  # pictures beside each other in a figure of two columns and of one
TITLE = 16  # characters of a line beside a row of pictures
VERDICTS = {"correct": "correct", "wrong": "misclassified"}
COLUMNS = ("image_id", "split", "label", "predicted", "confidence", "correct", "q_score")


def own_column(galleries: Sequence[Shown]) -> str:
    """Return the width in print that pictures need: single where they are a few beside each other.

    >>> own_column([Shown("cats", [Tile(1, "a", "cat", beside=("b",))])])
    'single'
    >>> own_column([Shown("cats", [Tile(number, "a", "cat") for number in range(4)])])
    'double'
    """
    widest = max(sum(1 + len(tile.beside) for tile in gallery.tiles) for gallery in galleries)
    return "single" if widest <= NARROW else "double"


def picture_figure(
    galleries: Sequence[Shown], theme: Theme, *, column: str = "double", about: str = ""
) -> go.Figure:
    """Draw the pictures of galleries, each gallery from a new row on, and below them what they are of, what
    frames mean, and the scale of the heat.
    """
    several = len(galleries) > 1
    strips = []
    for gallery in galleries:
        name = _name_of(gallery)
        lines = textwrap.wrap(f"{name[:1].upper()}{name[1:]}", TITLE) if several else []
        title = "<br>".join(map(as_text, lines))
        for number, tiles in enumerate(_rows_of(gallery.tiles, column)):
            pictures = [picture for tile in tiles for picture in _pictures_of(tile)]
            strips.append(Strip("" if number else title, pictures, apart=not number))
    tiles = [tile for gallery in galleries for tile in gallery.tiles]
    return picture_grid(strips, theme=theme, note=as_text(_note(tiles, about)), bar=_heat_bar(tiles))


def _note(tiles: Sequence[Tile], about: str) -> str:
    """Say what the pictures are of, and what their frames mean."""
    framed = any(tile.verdict in VERDICTS for tile in tiles)
    return " ".join([full_sentence(about)] * bool(about) + [_say("frames")] * framed)


def _heat_bar(tiles: Sequence[Tile]) -> ColourBar | None:
    """The colours of the heat, where a picture has some."""
    from core.study.overlay_image import colour_table
    from dashboard.state.overlay_images import style_of  # OpenCV takes long to load

    overlays = (one for tile in tiles for one in (tile.src, *tile.beside) if one.startswith("overlay/"))
    styles = (style_of(dict(parse_qsl(overlay.partition("?")[2]))) for overlay in overlays)
    colours = next((style.colour_map for style in styles if style.features), None)
    if colours is None:
        return None
    return ColourBar(Image.fromarray(np.repeat(colour_table(colours)[None], 16, 0)), _say("heat"))


def _name_of(gallery: Shown) -> str:
    """Return what a gallery is of, without how many there are on all of its pages."""
    return re.sub(r"^[\d,]+ ", "", gallery.label)


def _rows_of(tiles: Sequence[Tile], column: str) -> Iterator[Sequence[Tile]]:
    """Yield the tiles of each row of the figure."""
    pictures = max(1 + len(tile.beside) for tile in tiles)
    n = max(1, (WIDE if column == "double" else NARROW) // pictures)
    for start in range(0, len(tiles), n):
        yield tiles[start : start + n]


def picture_table(study: Study, galleries: Sequence[Shown]) -> pd.DataFrame:
    """Return one row a picture of an image: what is known of the image, and what is written below it."""
    rows = [tile.id for gallery in galleries for tile in gallery.tiles]
    images = reads.images(study)
    names = [_name_of(gallery) for gallery in galleries for _ in gallery.tiles]
    facts: dict[str, object] = {"gallery": names}
    for name in COLUMNS:
        if name in images:
            facts[name] = images[name].iloc[rows].to_numpy()
    facts["written"] = [" / ".join(_words(tile)) for gallery in galleries for tile in gallery.tiles]
    return pd.DataFrame(facts)


def _pictures_of(tile: Tile) -> Iterator[Picture | None]:
    """Yield the pictures of a tile; the words stand below the first one, None is one that is absent."""
    words = "<br>".join(map(as_text, _words(tile)))
    for number, address in enumerate((tile.src, *tile.beside)):
        image = picture_at(address) if address else None
        caption = "" if number else words
        yield image and Picture(image, caption, VERDICTS.get(tile.verdict, ""), row=tile.id)


def _words(tile: Tile) -> list[str]:
    """Return what is written on a tile."""
    return [*tile.lines, *([tile.badge] if tile.badge else [])]


def picture_at(address: str) -> Image.Image:
    """Return the picture behind an address of this dashboard: a thumbnail, an image or an overlay.

    Raises:
        PeregrineError: there is none.
    """
    from dashboard.state.overlay_images import (
        draw,
        style_of,  # OpenCV takes long to load
    )

    path, _, query_text = address.partition("?")
    kind, _, place = path.partition("/")
    name, _, row = place.rpartition("/")
    query = dict(parse_qsl(query_text))
    study = served_studies.asked_for(unquote(name), query)
    if kind == "overlay":
        content, _ = draw(study, int(row), style_of(query), PICTURE_SIDE)
        return Image.open(io.BytesIO(content))
    try:
        with wanted(side=PICTURE_SIDE):
            picture = study.image(int(row))
    except (PeregrineError, OSError, KeyError):
        return study.thumbnail_image(int(row))
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    return picture
