"""Figure sheet: several figures, images and heatmaps on one vector page, for a paper."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from PIL import Image

from core.errors import PeregrineError, SettingsError
from core.figures.catalogue import check_holds, draw
from core.figures.cells import CellRequest, parse_cell, title_of
from core.figures.files import render_all
from core.figures.options import FigureOptions
from core.figures.other_studies import narrowed_studies, narrowed_study, one_line, open_other
from core.figures.sheet_layout import (
    CAPTION_LINE,
    CAPTION_SIZE,
    CAPTION_SPACE,
    LETTER,
    MOST_COLUMNS,
    Slot,
    slots_of,
    widths_of,
    wrapped,
)
from core.figures.theme import SANS, SERIF, layout_of, note_figure, paper_of_width

if TYPE_CHECKING:
    from core.store import Study

FONTS = {"serif": SERIF, "sans": SANS}
NOTE_HEIGHT = 120  # CSS px, of a cell that only says why it shows no figure
SIDE = 1200  # longer side in pixels of an image stored in the sheet


@dataclass(frozen=True)
class Cell:
    """One cell of the sheet: its content, its width in units and CSS px, and the height of its content."""

    name: str
    content: bytes
    kind: str  # of the content: svg+xml, jpeg or png
    units: int
    width: float
    height: float
    caption: str = ""


@dataclass(frozen=True)
class Sheet:
    """A finished page, as self-contained HTML and as SVG, and its size in CSS px.

    `problems` says of each cell that shows no figure, for want of another study, why.
    """

    html: str
    svg: str
    width: int
    height: int
    problems: tuple[str, ...] = ()


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
            in the options), `masks:ID` (with its masks drawn on it), in this order; each with options, see
            `core.figures.cells`.
        columns: 1 to 4, each 3.5 in wide. font: serif or sans.
        letters: (a), (b) … above the cells.
        options: of every cell that names no others.
    A cell whose other study is gone, or cannot be shown beside this one, says so in one line.

    Raises:
        SettingsError: unknown figure, font or number of columns, or nothing selected.
        SliceError: the study lacks something that the images of a cell are chosen by, or none is left.
        StudyError: the study lacks data of a figure, or has no such image or heatmap.
    """
    requests = check_sheet(names, columns, font, options)
    own = {one.where: narrowed_study(study, one.slice) for one in requests if not one.of}
    for one in requests:
        if not one.is_picture and not one.of:
            check_holds(own[one.where], one.entry)
    units = [units_of(one, columns) for one in requests]
    widths = widths_of(units, columns)
    drawn, problems = {}, []
    for number, (one, width) in enumerate(zip(requests, widths, strict=True)):
        if one.is_picture:
            continue
        if not one.others:
            drawn[number] = _drawn([own[one.where]], one, width, font)
            continue
        drawn[number], problem = _drawn_with_others(study, one, width, font)
        problems += [f"{title_of(one)}: {problem}"] if problem else []
    vectors = dict(zip(drawn, render_all(list(drawn.values()), "svg"), strict=True))
    cells = [
        _figure_cell(one, drawn[number], vectors[number], units[number], widths[number])
        if number in drawn
        else _picture_cell(study, one, units[number], widths[number])
        for number, one in enumerate(requests)
    ]
    made = lay_out(cells, columns=columns, font=font, letters=letters)
    return replace(made, problems=tuple(problems))


def _drawn(studies: Sequence[Study], request: CellRequest, width: float, font: str) -> go.Figure:
    return draw(studies, request.name, width=round(width), font=font, options=request.options)


def _drawn_with_others(study: Study, request: CellRequest, width: float, font: str) -> tuple[go.Figure, str]:
    """The figure of a cell that needs other studies, and why it is only a line; "" if it is not."""
    try:
        first = open_other(study, request.of) if request.of else study
        studies = [first, *(open_other(study, name) for name in request.beside)]
        return _drawn(_narrowed(studies, request), request, width, font), ""
    except PeregrineError as error:
        problem = one_line(error)
        text = "<br>".join(map(html.escape, wrapped(problem, width)))
        theme = replace(paper_of_width(round(width), font), height=NOTE_HEIGHT)
        return note_figure(text, theme), problem


def _narrowed(studies: Sequence[Study], request: CellRequest) -> list[Study]:
    return narrowed_studies(studies, request.slice, same_images=request.entry.same_images)


def check_sheet(
    names: Sequence[str], columns: int, font: str, options: FigureOptions | None = None
) -> list[CellRequest]:
    """Return the cells; raise SettingsError for an invalid sheet, before any work is done."""
    if not names:
        raise SettingsError("the sheet is empty. Give figures (figure --list), image:ID or heatmap:ID")
    if not 1 <= columns <= MOST_COLUMNS:
        raise SettingsError(f"a sheet has 1 to {MOST_COLUMNS} columns, not {columns}")
    if font not in FONTS:
        raise SettingsError(f"no font '{font}'; use {' or '.join(FONTS)}")
    return [parse_cell(name, options) for name in names]


def units_of(request: CellRequest, columns: int) -> int:
    """Return how many half columns a cell takes before its row is filled."""
    if request.is_picture:
        return 1
    return 4 if request.entry.column == "double" and columns > 1 else 2


def lay_out(cells: Sequence[Cell], *, columns: int, font: str, letters: bool) -> Sheet:
    """Arrange the cells in rows, and write the page."""
    slots, width, height = slots_of(
        [cell.units for cell in cells],
        [cell.width for cell in cells],
        [cell.height for cell in cells],
        columns=columns,
        letters=letters,
        captions=[cell.caption for cell in cells],
    )
    placed = list(zip(cells, slots, strict=True))
    page = _document("\n".join(_placed(cell, slot) for cell, slot in placed), width, height, FONTS[font])
    parts = "\n".join(_nested(cell, slot, number) for number, (cell, slot) in enumerate(placed))
    return Sheet(page, _vector_page(parts, width, height, FONTS[font]), width, height)


def _figure_cell(request: CellRequest, figure: go.Figure, svg: bytes, units: int, width: float) -> Cell:
    drawn_width, height = float(layout_of(figure).width), float(layout_of(figure).height)
    return Cell(request.name, svg, "svg+xml", units, width, height * width / drawn_width, request.caption)


def _picture_cell(study: Study, request: CellRequest, units: int, width: float) -> Cell:
    kind, _, image = request.name.partition(":")
    options = request.options
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
    return Cell(
        request.name, content, kind, units, width, width * picture.height / picture.width, request.caption
    )


def _has_mask(study: Study, image: str, kind: str) -> bool:
    table = study.masks.table if study.masks is not None else None
    return table is not None and bool(((table["image_id"] == image) & (table["mask"] == kind)).any())


def _encoded(picture: Image.Image) -> tuple[bytes, str]:
    buffer = io.BytesIO()
    small = max(picture.size) <= 256
    picture.save(buffer, "PNG") if small else picture.save(buffer, "JPEG", quality=92)
    return buffer.getvalue(), "png" if small else "jpeg"


def _placed(cell: Cell, slot: Slot) -> str:
    left, top, width, height = (f"{side:g}px" for side in (slot.left, slot.top, slot.width, slot.height))
    letter = f"<b>{slot.letter}</b>" if slot.letter else ""
    caption = f"<p>{'<br>'.join(map(html.escape, slot.caption))}</p>" if slot.caption else ""
    return (
        f'<div style="left:{left};top:{top};width:{width};height:{height}">'
        f'{letter}<img src="{_source(cell)}" alt="{html.escape(cell.name)}">{caption}</div>'
    )


def _source(cell: Cell) -> str:
    return f"data:image/{cell.kind};base64,{base64.b64encode(cell.content).decode()}"


def _document(cells: str, width: int, height: int, font: str) -> str:
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    # The body is 1 px shorter than the page, so that rounding never adds a second page.
    style = f"""@page {{ size: {width}px {height}px; margin: 0; }}
html, body {{ margin: 0; background: #fff; }}
body {{ position: relative; width: {width}px; height: {height - 1}px; overflow: hidden; }}
div {{ position: absolute; }}
img {{ display: block; width: 100%; }}
b {{ display: block; height: {LETTER}px; font: bold 11px/{LETTER}px {font}; color: #000; }}
p {{ margin: {CAPTION_SPACE}px 0 0; font: {CAPTION_SIZE}px/{CAPTION_LINE}px {font}; color: #000;
    white-space: nowrap; }}"""
    return f"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<style>{style}</style></head><body>{cells}</body></html>"""


def _nested(cell: Cell, slot: Slot, number: int) -> str:
    """One cell of the page as SVG: text stays text, and a figure's vectors stay vectors."""
    head = LETTER if slot.letter else 0
    size = f'width="{slot.width:g}" height="{cell.height:g}"'
    if cell.kind == "svg+xml":
        content = _as_part(cell.content.decode("utf-8"), size, number)
    else:
        content = f'<image {size} href="{_source(cell)}"/>'
    texts = f'<text y="11" font-size="11" font-weight="bold">{slot.letter}</text>' if head else ""
    below = head + cell.height + CAPTION_SPACE + CAPTION_SIZE
    for line, words in enumerate(slot.caption):
        texts += f'<text y="{below + line * CAPTION_LINE:g}">{html.escape(words)}</text>'
    return (
        f'<g transform="translate({slot.left:g} {slot.top:g})">{texts}'
        f'<g transform="translate(0 {head})">{content}</g></g>'
    )


def _as_part(svg: str, size: str, number: int) -> str:
    """Return a drawing as a part of another: its size on the page, and ids that no other part has."""
    svg = re.sub(r"^\s*<\?xml[^>]*>\s*", "", svg)
    svg = re.sub(r'(\bid=["\']|url\(["\']?#|href=["\']#)', rf"\g<1>c{number}-", svg)
    opening = re.match(r"<svg[^>]*>", svg)
    if opening is None:
        raise SettingsError("a figure could not be drawn as SVG")
    kept = re.sub(r'\s(?:width|height)="[^"]*"', "", opening.group())
    return kept.replace("<svg", f"<svg {size}", 1) + svg[opening.end() :]


def _vector_page(parts: str, width: int, height: int, font: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" font-family="{html.escape(font)}" '
        f'font-size="{CAPTION_SIZE}"><rect width="{width}" height="{height}" fill="#fff"/>{parts}</svg>'
    )
