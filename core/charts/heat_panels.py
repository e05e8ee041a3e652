"""Panels of heatmaps: by class and correctness ([Q] Fig. 5), against masks (Fig. 6), of features (A.2, A.10)
and of other directions (A.11 to A.14). All images are shown in the encoder's input view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import plotly.graph_objects as go
from PIL import Image

from core.charts.panels import Header, Picture, Strip, picture_grid
from core.charts.theme import LIGHT, Theme
from core.common.dataframes import as_text
from core.heatmaps.overlay_image import draw_overlay

SIDE = 224  # minimum pixels of an image in a file, so that small images are enlarged smoothly
IMAGE = "image"
REGIONS = {  # Okabe-Ito colours, distinguishable with every colour vision
    "both": (240, 228, 66),
    "mask only": (86, 180, 233),
    "heatmap only": (213, 94, 0),
}
COLOURS = "inferno"  # brighter is hotter, also for the colour-blind and in grey print
OPACITY = 0.6
REGION_NOTE = "Yellow: heatmap and mask; blue: mask only; vermillion: heatmap only."
LONGEST_NAME = 16  # characters of a class name under an image


@dataclass(frozen=True)
class Shown:
    """One image with its heatmaps.

    Attributes:
        pixels: (S, S, 3) uint8, the encoder's input view.
        heats: name of the feature or direction -> (S, S) float in [0, 1]; None if there is no heatmap.
        masks: (S, S) float in [0, 1] by kind. scores: overlap by kind of mask.
        label, predicted, correct: if known ("" and None otherwise).
    """

    pixels: np.ndarray
    row: int = -1
    name: str = ""
    label: str = ""
    predicted: str = ""
    correct: bool | None = None
    heats: Mapping[str, np.ndarray | None] = field(default_factory=dict)
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        return "" if self.correct is None else "correct" if self.correct else "misclassified"


@dataclass(frozen=True)
class ClassImages:
    """Images of one class, separated by correctness."""

    name: str
    correct: Sequence[Shown]
    misclassified: Sequence[Shown]


def class_heatmaps(
    classes: Sequence[ClassImages],
    layers: Sequence[str],
    *,
    note: str = "",
    colours: str = COLOURS,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot correct images of each class on the left, misclassified ones on the right, with heatmaps below
    ([Q] Fig. 5).

    Args:
        layers: names of the heatmaps, one row each, in order: of one study, or before and after.
    """
    n_correct = max((len(one.correct) for one in classes), default=0)
    n_wrong = max((len(one.misclassified) for one in classes), default=0)
    strips = []
    for one in classes:
        shown = [*_padded(one.correct, n_correct), *_padded(one.misclassified, n_wrong)]
        pictures = [original(image) if image else None for image in shown]
        strips.append(Strip(f"<b>{as_text(short(one.name))}</b>", pictures, apart=True))
        for layer in layers:
            words = [_taken_for(image) if image and layer == layers[-1] else "" for image in shown]
            drawn = [overlay(image, layer, colours, caption=said) if image else None
                     for image, said in zip(shown, words, strict=True)]  # fmt: skip
            strips.append(Strip(as_text(layer) if len(layers) > 1 else "", drawn))
    headers = [
        Header(text, start, stop, text)
        for text, start, stop in (
            ("correct", 0, n_correct),
            ("misclassified", n_correct, n_correct + n_wrong),
        )
        if stop > start
    ]
    breaks = [n_correct] if n_correct and n_wrong else []
    return picture_grid(strips, headers=headers, breaks=breaks, note=note, theme=theme)


def changed_heatmaps(
    sides: Mapping[str, Sequence[tuple[Shown, ...]]],
    layers: Sequence[str],
    *,
    note: str = "",
    colours: str = COLOURS,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot images that studies answer differently, with the heatmap and the answer of each study below.

    Args:
        sides: what changed -> its images, each as every study shows it, in the order of `layers`.
        layers: names of the studies.
    """
    columns = [images for side in sides.values() for images in side]
    strips = [Strip("", [replace(original(images[0]), verdict="") for images in columns])]
    for at, layer in enumerate(layers):
        pictures = []
        for images in columns:
            image, said = images[at], as_text(short(images[at].predicted))
            heated = overlay(image, layer, colours, caption=said)
            pictures.append(heated or _picture(image, enlarged(image.pixels), caption=said))
        strips.append(Strip(as_text(layer), pictures))
    stops = np.cumsum([len(side) for side in sides.values()]).tolist()
    spans = zip(sides, [0, *stops], stops, strict=False)
    headers = [Header(title, start, stop) for title, start, stop in spans if stop > start]
    breaks = [header.start for header in headers[1:]]
    return picture_grid(strips, headers=headers, breaks=breaks, note=note, theme=theme)


def mask_overlaps(
    images: Sequence[Shown],
    *,
    threshold: float = 0.5,
    note: str = "",
    colours: str = COLOURS,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot image, heatmap, and for each mask the mask and its overlap with the heatmap ([Q] Fig. 6).

    Args:
        images: with `heats` under one name, `masks` and `scores`.
        threshold: t: minimum value inside the heatmap's region.
    """
    kinds = [kind for kind in ("core", "spurious") if any(kind in image.masks for image in images)]
    headers = [Header("image", 0, 1), Header("heatmap", 1, 2)]
    for number, kind in enumerate(kinds):
        headers += [Header(f"{kind} mask", 2 + 2 * number, 3 + 2 * number)]
        headers += [Header("overlap", 3 + 2 * number, 4 + 2 * number)]
    strips = [_mask_strip(image, kinds, threshold, colours) for image in images]
    note = f"{note} {REGION_NOTE}".strip()
    breaks = [2 + 2 * number for number in range(len(kinds))]
    return picture_grid(strips, headers=headers, breaks=breaks, note=note, theme=theme)


def direction_heatmaps(
    images: Sequence[Shown],
    directions: Sequence[str],
    *,
    note: str = "",
    colours: str = COLOURS,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot images of one class with heatmaps of directions, one row per direction ([Q] A.11 to A.14)."""
    rows = [Strip("image", [original(image) for image in images])]
    rows += [Strip(name, [overlay(image, name, colours) for image in images]) for name in directions]
    return picture_grid(rows, note=note, theme=theme)


def feature_heatmaps(
    rows: Sequence[tuple[str, Sequence[Shown]]],
    *,
    other: Sequence[Sequence[Shown]] = (),
    headers: tuple[str, str] = ("", ""),
    note: str = "",
    colours: str = COLOURS,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot one row per feature: its top images with the feature's heatmap ([Q] A.10); with `other`, also its
    top images in another image set ([Q] A.2). Images without a heatmap are shown plain.

    Args:
        rows: title and images of each feature. other: additional images of each, in the same order.
    """
    n_first = max((len(images) for _, images in rows), default=0)
    n_other = max((len(images) for images in other), default=0)
    strips = []
    for number, (title, images) in enumerate(rows):
        beside = other[number] if other else []
        shown = [*_padded(images, n_first), *_padded(beside, n_other)]
        strips.append(Strip(title, [_with_feature(image, colours) if image else None for image in shown]))
    spans = [Header(as_text(headers[0]), 0, n_first), Header(as_text(headers[1]), n_first, n_first + n_other)]
    spans = [span for span in spans if span.text and span.stop > span.start]
    return picture_grid(strips, headers=spans, breaks=[n_first] if n_other else [], note=note, theme=theme)


def original(image: Shown) -> Picture:
    """Return the image itself, framed in the colour of its correctness."""
    return _picture(image, enlarged(image.pixels), verdict=image.verdict)


def overlay(image: Shown, layer: str, colours: str, *, caption: str = "") -> Picture | None:
    """Return the image with one of its heatmaps; None if it has none."""
    heat = image.heats.get(layer)
    if heat is None:
        return None
    picture = enlarged(image.pixels)
    heat = enlarged_map(heat, picture.width)
    return _picture(image, draw_overlay(picture, heat, opacity=OPACITY, colour_map=colours), caption=caption)


def region_picture(image: Shown, heat: np.ndarray, mask: np.ndarray, threshold: float) -> Image.Image:
    """Return the image in grey, coloured by heatmap (>= threshold) and mask (>= 0.5) and their overlap."""
    ground = enlarged(image.pixels)
    side = ground.width
    hot = enlarged_map(heat, side) >= threshold
    inside = enlarged_map(mask, side) >= 0.5
    grey = np.repeat(np.asarray(ground.convert("L"), np.float32)[..., None], 3, axis=2)
    for name, where in (
        ("both", hot & inside),
        ("mask only", inside & ~hot),
        ("heatmap only", hot & ~inside),
    ):
        grey[where] = 0.4 * grey[where] + 0.6 * np.array(REGIONS[name], np.float32)
    return Image.fromarray(grey.round().astype(np.uint8))


def enlarged(pixels: np.ndarray) -> Image.Image:
    """Enlarge a picture to at least SIDE pixels per side."""
    image = Image.fromarray(pixels)
    if image.width >= SIDE:
        return image
    return image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def enlarged_map(values: np.ndarray, side: int) -> np.ndarray:
    """(side, side) float32, bilinear."""
    if values.shape == (side, side):
        return values
    return cv2.resize(values.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)


def short(name: str) -> str:
    """Shorten a class name to fit under an image."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _picture(image: Shown, drawn: Image.Image, *, caption: str = "", verdict: str = "") -> Picture:
    hover = "<br>".join(as_text(part) for part in (image.name, image.label) if part)
    if image.correct is False:
        hover += f"<br>taken for {as_text(image.predicted)}"
    return Picture(drawn, caption, verdict, hover, image.row)


def _padded(images: Sequence[Shown], n: int) -> list[Shown | None]:
    return [*images, *[None] * (n - len(images))]


def _taken_for(image: Shown) -> str:
    return f"as {as_text(short(image.predicted))}" if image.correct is False else ""


def _with_feature(image: Shown, colours: str) -> Picture:
    name = next((name for name, heat in image.heats.items() if heat is not None), "")
    caption = as_text(short(image.label))
    found = overlay(image, name, colours, caption=caption) if name else None
    return found or _picture(image, enlarged(image.pixels), caption=caption)


def _mask_strip(image: Shown, kinds: Sequence[str], threshold: float, colours: str) -> Strip:
    layer, heat = next(((name, heat) for name, heat in image.heats.items() if heat is not None), ("", None))
    pictures: list[Picture | None] = [original(image), overlay(image, layer, colours)]
    for kind in kinds:
        mask = image.masks.get(kind)
        if mask is None or heat is None:
            pictures += [None, None]
            continue
        outline = enlarged_map(mask, max(SIDE, image.pixels.shape[0]))
        levels = Image.fromarray(np.repeat((255 * outline).round().astype(np.uint8)[..., None], 3, axis=2))
        score = image.scores.get(kind, float("nan"))
        caption = f"{score:.2f}" if np.isfinite(score) else "undefined"
        pictures += [_picture(image, levels)]
        pictures += [_picture(image, region_picture(image, heat, mask, threshold), caption=caption)]
    words = f"<b>{as_text(short(image.label))}</b>"
    if image.correct is False:
        words += f"<br>as {as_text(short(image.predicted))}"
    return Strip(words, pictures)
