"""Heatmaps of correct and misclassified images by class (Kalibhat 2024, Fig. 5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, class_numbers
from core.charts.class_representations import choose_classes
from core.charts.heat_panels import Shown, StudyHeats, facts_of, filled_up, original, overlay, short
from core.charts.options import FigureOptions
from core.charts.panels import Header, Strip, picture_grid
from core.charts.picked_images import EVENLY, check_side_by_side, counts_by_class, of_class, spread
from core.charts.theme import Theme
from core.common.dataframes import as_text
from core.comparison.images import study_names
from core.errors import StudyError
from core.store import Study


@dataclass(frozen=True)
class ClassImages:
    """Images of one class, separated by correctness."""

    name: str
    correct: Sequence[Shown]
    misclassified: Sequence[Shown]


class ClassBlocks(NamedTuple):
    """Classes with their images: `frame` has a row per image; the names of the studies, and a note."""

    frame: pd.DataFrame
    classes: list[ClassImages]
    layers: list[str]


NOTE = (
    f"Heatmaps of the discriminative features that fire on each image; images {EVENLY} "
    "within their group. Below a misclassified image: the predicted class."
)


def _table(studies: Sequence[Study], options: FigureOptions) -> ClassBlocks:
    """Choose classes with correct and misclassified images; every study gives one row of heatmaps."""
    check_side_by_side(studies)
    study, layers = studies[0], study_names(studies)
    sources = [StudyHeats(one, options) for one in studies]
    facts, n = sources[0].judged(), options.images or 4
    for other in studies[1:]:
        facts = facts.loc[facts["image_id"].isin(other.images["image_id"]).to_numpy()]
    classes = class_numbers(study, options) or choose_classes(counts_by_class(facts, study), most=3)
    if not len(classes):
        images = "evaluation images" if study.chosen is None else "images in the slice"
        raise StudyError(f"no class of '{study.path}' has both correct and misclassified {images}")
    blocks = []
    for label in [study.class_names[number] for number in classes]:
        parts = []
        for verdict in (True, False):
            images = sources[0].shown(spread(of_class(facts, label, verdict), n))
            for source, layer in zip(sources, layers, strict=True):
                images = [source.with_heat(image, layer) for image in images]
            parts.append(images)
        blocks.append(ClassImages(label, *parts))
    every_image = [image for block in blocks for image in (*block.correct, *block.misclassified)]
    return ClassBlocks(facts_of(every_image), blocks, layers)


def _draw(data: ClassBlocks, options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot correct images of each class on the left, misclassified ones on the right, with heatmaps below
    (Kalibhat 2024, Fig. 5): a row for each study."""
    n_correct = max((len(one.correct) for one in data.classes), default=0)
    n_wrong = max((len(one.misclassified) for one in data.classes), default=0)
    strips = []
    for one in data.classes:
        images = [*filled_up(one.correct, n_correct), *filled_up(one.misclassified, n_wrong)]
        pictures = [original(image) if image else None for image in images]
        strips.append(Strip(f"<b>{as_text(short(one.name))}</b>", pictures, apart=True))
        answers = [
            f"as {as_text(short(image.predicted))}" if image and image.correct is False else ""
            for image in images
        ]
        for layer in data.layers:
            words = answers if layer == data.layers[-1] else [""] * len(images)
            drawn = [overlay(image, layer, options.colours, caption=words_below) if image else None
                     for image, words_below in zip(images, words, strict=True)]  # fmt: skip
            strips.append(Strip(as_text(layer) if len(data.layers) > 1 else "", drawn))
    groups = (("correct", 0, n_correct), ("misclassified", n_correct, n_correct + n_wrong))
    headers = [Header(text, start, stop, text) for text, start, stop in groups if stop > start]
    breaks = [n_correct] if n_correct and n_wrong else []
    return picture_grid(strips, headers=headers, breaks=breaks, note=NOTE, theme=theme)


HEATMAPS = Chart(
    name="heatmaps",
    title="heatmaps of correct and misclassified images; --with: before and after",
    source="Kalibhat 2024, Fig. 5",
    needs=("probe", "heatmap_maps"),
    table=_table,
    draw=_draw,
    studies=(1, 4),
    column="double",
)
