"""Heatmaps of features and of a principal component on one class (Kalibhat 2024, A.11 to A.14)."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart
from core.charts.heat_panels import Shown, facts_of, original, overlay
from core.charts.options import FigureOptions
from core.charts.panels import Strip, picture_grid
from core.charts.picked_images import EVENLY, counts_by_class, of_class, spread
from core.charts.reading import class_numbers
from core.charts.study_heats import StudyHeats
from core.charts.theme import Theme
from core.common.dataframes import as_text
from core.errors import StudyError
from core.store import Study


class Directions(NamedTuple):
    """Images of one class with heatmaps of directions: `frame` has a row per image."""

    frame: pd.DataFrame
    images: list[Shown]
    titles: list[str]
    label: str


def _table(study: Study, options: FigureOptions) -> Directions:
    """Compute where a top discriminative, a lowly activating and a random feature and the first principal
    component are active, on images of one class."""
    source = StudyHeats(study, options)
    facts, asked = source.judged(), class_numbers(study, options)
    counts = counts_by_class(facts, study)
    number = asked[0] if asked else int(counts[0].argmax())
    label = study.class_names[number]
    rows = spread(of_class(facts, label, bool(counts[0, number])), options.images or 6)
    if not rows:
        images = "evaluation image" if study.chosen is None else "image in the slice"
        raise StudyError(f"no {images} of '{study.path}' is of class '{label}'")
    pictures, titles = source.along_directions(source.shown(rows), number)
    return Directions(facts_of(pictures), pictures, titles, label)


def _draw(data: Directions, options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot images of one class with heatmaps of directions, one row per direction."""
    note = (
        f"Evaluation images of class {as_text(data.label)}, {EVENLY}. Rows: the discriminative feature "
        "with the largest class mean, the feature with the smallest class mean above zero, a random "
        "feature, and the first principal component of the representations. An evenly dark image has no heat."
    )
    strips = [Strip("image", [original(image) for image in data.images])]
    for name in data.titles:
        strips.append(Strip(name, [overlay(image, name, options.colours) for image in data.images]))
    return picture_grid(strips, note=note, theme=theme)


DIRECTIONS = Chart(
    name="directions",
    title="top, lowly activating, random feature and PCA on one class",
    source="Kalibhat 2024, A.11 to A.14",
    needs=("features", "probe"),
    table=_table,
    draw=_draw,
    column="double",
)
