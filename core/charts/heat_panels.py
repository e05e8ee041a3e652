"""Images with heatmaps as pictures of a panel, in the encoder's input view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from core.charts.panels import Picture
from core.common.captions import shortened
from core.common.dataframes import as_text
from core.heatmaps.overlay_image import draw_overlay

SIDE = 224  # minimum pixels of an image in a file, so that small images are enlarged smoothly
IMAGE = "image"
COLOURS = "inferno"  # brighter is hotter, also for the colour-blind and in grey print
OPACITY = 0.6
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


def original(image: Shown) -> Picture:
    """Return the image itself, framed in the colour of its correctness."""
    return heat_picture(image, enlarged(image.pixels), verdict=image.verdict)


def overlay(image: Shown, layer: str, colours: str, *, caption: str = "") -> Picture | None:
    """Return the image with one of its heatmaps; None if it has none."""
    heat = image.heats.get(layer)
    if heat is None:
        return None
    picture = enlarged(image.pixels)
    heat = enlarged_map(heat, picture.width)
    return heat_picture(
        image, draw_overlay(picture, heat, opacity=OPACITY, colour_map=colours), caption=caption
    )


def heated(image: Shown, colours: str, *, caption: str, layer: str = "") -> Picture:
    """Return the image with the heatmap of a layer (default: the first that there is); plain without one."""
    name = layer or next((name for name, heat in image.heats.items() if heat is not None), "")
    drawn = overlay(image, name, colours, caption=caption)
    return drawn or heat_picture(image, enlarged(image.pixels), caption=caption)


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
    return shortened(name, LONGEST_NAME)


def heat_picture(image: Shown, drawn: Image.Image, *, caption: str = "", verdict: str = "") -> Picture:
    hover = "<br>".join(as_text(part) for part in (image.name, image.label) if part)
    if image.correct is False:
        hover += f"<br>taken for {as_text(image.predicted)}"
    return Picture(drawn, caption, verdict, hover, image.row)


def filled_up(images: Sequence[Shown], n: int) -> list[Shown | None]:
    return [*images, *[None] * (n - len(images))]


def facts_of(images: Sequence[Shown]) -> pd.DataFrame:
    """Return what is known of the images of a panel: row, image_id, label, predicted, correct."""
    facts = [(one.row, one.name, one.label, one.predicted, one.correct) for one in images]
    return pd.DataFrame(facts, columns=["row", "image_id", "label", "predicted", "correct"])
