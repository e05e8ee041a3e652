"""Figure sheet: several figures, images and heatmaps on one vector page, for a paper.

Cells flow from left to right on a grid whose unit is half a column: a single-column figure takes two units,
a double-column one four (or all there are), an image or a heatmap one.
"""

from __future__ import annotations

import base64
import html
import io
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from PIL import Image

from core.errors import SettingsError
from core.figures.catalogue import check_holds, draw, entry_named
from core.figures.files import render_all
from core.figures.options import FigureOptions
from core.figures.theme import COLUMN_WIDTH, SANS, SERIF

if TYPE_CHECKING:
    from core.store import Study

GAP = 24  # CSS px between cells; two columns plus a gap make a double column
UNIT = (COLUMN_WIDTH["single"] - GAP) // 2
LETTER = 16  # px; height of the line with (a), (b) … above a cell
FONTS = {"serif": SERIF, "sans": SANS}
PICTURES = ("image", "heatmap", "masks")
SIDE = 1200  # longer side in pixels of an image stored in the sheet
MOST_COLUMNS = 4


@dataclass(frozen=True)
class Cell:
    """One cell of the sheet: its content, its number of units, and its size in CSS px."""

    name: str
    content: bytes
    kind: str  # of the content: svg+xml, jpeg or png
    units: int
    height: float


@dataclass(frozen=True)
class Sheet:
    """A finished page, as self-contained HTML, and its size in CSS px."""

    html: str
    width: int
    height: int


def make_sheet(
    study: Study,
    names: Sequence[str],
    *,
    columns: int = 2,
    font: str = "serif",
    letters: bool = True,
    options: FigureOptions | None = None,
) -> Sheet:
    """Draw every cell and lay them out.

    Args:
        names: figures of the catalogue, `image:ID`, `heatmap:ID` (of its firing features, or of the features
            in `options`), `masks:ID` (with its masks drawn on it), in this order.
        columns: 1 to 4, each 3.5 in wide. font: serif or sans.
        letters: (a), (b) … above the cells.
    Raises:
        SettingsError: unknown figure, font or number of columns, or nothing selected.
        StudyError: the study lacks data of a figure, or has no such image or heatmap.
    """
    check_sheet(names, columns, font)
    options = options or FigureOptions()
    figures = [name for name in names if not _is_picture(name)]
    for name in figures:
        check_holds(study, entry_named(name))
    style = "paper-single" if columns == 1 else "paper"
    drawn = [draw(study, name, style=style, font=font, options=options) for name in figures]
    vectors = dict(zip(figures, zip(drawn, render_all(drawn, "svg"), strict=True), strict=True))
    cells = [
        _picture_cell(study, name, options)
        if _is_picture(name)
        else _figure_cell(name, *vectors[name], columns)
        for name in names
    ]
    return lay_out(cells, columns=columns, font=font, letters=letters)


def check_sheet(names: Sequence[str], columns: int, font: str) -> None:
    """Raise SettingsError for an invalid sheet, before any work is done."""
    if not names:
        raise SettingsError("the sheet is empty. Give figures (figure --list), image:ID or heatmap:ID")
    if not 1 <= columns <= MOST_COLUMNS:
        raise SettingsError(f"a sheet has 1 to {MOST_COLUMNS} columns, not {columns}")
    if font not in FONTS:
        raise SettingsError(f"no font '{font}'; use {' or '.join(FONTS)}")
    for name in names:
        if not _is_picture(name):
            entry = entry_named(name)
            if entry.studies[0] > 1:
                raise SettingsError(f"'{name}' compares two studies, so it cannot be on the sheet of one")


def lay_out(cells: Sequence[Cell], *, columns: int, font: str, letters: bool) -> Sheet:
    """Arrange the cells in rows of 2 `columns` units; each row is as high as its highest cell."""
    across, top, place, tallest = 2 * columns, 0.0, 0, 0.0
    head = LETTER if letters else 0
    parts = []
    for number, cell in enumerate(cells):
        if place + cell.units > across:
            top, place, tallest = top + tallest + GAP, 0, 0.0
        box = (place * (UNIT + GAP), top, width_of(cell.units), cell.height + head)
        parts.append(_placed(cell, box, f"({_letter(number)})" if letters else ""))
        place, tallest = place + cell.units, max(tallest, cell.height + head)
    width, height = width_of(across), round(top + tallest + 0.5)
    return Sheet(_document("\n".join(parts), width, height, FONTS[font]), width, height)


def width_of(units: int) -> int:
    """Return the width in CSS px of this many units, including the gaps between them.

    >>> width_of(2), width_of(4)
    (336, 696)
    """
    return units * UNIT + (units - 1) * GAP


def _is_picture(name: str) -> bool:
    return name.partition(":")[0] in PICTURES and ":" in name


def _figure_cell(name: str, figure: go.Figure, svg: bytes, columns: int) -> Cell:
    width, height = float(figure.layout.width), float(figure.layout.height)
    units = 4 if width > COLUMN_WIDTH["single"] and columns > 1 else 2
    return Cell(name, svg, "svg+xml", units, height * width_of(units) / width)


def _picture_cell(study: Study, name: str, options: FigureOptions) -> Cell:
    kind, _, image = name.partition(":")
    if kind == "image":
        picture = study.image(image)
    else:
        masks = (
            [one for one in ("core", "spurious") if _has_mask(study, image, one)] if kind == "masks" else []
        )
        picture = study.overlay(
            image, options.features or None, combine=options.combine, colour_map=options.colours, masks=masks
        )
    picture.thumbnail((SIDE, SIDE))
    content, kind = _encoded(picture)
    return Cell(name, content, kind, 1, UNIT * picture.height / picture.width)


def _has_mask(study: Study, image: str, kind: str) -> bool:
    table = study.masks.table if study.masks is not None else None
    return table is not None and bool(((table["image_id"] == image) & (table["mask"] == kind)).any())


def _encoded(picture: Image.Image) -> tuple[bytes, str]:
    buffer = io.BytesIO()
    small = max(picture.size) <= 256
    picture.save(buffer, "PNG") if small else picture.save(buffer, "JPEG", quality=92)
    return buffer.getvalue(), "png" if small else "jpeg"


def _letter(number: int) -> str:
    """
    >>> _letter(0), _letter(27)
    ('a', 'ab')
    """
    letters = string.ascii_lowercase
    return letters[number] if number < 26 else _letter(number // 26 - 1) + letters[number % 26]


def _placed(cell: Cell, box: tuple[float, float, float, float], letter: str) -> str:
    left, top, width, height = (f"{side:g}px" for side in box)
    source = f"data:image/{cell.kind};base64,{base64.b64encode(cell.content).decode()}"
    return (
        f'<div style="left:{left};top:{top};width:{width};height:{height}">'
        f'{f"<b>{letter}</b>" if letter else ""}<img src="{source}" alt="{html.escape(cell.name)}"></div>'
    )


def _document(cells: str, width: int, height: int, font: str) -> str:
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    # The body is 1 px shorter than the page, so that rounding never adds a second page.
    style = f"""@page {{ size: {width}px {height}px; margin: 0; }}
html, body {{ margin: 0; background: #fff; }}
body {{ position: relative; width: {width}px; height: {height - 1}px; overflow: hidden; }}
div {{ position: absolute; }}
img {{ display: block; width: 100%; }}
b {{ display: block; height: {LETTER}px; font: bold 11px/{LETTER}px {font}; color: #000; }}"""
    return f"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<style>{style}</style></head><body>{cells}</body></html>"""
