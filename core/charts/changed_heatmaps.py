"""Images that only one of two studies classifies correctly, with the heatmaps of both."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, shared_of_slice, whole_study
from core.charts.heat_panels import Shown, StudyHeats, facts_of, heated, original, short
from core.charts.options import FigureOptions
from core.charts.panels import Header, Strip, picture_grid
from core.charts.picked_images import check_side_by_side
from core.charts.theme import Theme
from core.common.dataframes import as_text, numbers
from core.comparison.images import study_names
from core.comparison.sides import GAINED, LOST, SIDES, side_table, surest_first
from core.errors import SettingsError, StudyError
from core.store import Study


class Changed(NamedTuple):
    """Images that changed sides: `frame` has a row per image; the images by side; names of the studies."""

    frame: pd.DataFrame
    sides: dict[str, list[tuple[Shown, ...]]]
    layers: list[str]


def _table(studies: Sequence[Study], options: FigureOptions) -> Changed:
    """Choose images whose answer is right in one of two studies only; `options.panels` names the sides, of
    those of `core.comparison.sides`.

    Raises:
        SettingsError: a side that does not exist. StudyError: no image is on the sides.
    """
    check_side_by_side(studies)
    sides = options.panels or (GAINED, LOST)
    if odd := [side for side in sides if side not in SIDES]:
        raise SettingsError(f"'{odd[0]}' is no side. Sides: {', '.join(SIDES)}")
    shared, layers = shared_of_slice(studies), study_names(studies)
    table, n = side_table(shared), options.images or 4
    sources = [StudyHeats(whole_study(study), options) for study in studies]
    pairs_by_side = {}
    for side in sides:
        rows = numbers(surest_first(table, shared.names[1], side), "row").astype(np.int64)[:n]
        before = _heated(sources[0], rows, layers[0])
        there = [sources[1].study.row_of(one.name) for one in before]
        after = {
            one.name: one for one in _heated(sources[1], there, layers[1])
        }  # a file may be missing there
        pairs_by_side[side] = [(one, after[one.name]) for one in before if one.name in after]
    if not any(pairs_by_side.values()):
        raise StudyError(f"no evaluation image of {layers[0]} and {layers[1]} is {' or '.join(sides)}")
    frames = [
        facts_of([pair[0] for pair in pairs]).assign(side=side) for side, pairs in pairs_by_side.items()
    ]
    return Changed(pd.concat(frames, ignore_index=True), pairs_by_side, layers)


def _heated(source: StudyHeats, rows: Sequence[int] | np.ndarray, layer: str) -> list[Shown]:
    return [source.with_heat(image, layer) for image in source.shown(rows)]


def _draw(data: Changed, options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot images that studies answer differently, with the heatmap and the answer of each study below."""
    before, after = map(as_text, data.layers)
    note = (
        f"Evaluation images by their answers in {before} and {after}, most sure "
        "new answer first, with the heatmaps of the discriminative features that fire. Below: the answer."
    )
    columns = [images for side in data.sides.values() for images in side]
    strips = [Strip("", [replace(original(images[0]), verdict="") for images in columns])]
    for at, layer in enumerate(data.layers):
        shown = [images[at] for images in columns]
        answers = [as_text(short(image.predicted)) for image in shown]
        pictures = [
            heated(image, options.colours, caption=answer, layer=layer)
            for image, answer in zip(shown, answers, strict=True)
        ]
        strips.append(Strip(as_text(layer), pictures))
    stops = np.cumsum([len(side) for side in data.sides.values()]).tolist()
    spans = zip(data.sides, [0, *stops], stops, strict=False)
    headers = [Header(title, start, stop) for title, start, stop in spans if stop > start]
    breaks = [header.start for header in headers[1:]]
    return picture_grid(strips, headers=headers, breaks=breaks, note=note, theme=theme)


CHANGED_HEATMAPS = Chart(
    name="changed_heatmaps",
    title="images that only one of two studies classifies correctly, with the heatmaps of both; --with",
    needs=("probe", "heatmap_maps"),
    table=_table,
    draw=_draw,
    studies=(2, 2),
    column="double",
    same_images=True,
)
