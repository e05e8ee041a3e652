"""Top images of features with their heatmaps (Kalibhat 2024, A.10)."""

from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart
from core.charts.heat_panels import Shown, StudyHeats, facts_of, filled_up, heated, short
from core.charts.options import FigureOptions
from core.charts.panels import Header, Strip, picture_grid
from core.charts.picked_images import top_images_of
from core.charts.theme import Theme
from core.common.dataframes import as_text
from core.store import Study


class FeatureRows(NamedTuple):
    """Top images of features: `frame` has a row per image and feature."""

    frame: pd.DataFrame
    rows: list[tuple[str, list[Shown]]]
    note: str
    other: list[list[Shown]] = []  # noqa: RUF012  (never changed)
    headers: tuple[str, str] = ("", "")


def _table(study: Study, options: FigureOptions) -> FeatureRows:
    """Read the images with the largest activations of features, with the features' heatmaps."""
    source = StudyHeats(study, options)
    rows, frames = [], []
    for feature, title, images in top_images_of(study, source, options, options.images or 6):
        rows.append((title, [source.with_heat(image, "heatmap", [feature]) for image in images]))
        frames.append(facts_of(images).assign(feature=feature))
    among = "train and evaluation" if study.chosen is None else "of the slice"
    note = f"The images on which each feature is largest ({among}), with the feature's heatmap."
    return FeatureRows(pd.concat(frames, ignore_index=True), rows, note)


def _draw(data: FeatureRows, options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot one row per feature: its top images with the feature's heatmap, and those of the other image set.

    Images without a heatmap are shown plain.
    """
    n_first = max((len(images) for _, images in data.rows), default=0)
    n_other = max((len(images) for images in data.other), default=0)
    strips = []
    for number, (title, images) in enumerate(data.rows):
        beside = data.other[number] if data.other else []
        row = [*filled_up(images, n_first), *filled_up(beside, n_other)]
        pictures = [
            heated(one, options.colours, caption=as_text(short(one.label))) if one else None for one in row
        ]
        strips.append(Strip(title, pictures))
    ends = zip(data.headers, (0, n_first), (n_first, n_first + n_other), strict=True)
    headers = [Header(as_text(text), start, stop) for text, start, stop in ends if text and stop > start]
    breaks = [n_first] if n_other else []
    return picture_grid(strips, headers=headers, breaks=breaks, note=data.note, theme=theme)


FEATURE_HEATMAPS = Chart(
    name="feature_heatmaps",
    title="top images of features with their heatmaps",
    source="Kalibhat 2024, A.10",
    needs=("features", "heatmap_maps"),
    table=_table,
    draw=_draw,
    column="double",
)
