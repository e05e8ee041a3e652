"""Kalibhat 2024, Figs 6, A.2, A.11 to A.14: images with masks, of features, and along directions."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from core.charts import heat_panels
from core.charts.chart import Chart, class_numbers
from core.charts.heat_panels import (
    EVENLY,
    STORED_ONLY,
    Shown,
    StudyHeats,
    counts_by_class,
    facts_of,
    middles,
    of_class,
    original,
    overlay,
    spread,
    strongest_rows,
    top_images_of,
)
from core.charts.heatmap_sheets import FEATURE_HEATMAPS, FeatureRows
from core.charts.options import FigureOptions
from core.charts.panels import Header, Picture, Strip, picture_grid
from core.charts.shown_names import as_text
from core.charts.theme import Theme
from core.common.dataframes import numbers
from core.common.step_facts import EmbedFacts
from core.compare.images import study_names
from core.errors import HeatmapNotStored, PeregrineError, StudyError
from core.measures.slice_comparison import train_images
from core.store import Study

# Heatmaps against masks: image, heatmap, mask and their overlap (Kalibhat 2024, Fig. 6).


REGIONS = {  # Okabe-Ito colours, distinguishable with every colour vision
    "both": (240, 228, 66),
    "mask only": (86, 180, 233),
    "heatmap only": (213, 94, 0),
}
REGION_NOTE = "Yellow: heatmap and mask; blue: mask only; vermillion: heatmap only."


def region_picture(
    image: heat_panels.Shown, heat: np.ndarray, mask: np.ndarray, threshold: float
) -> Image.Image:
    """Return the image in grey, coloured by heatmap, mask and their overlap (figures of papers, research)."""
    ground = heat_panels.enlarged(image.pixels)
    side = ground.width
    hot = heat_panels.enlarged_map(heat, side) >= threshold
    inside = heat_panels.enlarged_map(mask, side) >= 0.5
    grey = np.repeat(np.asarray(ground.convert("L"), np.float32)[..., None], 3, axis=2)
    for name, where in (
        ("both", hot & inside),
        ("mask only", inside & ~hot),
        ("heatmap only", hot & ~inside),
    ):
        grey[where] = 0.4 * grey[where] + 0.6 * np.array(REGIONS[name], np.float32)
    return Image.fromarray(grey.round().astype(np.uint8))


def _mask_strip(image: heat_panels.Shown, kinds: Sequence[str], threshold: float, colours: str) -> Strip:
    layer, heat = next(((name, heat) for name, heat in image.heats.items() if heat is not None), ("", None))
    pictures: list[Picture | None] = [heat_panels.original(image), heat_panels.overlay(image, layer, colours)]
    for kind in kinds:
        mask = image.masks.get(kind)
        if mask is None or heat is None:
            pictures += [None, None]
            continue
        outline = heat_panels.enlarged_map(mask, max(heat_panels.SIDE, image.pixels.shape[0]))
        levels = Image.fromarray(np.repeat((255 * outline).round().astype(np.uint8)[..., None], 3, axis=2))
        score = image.scores.get(kind, float("nan"))
        caption = f"{score:.2f}" if np.isfinite(score) else "undefined"
        pictures += [heat_panels.heat_picture(image, levels)]
        pictures += [
            heat_panels.heat_picture(image, region_picture(image, heat, mask, threshold), caption=caption)
        ]
    words = f"<b>{as_text(heat_panels.short(image.label))}</b>"
    if image.correct is False:
        words += f"<br>as {as_text(heat_panels.short(image.predicted))}"
    return Strip(words, pictures)


class MaskedImages(NamedTuple):
    """Images with their masks: `frame` has a row per image, with its overlaps."""

    frame: pd.DataFrame
    images: list[heat_panels.Shown]
    threshold: float
    note: str


def _overlap_table(study: Study, options: FigureOptions) -> MaskedImages:
    """Choose images with low, medium and high overlap with the core mask."""
    source = heat_panels.StudyHeats(study, options)
    table = study.table("overlap")
    if options.classes:
        class_numbers(study, options)
        table = table[table["label"].isin(options.classes)]
    scores = table.pivot_table(index="row", columns="mask", values=options.variant, aggfunc="first")
    scores = scores.dropna() if scores.notna().all(axis=1).any() else scores.dropna(how="all")
    if scores.empty:
        raise StudyError(f"no image of '{study.path}' has both a heatmap and a mask")
    order = scores.sort_values([scores.columns[0]]).index.to_numpy()
    correct = numbers(source.facts, "correct")[order]
    n = options.images or 3
    rows = [*middles(order[correct == 1], n), *middles(order[correct == 0], n)]
    images = source.shown(rows or middles(order, 2 * n))
    images = [_with_masks(study, source.with_heat(image, "heatmap"), scores) for image in images]
    threshold = float(study.settings("overlap").get("threshold", 0.5))
    note = (
        f"Below an overlap: its value (variant {options.variant}, t = {threshold:g}). Correct images first, "
        f"then misclassified ones, each evenly spaced by the overlap with the {scores.columns[0]} mask."
    )
    values = pd.DataFrame([dict(image.scores) for image in images])
    return MaskedImages(pd.concat([heat_panels.facts_of(images), values], axis=1), images, threshold, note)


def _with_masks(study: Study, image: heat_panels.Shown, scores: pd.DataFrame) -> heat_panels.Shown:
    """Add masks and overlaps to an image: `scores` has a row per image and a column per mask."""
    masks: dict[str, np.ndarray] = {}
    for kind in scores.columns:
        with suppress(PeregrineError):
            masks[str(kind)] = study.mask(image.row, str(kind))
    values: Mapping[Any, Any] = scores.loc[image.row].to_dict()
    return replace(image, masks=masks, scores={str(kind): float(value) for kind, value in values.items()})


def _draw_overlap(data: MaskedImages, options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot image, heatmap, and for each mask the mask and its overlap with the heatmap."""
    kinds = [kind for kind in ("core", "spurious") if any(kind in image.masks for image in data.images)]
    headers = [Header("image", 0, 1), Header("heatmap", 1, 2)]
    for number, kind in enumerate(kinds):
        headers += [Header(f"{kind} mask", 2 + 2 * number, 3 + 2 * number)]
        headers += [Header("overlap", 3 + 2 * number, 4 + 2 * number)]
    strips = [_mask_strip(image, kinds, data.threshold, options.colours) for image in data.images]
    note = f"{data.note} {REGION_NOTE}".strip()
    breaks = [2 + 2 * number for number in range(len(kinds))]
    return picture_grid(strips, headers=headers, breaks=breaks, note=note, theme=theme)


MASK_OVERLAP = Chart(
    name="mask_overlap",
    title="image, heatmap, mask and their overlap",
    source="Kalibhat 2024, Fig. 6",
    needs=("heatmap_maps", "overlap"),
    table=_overlap_table,
    draw=_draw_overlap,
    column="double",
)


# Top images of features on one image set and on another (Kalibhat 2024, A.2).


def _transferred_table(studies: Sequence[Study], options: FigureOptions) -> FeatureRows:
    """Read features chosen on one image set, and their top images in another."""
    here, there = studies
    _check_same_encoder(here, there)
    first, second = StudyHeats(here, options), StudyHeats(there, options)
    n = options.images or 4
    rows, beside, frames = [], [], []
    for feature, title, images in top_images_of(here, first, options, n):
        rows.append((title, [first.with_stored(image, feature) for image in images]))
        images_there = second.shown(strongest_rows(there, feature, n))
        beside.append([second.with_stored(image, feature) for image in images_there])
        for part, study in ((images, here), (images_there, there)):
            frames.append(facts_of(part).assign(feature=feature, study=study.name))
    note = (
        f"Features chosen on {here.name}; the images of each set on which they are largest, with the heatmap "
        "where one is stored."
    )
    first_name, second_name = study_names(studies)
    return FeatureRows(pd.concat(frames, ignore_index=True), rows, note, beside, (first_name, second_name))


def _check_same_encoder(here: Study, there: Study) -> None:
    first, second = (study.facts(EmbedFacts).encoder for study in (here, there))
    if (first.fingerprint, first.layer) != (second.fingerprint, second.layer):
        raise StudyError(
            f"'{here.path}' and '{there.path}' were made with different encoders, so their features have "
            "nothing in common; make the second with the first one's --encoder, --layer and --pool"
        )


TRANSFERRED_FEATURES = Chart(
    name="transferred_features",
    title="features chosen here, on another image set (--with)",
    source="Kalibhat 2024, A.2",
    needs=("features",),
    table=_transferred_table,
    draw=FEATURE_HEATMAPS.draw,
    studies=(2, 2),
    column="double",
)


# Heatmaps of features and of a principal component on one class (Kalibhat 2024, A.11 to A.14).


PCA_ROWS = 2000  # evenly spaced train images used to compute the principal component


class Directions(NamedTuple):
    """Images of one class with heatmaps of directions: `frame` has a row per image."""

    frame: pd.DataFrame
    images: list[Shown]
    titles: list[str]
    label: str


def _directions_table(study: Study, options: FigureOptions) -> Directions:
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
    pictures, titles = _along_directions(source, source.shown(rows), number)
    return Directions(facts_of(pictures), pictures, titles, label)


def _draw_directions(data: Directions, options: FigureOptions, theme: Theme) -> go.Figure:
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


def _along_directions(
    source: StudyHeats, images: Sequence[Shown], label: int
) -> tuple[list[Shown], list[str]]:
    """Add heatmaps of a class's top, a lowly activating and a random feature, and of the first principal
    component, to the images; return them and the names of these four."""
    if source.options.device == STORED_ONLY:
        raise HeatmapNotStored("the heatmaps of these directions are computed when the figure is made")
    import torch

    from core.analysis import gradcam
    from core.study.heatmaps import resize_map, scale_map

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
    """Top feature of each class for a published figure (research): argmax over D of the class mean.

    Args:
        class_means: (r, C) float; NaN columns for classes without images. discriminative: (r,) bool.
    Returns:
        (C,) int64; -1 for a NaN column or an empty D.
    """
    means = np.where(discriminative[:, None], class_means, -np.inf)
    return _extreme(means, np.isfinite(means), np.argmax, -np.inf)


def lowly_activating_features(class_means: np.ndarray) -> np.ndarray:
    """Lowly activating feature of each class in a paper's figures (research; Kalibhat 2024, A.11-A.14).

    It is the one with the smallest class mean above 0.

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
    """Draw (min(k, n_features),) int64 features for a published figure (research) from the seed."""
    return np.random.default_rng(seed).choice(n_features, min(k, n_features), replace=False)


def pca_directions(raw: np.ndarray, k: int) -> np.ndarray:
    """Principal axes along which figures of a paper (research) show images (Kalibhat 2024, A.6, A.11-A.14).

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
    table=_directions_table,
    draw=_draw_directions,
    column="double",
)
