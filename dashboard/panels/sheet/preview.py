"""The sheet beside its cards, as it will be printed, and the files of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import streamlit as st

from core.errors import HeatmapNotStored, PeregrineError
from core.export.table_file import file_stem
from core.figures.cells import CellRequest, title_of
from core.figures.latex import latex
from core.figures.sheet_layout import PAGE_HEIGHT, SheetGrid, Slot
from core.heatmaps.overlay_image import OverlayStyle
from core.jobs.commands import MakeSheet
from core.jobs.jobs import Job, read_job
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.addresses.overlay_images import KINDS, overlay_urls
from dashboard.cache import heatmap_reads
from dashboard.cache.sheet_reads import picture_shape, sheet_figure, version_of
from dashboard.components.job_follower import follow, start_button
from dashboard.components.sheet_preview import Content, sheet_preview
from dashboard.components.tooltips import plain
from dashboard.jobs import launcher
from dashboard.jobs.launcher import SHEETS
from dashboard.panels import heatmap_grid
from dashboard.panels.jobs import study_progress
from dashboard.panels.jobs.controls import controls

LATER = "Its heatmaps are not stored; they are computed when the file is made."
EMPTY = 160.0  # px; height of a cell without a drawing
SIDE = 720
INCH = 96  # CSS px
PAPER = 0.72  # height of a thumbnail's paper, divided by its width
MIME = {"PDF": "application/pdf", "SVG": "image/svg+xml", "PNG": "image/png", "ZIP": "application/zip"}


def contents(study: Study, cells: list[CellRequest], grid: SheetGrid) -> tuple[list[Content], dict[int, str]]:
    """What stands in each cell, and why some cannot be drawn."""
    problems: dict[int, str] = {}
    drawn = []
    for number, cell in enumerate(cells):
        try:
            drawn.append(_content(study, cell, grid))
        except HeatmapNotStored:
            drawn.append(Content(title_of(cell), EMPTY, why=LATER))
        except PeregrineError as error:
            problems[number] = str(error)
            drawn.append(Content(title_of(cell), EMPTY, why=str(error)))
    return drawn, problems


def sheet_preview_part(cells: list[CellRequest], drawn: list[Content], grid: SheetGrid) -> None:
    """Draw the preview, and say how large the sheet is."""
    slots, height = grid.slots_of(
        [cell.span for cell in cells], [one.height for one in drawn], [cell.caption for cell in cells]
    )
    sheet_preview(drawn, slots, (grid.page_width, height), font=grid.font, key="sheet_preview")
    line = f"{grid.page_width / INCH:.2f} × {height / INCH:.1f} in."
    if height > PAGE_HEIGHT:
        line += (
            f" A page of a paper has about {PAGE_HEIGHT / INCH:.0f} in: take more columns or fewer figures."
        )
    st.caption(line)


def thumbnail(study: Study, cell: CellRequest) -> Callable[[str], None] | None:
    """What draws a cell on paper of one shape, under a key; None where there is nothing to draw."""
    grid = SheetGrid("single", 1, "sans")  # also of wide figures, so that text can be read
    (content,), problems = contents(study, [cell], grid)
    if problems or _says_why_not(study, cell, grid):
        return None
    width = grid.width_of()
    height = max(width * PAPER, content.height)  # a tall figure is smaller: one that is cut looks broken
    left, top = (height / PAPER - width) / 2, (height - content.height) / 2
    slot = Slot(left, top, width, content.height, letter="", caption=())
    size = round(height / PAPER), round(height)
    return lambda key: sheet_preview([content], [slot], size, font="sans", key=key, margin=6)


def _says_why_not(study: Study, cell: CellRequest, grid: SheetGrid) -> bool:
    drawn = grid.drawn_width(cell.span)
    return not cell.is_picture and sheet_figure(study, cell, drawn, grid.font).is_note


def _content(study: Study, cell: CellRequest, grid: SheetGrid) -> Content:
    width = grid.width_of(cell.span)
    if not cell.is_picture:
        drawn = grid.drawn_width(cell.span)
        figure = sheet_figure(study, cell, drawn, grid.font)
        size = (drawn, float(figure.height))
        return Content(title_of(cell), size[1] * width / drawn, figure=figure.text, drawn=size)
    kind, _, image = cell.name.partition(":")
    row, height = study.row_of(image), width * picture_shape(study, image)
    if kind == "image":
        return Content(title_of(cell), height, src=served_studies.picture_url(study, row, "image"))
    options = cell.options
    if not set(options.features) <= heatmap_reads.features_of(study, row):
        return Content(title_of(cell), height, why=LATER)
    style = OverlayStyle(options.features, options.combine, colour_map=options.colours)
    if kind == "masks":
        style = heatmap_grid.masked(study, row, replace(style, masks=KINDS))
    return Content(title_of(cell), height, src=overlay_urls(study, [row], [style], side=SIDE)[0])


def files(study: Study, cells: list[CellRequest], command: MakeSheet) -> None:
    """The sheet as files, of the study as it is now: made by a job, since drawing for print takes seconds."""
    folder = launcher.folder_of(command, version_of(study, cells))
    job = read_job(folder)
    if job is not None and job.running:
        follow(folder, _progress)
    elif (
        job is not None and job.state == "done" and all((folder / name).is_file() for name in SHEETS.values())
    ):
        _downloads(study, folder)
    else:
        _make(command, job, folder)


def in_a_paper(cells: list[CellRequest], grid: SheetGrid) -> None:
    """The LaTeX that places the sheet, with a caption of every panel, folded."""
    with st.expander("In LaTeX", key="sheet_latex", on_change="rerun") as drawer:
        if drawer.open:  # what colours the text is as large as a third of the page's scripts
            st.code(latex(cells, grid), language="latex", wrap_lines=True)


def in_a_terminal(command: MakeSheet) -> None:
    """The command that writes the same sheet, folded."""
    with st.expander("The same in a terminal", key="sheet_terminal", on_change="rerun") as drawer:
        if drawer.open:
            outputs = (Path(SHEETS["PDF"]),)
            st.code(replace(command, outputs=outputs).shell, language="bash", wrap_lines=True)


def _make(command: MakeSheet, job: Job | None, folder: Path) -> None:
    if job is not None and job.error:
        st.error(plain(job.error), icon=":material/error:")
    if reason := launcher.refusal(command):
        st.warning(plain(reason), icon=":material/shield:")
    label, icon = "Make PDF, SVG, PNG and LaTeX", ":material/picture_as_pdf:"
    start_button(command, label, key="sheet_make", folder=folder, icon=icon, kind="primary")


def _downloads(study: Study, folder: Path) -> None:
    with st.container(horizontal=True, gap="small"):
        for kind, name in SHEETS.items():
            st.download_button(
                f"Download {kind}" if kind != "ZIP" else "All, with LaTeX and numbers",
                data=(folder / name).read_bytes,
                file_name=f"{file_stem([served_studies.name_of(study)], 'figures')}{Path(name).suffix}",
                mime=MIME[kind],
                key=f"sheet_file_{kind.lower()}",
                type="primary" if kind == "PDF" else "secondary",
                icon=":material/download:",
                on_click="ignore",
            )


def _progress(job: Job) -> None:
    study_progress.staged(job)
    controls(job)
