"""A study narrowed to a slice, for the functions of the catalogue of charts: without torch, read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from core.charts.other_studies import folder_of, gone_study
from core.charts.study_heats import STORED_ONLY
from core.common.dataframes import numbers, select
from core.errors import PeregrineError, StudyError
from core.export.sliced import SlicedStudy
from core.figures.catalogue import draw
from core.figures.cells import CellRequest
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import heatmap_reads, reads, score_reads
from dashboard.cache.cached_study import CachedStudy
from dashboard.cache.features import feature_reads
from dashboard.cache.reader import cached_read
from dashboard.cache.rendered_figures import RenderedFigure, rendered

MEANS = {
    "class_means_correct": "correct",
    "class_means_misclassified": "misclassified",
    "group_counts": "counts",
    "sparsity_ranks": "ranks",
    "sparsity_curves": "curves",
}


class PageStudy(SlicedStudy):
    """A `SlicedStudy` whose numbers are those of the pages, which have been read already."""

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        read = TABLES.get(name)
        if read is None:
            return super().table(name, columns)
        frame = read(self)
        return frame if columns is None else select(frame, columns)

    def columns(self, name: str) -> list[str]:
        return list(self.table(name).columns) if name in TABLES else super().columns(name)

    def vector(self, name: str) -> np.ndarray:
        if name in MEANS:
            return heatmap_reads.group_means(self.whole, self.where)[MEANS[name]]
        return super().vector(name)


def _features(study: PageStudy) -> pd.DataFrame:
    """Table `features` with activation_rate, top_class and purity of the slice."""
    found = feature_reads.listed(study.whole, study.where)
    whole = reads.table(study.whole, "features").sort_values("feature", ignore_index=True)
    counts, sizes = feature_reads.class_firing(study.whole, study.where)
    own = feature_reads.most_common_classes(study.whole, counts, sizes, len(found))
    whole = whole.drop(columns=["mean", "std"], errors="ignore")
    own = {name: own[name] for name in ("top_class", "purity")}
    return whole.assign(activation_rate=100 * numbers(found, "rate"), **own)


def _scores(study: PageStudy) -> tuple[str, ...]:
    return tuple(reads.scores(study.whole))


TABLES: dict[str, Callable[[PageStudy], pd.DataFrame]] = {
    "features": _features,
    "quality_metrics": lambda study: score_reads.metrics(study.whole, study.where, _scores(study)),
    "quality_curves": lambda study: score_reads.curves(study.whole, study.where, _scores(study)),
    "quality_by_cause": lambda study: score_reads.causes(study.whole, study.where),
}


def sheet_figure(study: Study, cell: CellRequest, width: int, font: str) -> RenderedFigure:
    """A figure of the sheet as it will be printed, with the heatmaps that the study stores.

    Raises:
        HeatmapNotStored: it needs others, which are computed when the sheet is made.
        PeregrineError: it cannot be drawn, or a study that it needs is not there any more.
    """
    shown = replace(cell, caption="")
    where = shown.slice
    first, *others = served_beside(study, cell)

    def drawn():
        options = replace(cell.options, device=STORED_ONLY)
        beside = None if cell.chart.same_images else where
        studies = [_narrowed(first, where), *(_narrowed(one, beside) for one in others)]
        return draw(studies, cell.name, width=width, font=font, options=options)

    return rendered(first, str(shown), f"paper {width} {font}", (where, *others), drawn)


def _narrowed(study: Study, where: Slice | None) -> Study:
    return CachedStudy(study) if where is None else PageStudy(study, where)


def served_beside(study: Study, cell: CellRequest) -> list[Study]:
    """The study that a cell shows, and those that it compares it with.

    Raises:
        StudyError: one of them is not served here, or cannot be read.
    """
    others = [_served(study, name) for name in cell.others]
    return others if cell.of else [study, *others]


def _served(study: Study, name: str) -> Study:
    there = {entry.path: entry.name for entry in served_studies.entries(served_studies.studies_folder())}
    path = folder_of(study, name)
    if path not in there:
        raise StudyError(gone_study(name, list(there.values())))
    return served_studies.open_current(path)


@cached_read(max_entries=256)
def picture_shape(study: Study, image_id: str) -> float:
    """Height of an image divided by its width; 1 where it cannot be read."""
    try:
        width, height = study.image(image_id).size
    except PeregrineError:
        return 1.0
    return height / width
