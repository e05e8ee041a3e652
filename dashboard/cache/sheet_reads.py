"""Cached reads of what stands on the figure sheet; the rules are those of `reader.py`."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from core.charts.heat_panels import STORED_ONLY
from core.charts.other_studies import alike, folder_of, gone_study
from core.errors import PeregrineError, StudyError
from core.figures.catalogue import draw
from core.figures.cells import CellRequest
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache.chart_reads import narrowed
from dashboard.cache.reader import cached_read, saved_stamp
from dashboard.cache.rendered_figures import RenderedFigure, rendered


def sheet_figure(study: Study, cell: CellRequest, width: int, font: str) -> RenderedFigure:
    """A figure of the sheet as it will be printed, with the heatmaps that the study stores.

    Raises:
        HeatmapNotStored: it needs others, which are computed when the sheet is made.
        PeregrineError: it cannot be drawn, or a study that it needs is not there any more.
    """
    uncaptioned = replace(cell, caption="")
    where = uncaptioned.slice
    first, *others = served_beside(study, cell)

    def drawn():
        options = replace(cell.options, device=STORED_ONLY)
        beside = None if cell.chart.same_images else where
        studies = [narrowed(first, where), *(narrowed(one, beside) for one in others)]
        return draw(studies, cell.name, width=width, font=font, options=options)

    return rendered(first, str(uncaptioned), f"paper {width} {font}", (where, *others), drawn)


def served_beside(study: Study, cell: CellRequest) -> list[Study]:
    """The study that a cell shows, and those that it compares it with.

    Raises:
        StudyError: one of them is not served here, or cannot be read.
    """
    others = [_served(study, name) for name in cell.others]
    return others if cell.of else [study, *others]


def version_of(study: Study, cells: Iterable[CellRequest]) -> str:
    """Whatever the figures of a sheet are read from, as a text that changes when any of it does."""
    keys, slices = {study.key}, []
    for cell in cells:
        slices += [Slice.parse(cell.where), Slice.parse(cell.options.versus)]
        with suppress(StudyError):
            keys |= {one.key for one in served_beside(study, cell)}
    return f"{sorted(keys)} {saved_stamp(study, *slices, names_features=True)}"


def _served(study: Study, name: str) -> Study:
    there = {entry.path: entry.name for entry in served_studies.entries(served_studies.studies_folder())}
    path = folder_of(study, name)
    if path not in there:
        raise StudyError(gone_study(name, list(there.values())))
    return alike(study, served_studies.open_current(path))


def picture_shape(study: Study, image_id: str) -> float:
    """Height of an image divided by its width; 1 where it cannot be read now."""
    try:
        return _shape(study, image_id)
    except PeregrineError:
        return 1.0


@cached_read(max_entries=256)
def _shape(study: Study, image_id: str) -> float:
    width, height = study.image(image_id).size
    return height / width
