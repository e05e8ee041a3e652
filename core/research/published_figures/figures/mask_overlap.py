"""Heatmaps against masks: image, heatmap, mask and their overlap (Kalibhat 2024, Fig. 6)."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from core.charts import heat_panels
from core.charts.chart import Chart, class_numbers
from core.charts.options import FigureOptions
from core.charts.panels import Header, Picture, Strip, picture_grid
from core.charts.picked_images import middles
from core.charts.theme import Theme
from core.common.dataframes import as_text, numbers
from core.errors import PeregrineError, StudyError
from core.store import Study

REGIONS = {  # Okabe-Ito colours, distinguishable with every colour vision
    "both": (240, 228, 66),
    "mask only": (86, 180, 233),
    "heatmap only": (213, 94, 0),
}
REGION_NOTE = "Yellow: heatmap and mask; blue: mask only; vermillion: heatmap only."


def region_picture(
    image: heat_panels.Shown, heat: np.ndarray, mask: np.ndarray, threshold: float
) -> Image.Image:
    """Return the image in grey, coloured by heatmap (>= threshold) and mask (>= 0.5) and their overlap."""
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


def _table(study: Study, options: FigureOptions) -> MaskedImages:
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


def _draw(data: MaskedImages, options: FigureOptions, theme: Theme) -> go.Figure:
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
    table=_table,
    draw=_draw,
    column="double",
)
