"""Heatmaps of features and of a principal component on one class (Kalibhat 2024, A.11 to A.14)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, class_numbers
from core.charts.heat_panels import STORED_ONLY, Shown, StudyHeats, facts_of, original, overlay
from core.charts.options import FigureOptions
from core.charts.panels import Strip, picture_grid
from core.charts.picked_images import EVENLY, counts_by_class, of_class, spread
from core.charts.theme import Theme
from core.common.dataframes import as_text
from core.errors import HeatmapNotStored, StudyError
from core.slices.inspection.populations import train_images
from core.store import Study

PCA_ROWS = 2000  # evenly spaced train images used to compute the principal component


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
    pictures, titles = along_directions(source, source.shown(rows), number)
    return Directions(facts_of(pictures), pictures, titles, label)


def _draw(data: Directions, options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot images of one class with heatmaps of directions, one row per direction."""
    note = (
        f"Images of class {as_text(data.label)}, {EVENLY}. Rows: the discriminative feature "
        "with the largest class mean, the feature with the smallest class mean above zero, a random "
        "feature, and the first principal component of the representations. An evenly dark image has no heat."
    )
    strips = [Strip("image", [original(image) for image in data.images])]
    for name in data.titles:
        strips.append(Strip(name, [overlay(image, name, options.colours) for image in data.images]))
    return picture_grid(strips, note=note, theme=theme)


def along_directions(
    source: StudyHeats, images: Sequence[Shown], label: int
) -> tuple[list[Shown], list[str]]:
    """Add heatmaps of a class's top, a lowly activating and a random feature, and of the first principal
    component, to the images; return them and the names of these four."""
    if source.options.device == STORED_ONLY:
        raise HeatmapNotStored("the heatmaps of these directions are computed when the figure is made")
    import torch

    from core.analysis.gradcam import gradcam
    from core.heatmaps.combine import resize_map, scale_map

    study = source.study
    means = study.vector("class_means")
    discriminative = study.discriminative
    top = class_top_features(means, discriminative)[label]
    low = lowly_activating_features(means)[label]
    drawn = random_features(len(means), 1, seed=source.options.seed)[0]
    features = {"top feature": int(top), "low feature": int(low), "random feature": int(drawn)}
    pixels = torch.from_numpy(np.stack([image.pixels for image in images]))
    single = gradcam.gradcam_maps(source.encoder, pixels, np.array(list(features.values())))
    component = pca_directions(_sample(study), 1)
    along = gradcam.direction_maps(source.encoder, pixels, component)
    maps = np.concatenate([single.cpu().numpy(), along.cpu().numpy()], axis=1)  # (n, 4, h, w)
    heats = scale_map(resize_map(scale_map(maps), study.transform.input_size))
    titles = [f"{name}<br>{feature}" for name, feature in features.items()] + ["principal<br>component 1"]
    images_with_heats = [
        replace(image, heats=dict(zip(titles, image_heats, strict=True)))
        for image, image_heats in zip(images, heats, strict=True)
    ]
    return images_with_heats, titles


def _sample(study: Study) -> np.ndarray:
    rows = np.flatnonzero(train_images(study))
    rows = rows if len(rows) else np.arange(study.n_images)
    return study.array("representations").rows(rows[:: max(1, len(rows) // PCA_ROWS)])


def class_top_features(class_means: np.ndarray, discriminative: np.ndarray) -> np.ndarray:
    """Top feature of each class: argmax over D of the class mean of h_j.

    Args:
        class_means: (r, C) float; NaN columns for classes without images. discriminative: (r,) bool.
    Returns:
        (C,) int64; -1 for a NaN column or an empty D.
    """
    means = np.where(discriminative[:, None], class_means, -np.inf)
    return _extreme(means, np.isfinite(means), np.argmax, -np.inf)


def lowly_activating_features(class_means: np.ndarray) -> np.ndarray:
    """Lowly activating feature of each class: the smallest class mean above 0 (Kalibhat 2024, A.11-A.14).

    Args:
        class_means: (r, C) float.
    Returns:
        (C,) int64; -1 if no mean is above 0.
    """
    return _extreme(class_means, class_means > 0, np.argmin, np.inf)


def _extreme(
    means: np.ndarray, counts: np.ndarray, pick: Callable[..., np.ndarray], filler: float
) -> np.ndarray:
    return np.where(counts.any(axis=0), pick(np.where(counts, means, filler), axis=0), -1)


def random_features(n_features: int, k: int, *, seed: int = 0) -> np.ndarray:
    """Draw (min(k, n_features),) int64 distinct features from the seed."""
    return np.random.default_rng(seed).choice(n_features, min(k, n_features), replace=False)


def pca_directions(raw: np.ndarray, k: int) -> np.ndarray:
    """Compute the first principal axes of raw rows (Kalibhat 2024, A.6, A.11-A.14).

    Args:
        raw: (n, r) float.
    Returns:
        (min(k, n, r), r) float32 orthonormal, by descending variance; the largest entry of each is positive.
    """
    rows = np.asarray(raw, np.float64)
    _, _, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    axes = axes[:k]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return (axes * np.where(largest < 0, -1, 1)).astype(np.float32)


DIRECTIONS = Chart(
    name="directions",
    title="top, lowly activating, random feature and PCA on one class",
    source="Kalibhat 2024, A.11 to A.14",
    needs=("features", "probe"),
    table=_table,
    draw=_draw,
    column="double",
)
