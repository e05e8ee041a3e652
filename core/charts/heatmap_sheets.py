"""Sheets of images with heatmaps: by class, by feature, and where two studies differ."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, class_numbers, shared_of_slice, whole_study
from core.charts.class_representations import choose_classes
from core.charts.heat_panels import (
    EVENLY,
    Shown,
    StudyHeats,
    check_side_by_side,
    counts_by_class,
    facts_of,
    filled_up,
    heated,
    of_class,
    original,
    overlay,
    short,
    spread,
    top_images_of,
)
from core.charts.options import FigureOptions
from core.charts.panels import Header, Strip, picture_grid
from core.charts.shown_names import as_text
from core.charts.theme import Theme
from core.common.dataframes import numbers
from core.compare.images import GAINED, LOST, SIDES, WRONG, side_table, study_names, surest_first
from core.errors import SettingsError, StudyError
from core.store import Study

# Heatmaps of correct and misclassified images by class (Kalibhat 2024, Fig. 5).


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


CLASSES_NOTE = (
    f"Heatmaps of the discriminative features that fire on each image; images {EVENLY} "
    "within their group. Below a misclassified image: the predicted class."
)


def _class_table(studies: Sequence[Study], options: FigureOptions) -> ClassBlocks:
    """Choose classes with correct and misclassified images; every study gives one row of heatmaps."""
    check_side_by_side(studies)
    study, layers = studies[0], study_names(studies)
    sources = [StudyHeats(one, options) for one in studies]
    facts, n = sources[0].judged(), options.images or 4
    for other in studies[1:]:
        facts = facts.loc[facts["image_id"].isin(other.images["image_id"]).to_numpy()]
    classes = class_numbers(study, options) or choose_classes(counts_by_class(facts, study), most=3)
    if not len(classes):
        images = study.images_named("evaluation images")
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


def _draw_classes(data: ClassBlocks, options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot correct images of each class on the left, misclassified ones on the right, with heatmaps below
    (Kalibhat 2024, Fig. 5): a row for each study."""
    n_correct = max((len(class_.correct) for class_ in data.classes), default=0)
    n_wrong = max((len(class_.misclassified) for class_ in data.classes), default=0)
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
    return picture_grid(strips, headers=headers, breaks=breaks, note=CLASSES_NOTE, theme=theme)


HEATMAPS = Chart(
    name="heatmaps",
    title="heatmaps of correct and misclassified images; --with: before and after",
    source="Kalibhat 2024, Fig. 5",
    needs=("probe", "heatmap_maps"),
    table=_class_table,
    draw=_draw_classes,
    studies=(1, 4),
    column="double",
)


# Top images of features with their heatmaps (Kalibhat 2024, A.10).


class FeatureRows(NamedTuple):
    """Top images of features: `frame` has a row per image and feature."""

    frame: pd.DataFrame
    rows: list[tuple[str, list[Shown]]]
    note: str
    other: list[list[Shown]] = []  # noqa: RUF012  (never changed)
    headers: tuple[str, str] = ("", "")


def _feature_table(study: Study, options: FigureOptions) -> FeatureRows:
    """Read the images with the largest activations of features, with the features' heatmaps."""
    source = StudyHeats(study, options)
    rows, frames = [], []
    for feature, title, images in top_images_of(study, source, options, options.images or 6):
        rows.append((title, [source.with_heat(image, "heatmap", [feature]) for image in images]))
        frames.append(facts_of(images).assign(feature=feature))
    images = study.images_named("train and evaluation images")
    note = f"The {images} on which each feature is largest, with the feature's heatmap."
    return FeatureRows(pd.concat(frames, ignore_index=True), rows, note)


def _draw_features(data: FeatureRows, options: FigureOptions, theme: Theme) -> go.Figure:
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
    table=_feature_table,
    draw=_draw_features,
    column="double",
)


# Images that only one of two studies classifies correctly, with the heatmaps of both.


class Changed(NamedTuple):
    """Images that changed sides: `frame` has a row per image; the images by side; names of the studies."""

    frame: pd.DataFrame
    sides: dict[str, list[tuple[Shown, ...]]]
    layers: list[str]


def _changed_table(studies: Sequence[Study], options: FigureOptions) -> Changed:
    """Choose images whose answer is right in one of two studies only; `options.panels` names the sides, of
    those of `core.compare.images`.

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


def _draw_changed(data: Changed, options: FigureOptions, theme: Theme) -> go.Figure:
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
    titles = {GAINED: f"Only {after} right", LOST: f"Only {before} right", WRONG: "Neither right"}
    headers = [Header(titles.get(side, side), start, stop) for side, start, stop in spans if stop > start]
    breaks = [header.start for header in headers[1:]]
    return picture_grid(strips, headers=headers, breaks=breaks, note=note, theme=theme)


CHANGED_HEATMAPS = Chart(
    name="changed_heatmaps",
    title="images that only one of two studies classifies correctly, with the heatmaps of both; --with",
    needs=("probe", "heatmap_maps"),
    table=_changed_table,
    draw=_draw_changed,
    studies=(2, 2),
    column="double",
    same_images=True,
)
