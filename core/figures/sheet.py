"""Figure sheet: several figures, images and heatmaps on one vector page, for a paper."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from core.charts.chart import frame_of, separate_classes
from core.charts.fonts import font_faces
from core.charts.options import FigureOptions
from core.charts.other_studies import narrowed_studies, narrowed_study, one_line, open_other
from core.charts.theme import PRINTED, layout_of, note_figure, paper_of_width
from core.common.image_files import image_address, image_file
from core.errors import PeregrineError, SettingsError
from core.figures import sheet_layout
from core.figures.catalogue import check_holds, read_chart
from core.figures.catalogue import drawn as drawn_chart
from core.figures.cells import CellRequest, parse_cell, title_of
from core.figures.files import render_all
from core.figures.latex import latex
from core.store import Study

NOTE_HEIGHT = 120  # CSS px, of a cell that only says why it shows no figure
SIDE = 1200  # longer side in pixels of an image stored in the sheet


@dataclass(frozen=True)
class Cell:
    """One cell of the sheet: its content, the columns that it spans, and its content's height in CSS px."""

    name: str
    content: bytes
    kind: str  # of the content: svg+xml, jpeg or png
    span: int
    height: float
    caption: str = ""


@dataclass(frozen=True)
class Sheet:
    """A finished page as self-contained SVG, of which PDF and PNG are made, and its size in CSS px.

    `problems` says of each cell that shows no figure, for want of another study, why; `latex` places it in a
    paper; `numbers` are those of each panel that has any, by letter and figure.
    """

    svg: str
    width: int
    height: int
    problems: tuple[str, ...] = ()
    latex: str = ""
    numbers: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def make_sheet(
    study: Study,
    names: Sequence[str],
    grid: sheet_layout.SheetGrid | None = None,
    *,
    options: FigureOptions | None = None,
) -> Sheet:
    """Draw every cell and lay them out.

    Args:
        names: figures of the catalogue, `image:ID`, `heatmap:ID` (of its firing features, or of the features
            in the options), `masks:ID` (with its masks drawn on it), in this order; each with options, see
            `core.figures.cells`.
        grid: width of the page, columns, font and letters.
        options: of every cell that names no others.
    A cell whose other study is gone, or cannot be shown beside this one, says so in one line.

    Raises:
        SettingsError: unknown figure, font, page or number of columns, or nothing selected.
        SliceError: the study lacks something that the images of a cell are chosen by, or none is left.
        StudyError: the study lacks data of a figure, or has no such image or heatmap.
    """
    grid = grid or sheet_layout.SheetGrid()
    requests = check_sheet(names, grid, options)
    own_study = {one.where: narrowed_study(study, one.slice) for one in requests if not one.of}
    for one in requests:
        if not one.is_picture and not one.of:
            check_holds(own_study[one.where], one.chart)
    drawn, problems, frames = {}, [], {}
    for number, one in enumerate(requests):
        if one.is_picture:
            continue
        width = grid.drawn_width(one.span)
        if not one.others:
            drawn[number], frame = _drawn([own_study[one.where]], one, width, grid.font)
        else:
            drawn[number], frame, problem = _drawn_with_others(study, one, width, grid.font)
            problems += [f"{title_of(one)}: {problem}"] if problem else []
        if frame is not None:
            frames[f"{sheet_layout.letter_of(number)}_{one.name}"] = frame
    vectors = dict(zip(drawn, render_all(list(drawn.values()), "svg"), strict=True))
    cells = [
        _figure_cell(one, drawn[number], vectors[number], grid)
        if number in drawn
        else _picture_cell(study, one, grid)
        for number, one in enumerate(requests)
    ]
    page = lay_out(cells, grid)
    return replace(page, problems=tuple(problems), latex=latex(requests, grid), numbers=frames)


def _drawn(
    studies: Sequence[Study], request: CellRequest, width: int, font: str
) -> tuple[go.Figure, pd.DataFrame | None]:
    """The figure of a cell, and its numbers."""
    options = separate_classes(request.options, studies[0].class_names)
    data = read_chart(studies, request.chart, options)
    return drawn_chart(request.chart, data, options, paper_of_width(width, font)), frame_of(data)


def _drawn_with_others(
    study: Study, request: CellRequest, width: int, font: str
) -> tuple[go.Figure, pd.DataFrame | None, str]:
    """As `_drawn`, of a cell that needs other studies, and why it is only a line; "" if it is not."""
    try:
        others = [open_other(study, name) for name in request.others]
        studies = others if request.of else [study, *others]
        studies = narrowed_studies(studies, request.slice, same_images=request.chart.same_images)
        return *_drawn(studies, request, width, font), ""
    except PeregrineError as error:
        problem = one_line(error)
        text = "<br>".join(map(html.escape, sheet_layout.wrapped(problem, width, font)))
        theme = replace(paper_of_width(width, font), height=NOTE_HEIGHT)
        return note_figure(text, theme), None, problem


def check_sheet(
    names: Sequence[str], grid: sheet_layout.SheetGrid, options: FigureOptions | None = None
) -> list[CellRequest]:
    """Return the cells; raise SettingsError for an invalid sheet, before any work is done."""
    if not names:
        raise SettingsError("the sheet is empty. Give figures (figure --list), image:ID or heatmap:ID")
    if not 1 <= grid.columns <= sheet_layout.MOST_COLUMNS:
        raise SettingsError(f"a sheet has 1 to {sheet_layout.MOST_COLUMNS} columns, not {grid.columns}")
    for what, value, checked in (("font", grid.font, PRINTED), ("page", grid.page, sheet_layout.PAGE_WIDTH)):
        if value not in checked:
            raise SettingsError(f"no {what} '{value}'; use {' or '.join(checked)}")
    return [parse_cell(name, options) for name in names]


def lay_out(cells: Sequence[Cell], grid: sheet_layout.SheetGrid) -> Sheet:
    """Arrange the cells in rows, and write the page."""
    slots, height = grid.slots_of(
        [cell.span for cell in cells], [cell.height for cell in cells], [cell.caption for cell in cells]
    )
    parts = "\n".join(
        _nested(cell, slot, number) for number, (cell, slot) in enumerate(zip(cells, slots, strict=True))
    )
    return Sheet(_vector_page(parts, grid, height), grid.page_width, height)


def _figure_cell(request: CellRequest, figure: go.Figure, svg: bytes, grid: sheet_layout.SheetGrid) -> Cell:
    scale = grid.width_of(request.span) / float(layout_of(figure).width)
    height = float(layout_of(figure).height) * scale
    return Cell(request.name, svg, "svg+xml", request.span, height, request.caption)


def _picture_cell(study: Study, request: CellRequest, grid: sheet_layout.SheetGrid) -> Cell:
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
    height = grid.width_of(request.span) * picture.height / picture.width
    return Cell(request.name, content, kind, request.span, height, request.caption)


def _has_mask(study: Study, image: str, kind: str) -> bool:
    table = study.masks.table if study.masks is not None else None
    return table is not None and bool(((table["image_id"] == image) & (table["mask"] == kind)).any())


def _encoded(picture: Image.Image) -> tuple[bytes, str]:
    if max(picture.size) <= 256:
        return image_file(picture, "PNG"), "png"
    return image_file(picture, quality=92), "jpeg"


def _nested(cell: Cell, slot: sheet_layout.Slot, number: int) -> str:
    """One cell of the page as SVG: text stays text, and a figure's vectors stay vectors."""
    head = sheet_layout.LETTER if slot.letter else 0
    size = f'width="{slot.width:g}" height="{cell.height:g}"'
    if cell.kind == "svg+xml":
        content = _as_part(cell.content.decode("utf-8"), size, number)
    else:
        content = f'<image {size} href="{image_address(cell.content, cell.kind)}"/>'
    texts = f'<text y="11" font-size="11" font-weight="bold">{slot.letter}</text>' if head else ""
    below = head + cell.height + sheet_layout.CAPTION_SPACE + sheet_layout.CAPTION_SIZE
    for line, words in enumerate(slot.caption):
        texts += f'<text y="{below + line * sheet_layout.CAPTION_LINE:g}">{html.escape(words)}</text>'
    return (
        f'<g transform="translate({slot.left:g} {slot.top:g})">{texts}'
        f'<g transform="translate(0 {head})">{content}</g></g>'
    )


def _as_part(svg: str, size: str, number: int) -> str:
    """Return a drawing as a part of another: its size on the page, ids that no other part has, and no fonts,
    which the page has.
    """
    svg = re.sub(r"^\s*<\?xml[^>]*>\s*|<style>@font-face.*?</style>", "", svg)
    svg = re.sub(r'(\bid=["\']|url\(["\']?#|href=["\']#)', rf"\g<1>c{number}-", svg)
    opening = re.match(r"<svg[^>]*>", svg)
    if opening is None:
        raise SettingsError("a figure could not be drawn as SVG")
    note = re.sub(r'\s(?:width|height)="[^"]*"', "", opening.group())
    return note.replace("<svg", f"<svg {size}", 1) + svg[opening.end() :]


def _vector_page(parts: str, grid: sheet_layout.SheetGrid, height: int) -> str:
    width, faces = grid.page_width, font_faces(grid.font)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" font-family="{html.escape(PRINTED[grid.font])}" '
        f'font-size="{sheet_layout.CAPTION_SIZE}"><style>{faces}</style>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{parts}</svg>'
    )
