"""Draw heatmaps over images: colours, opacity and masks; and where a heatmap is hot. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from PIL import Image

from core.errors import SettingsError, ShapeError, did_you_mean
from core.study.heatmaps import place_on_image
from core.study.missing import ReadableStudy

# Where a heatmap is hot: the box of its largest hot region, and the picture around it. No torch.


Box = tuple[int, int, int, int]
AROUND = 1.2  # sides of the square around a hot region, in its longer side
LEAST_SIDE = 0.4  # of that square, in the shorter side of the picture


def feature_crop(heat: np.ndarray, threshold: float = 0.6) -> Box | None:
    """Return the box of the largest connected region of a study's scaled heatmap (docs/method.md 6.2).

    Regions of {heat >= threshold} are connected over edges, not corners (scipy's default); among equally
    large regions, the first in reading order counts.

    Args:
        heat: (H, W) float in [0, 1]; NaN (not seen by the encoder) is never inside.
    Returns:
        (left, top, right, bottom) in pixels of `heat`, right and bottom exclusive; None if no pixel reaches
        the threshold.
    Raises:
        ShapeError: not two-dimensional.
    """
    from scipy import ndimage  # half a second that the first page does not wait for

    heat = np.asarray(heat)
    if heat.ndim != 2:
        raise ShapeError(f"a heatmap is (H, W), got {heat.shape}")
    labelled: Any = ndimage.label(np.nan_to_num(heat, nan=-np.inf) >= threshold)
    regions, n_regions = labelled
    if not n_regions:
        return None
    largest = int(np.bincount(regions.reshape(-1))[1:].argmax())
    objects: Any = ndimage.find_objects(regions)
    rows, columns = objects[largest]
    return columns.start, rows.start, columns.stop, rows.stop


def square_around(box: Box, width: int, height: int) -> Box:
    """Return a square around a box of a heatmap's region, moved into the picture of a study.

    It has the middle of the box: `AROUND` times the longer side of the box, at least `LEAST_SIDE` of the
    shorter side of the picture and at most all of it.

    Args:
        box: (left, top, right, bottom). width, height: of the picture, pixels.
    """
    longest = max(box[2] - box[0], box[3] - box[1])
    shorter = min(width, height)
    side = round(min(max(AROUND * longest, LEAST_SIDE * shorter), shorter))
    left = min(max(round((box[0] + box[2] - side) / 2), 0), width - side)
    top = min(max(round((box[1] + box[3] - side) / 2), 0), height - side)
    return left, top, left + side, top + side


# Draw heatmaps over images: colours, opacity and masks, at the image's own size. No torch.


COLOUR_MAPS = {
    "inferno": cv2.COLORMAP_INFERNO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "magma": cv2.COLORMAP_MAGMA,
    "plasma": cv2.COLORMAP_PLASMA,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "turbo": cv2.COLORMAP_TURBO,
    "jet": cv2.COLORMAP_JET,  # as in the papers' figures
    "grey": None,
}
OUTLINES = {"core": (0, 220, 130), "spurious": (255, 60, 200)}  # unlike each other and any heat
MASK_STYLES = ("region", "outline")
OUTSIDE_BRIGHTNESS = 0.6  # brightness factor outside the encoder's input view
VIEW_LINE = (255, 255, 255)  # its border, on a dark line
DIMMED = 0.34  # brightness factor outside a core mask
STRIPES = 20  # hatching of a spurious mask: stripes along the shorter side
LIGHT_STRIPE, DARK_STRIPE = 0.8, 0.55  # opacity of a white stripe and of the dark one beside it


@dataclass(frozen=True)
class OverlayStyle:
    """Colours, opacity and style of an overlay.

    Attributes:
        features: those whose heatmap is drawn; none: the firing discriminative ones of each image.
        combine: how the maps of several features become one.
        opacity: share of the heat's colour, 0 to 1. colour_map: a key of COLOUR_MAPS.
        masks: "core", "spurious": which are drawn.
        mask_style: "region" (dim what is outside the core mask, hatch the spurious mask) or "outline" (their
            borders, the last one on top).
        crop: in place of all that, the part of the picture around the largest hot region, without colours.
    """

    features: tuple[int, ...] = ()
    combine: str = "mean"
    opacity: float = 0.55
    colour_map: str = "inferno"  # its lightness rises evenly, so that no edge is made by colour alone
    masks: tuple[str, ...] = ()
    mask_style: str = "region"
    crop: bool = False


@lru_cache
def colour_table(name: str) -> np.ndarray:
    """Return a colour map of heatmaps laid over images, as (256, 3) uint8 RGB.

    Raises:
        SettingsError: unknown.
    """
    if name not in COLOUR_MAPS:
        hint = did_you_mean(name, COLOUR_MAPS)
        raise SettingsError(f"unknown colour map '{name}'; known: {', '.join(COLOUR_MAPS)}.{hint}")
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    code = COLOUR_MAPS[name]
    return np.repeat(ramp, 3, 1) if code is None else cv2.applyColorMap(ramp, code)[:, 0, ::-1].copy()


def draw_overlay(
    image: Image.Image,
    heat: np.ndarray,
    *,
    opacity: float = OverlayStyle.opacity,
    colour_map: str = OverlayStyle.colour_map,
    dimmed: np.ndarray | None = None,
    hatched: np.ndarray | None = None,
    outlines: Sequence[tuple[np.ndarray, tuple[int, int, int]]] = (),
) -> Image.Image:
    """Draw a study's heatmap and masks over an image.

    Args:
        image: RGB. heat: (H, W) float in [0, 1], the image's size; NaN, which the encoder does not see, is
            drawn darker, without heat, and a thin line surrounds the rest.
        opacity: weight of the heat colour, 0 to 1.
        dimmed, hatched: masks, (H, W) float in [0, 1]; striped is what lies inside `hatched`, dark what lies
            outside `dimmed` and is not striped. A pixel is inside where the mask is at least 0.5.
        outlines: (mask (H, W) float in [0, 1], RGB colour); drawn around mask >= 0.5.
    Raises:
        ShapeError: the heatmap or a mask differs from the image in size. SettingsError: opacity, colour map.
    """
    masks = [mask for mask in (dimmed, hatched, *(mask for mask, _ in outlines)) if mask is not None]
    for name, array in [("heatmap", heat), *(("mask", mask) for mask in masks)]:
        if array.shape != (image.height, image.width):
            raise ShapeError(f"the {name} is {array.shape}, but the image is {(image.height, image.width)}")
    if not 0 <= opacity <= 1:
        raise SettingsError(f"opacity must lie between 0 and 1, got {opacity}")
    picture, unseen = np.asarray(image.convert("RGB")), np.isnan(heat)
    levels = np.clip(np.nan_to_num(heat) * 255 + 0.5, 0, 255).astype(np.uint8)
    colours = colour_table(colour_map).take(levels, axis=0)  # (H, W, 3)
    canvas = cv2.addWeighted(picture, 1 - opacity, colours, opacity, 0.0)
    canvas[unseen] = (OUTSIDE_BRIGHTNESS * picture[unseen] + 0.5).astype(np.uint8)
    if dimmed is not None:
        outside = ~_inside(dimmed) if hatched is None else ~(_inside(dimmed) | _inside(hatched))
        canvas[outside] = (DIMMED * canvas[outside] + 0.5).astype(np.uint8)
    if hatched is not None:
        _hatch(canvas, _inside(hatched))
    if unseen.any() and not unseen.all():
        _surround(canvas, ~unseen)
    for mask, colour in outlines:
        _outline(canvas, mask, colour)
    return Image.fromarray(canvas)


def _inside(mask: np.ndarray) -> np.ndarray:
    return np.nan_to_num(mask) >= 0.5


def _hatch(canvas: np.ndarray, region: np.ndarray) -> None:
    """Draw diagonal stripes in place: white beside dark ones, to be visible on any background."""
    height, width = region.shape
    period = max(4, round(min(height, width) / STRIPES))
    thickness = max(1, period // 5)
    phase = (np.arange(height)[:, None] + np.arange(width)) % period
    light, dark = region & (phase < thickness), region & (phase >= thickness) & (phase < 2 * thickness)
    canvas[light] = (canvas[light] * (1 - LIGHT_STRIPE) + 255 * LIGHT_STRIPE + 0.5).astype(np.uint8)
    canvas[dark] = (canvas[dark] * (1 - DARK_STRIPE) + 0.5).astype(np.uint8)


def _surround(canvas: np.ndarray, seen: np.ndarray) -> None:
    """Draw a thin line, light inside and dark outside, around the rectangle that the encoder sees."""
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    left, right = int(columns[0]), int(columns[-1])
    top, bottom = int(rows[0]), int(rows[-1])
    cv2.rectangle(canvas, (left - 1, top - 1), (right + 1, bottom + 1), (20, 20, 20), 1)
    cv2.rectangle(canvas, (left, top), (right, bottom), VIEW_LINE, 1)


def _outline(canvas: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draw the border of a mask in place: coloured on a dark line, to be visible on any background."""
    region = _inside(mask).astype(np.uint8)
    contours, _ = cv2.findContours(region, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    side = min(canvas.shape[:2])
    thickness = max(2 if side >= 128 else 1, round(side / 160))
    if side >= 64:  # on smaller pictures the dark line would cover the region
        cv2.drawContours(canvas, contours, -1, (20, 20, 20), thickness + 2, cv2.LINE_AA)
    cv2.drawContours(canvas, contours, -1, colour, thickness, cv2.LINE_AA)


def overlay_image(
    study: ReadableStudy,
    image: str | int,
    style: OverlayStyle = OverlayStyle(),  # noqa: B008  (frozen)
    *,
    max_side: int | None = None,
    ground: Image.Image | None = None,
) -> Image.Image:
    """Draw an image of a study with its stored heatmap, at its own size; see `Study.overlay`.

    Raises:
        SettingsError: unknown style of masks.
    """
    if style.mask_style not in MASK_STYLES:
        hint = did_you_mean(style.mask_style, MASK_STYLES)
        raise SettingsError(
            f"unknown style of masks '{style.mask_style}'; known: {', '.join(MASK_STYLES)}.{hint}"
        )
    original = ground or study.image(image)
    picture = limited(original, max_side)
    box = np.array(study.transform.box(*original.size))
    left, top, right, bottom = (box / np.tile(original.size, 2) * np.tile(picture.size, 2)).tolist()

    def placed(frame: np.ndarray) -> np.ndarray:
        return place_on_image(frame, (left, top, right, bottom), *picture.size)

    heat = np.zeros((1, 1), np.float32)
    if style.opacity or style.crop:  # otherwise the heatmap would be invisible, so none needs to be stored
        heat = study.heatmap(image, style.features or None, style.combine)
    if style.crop:
        region = feature_crop(placed(heat)) or (0, 0, *picture.size)
        return picture.crop(square_around(region, *picture.size))
    masks = {kind: placed(study.mask(image, kind, size=original.size)) for kind in style.masks}
    look = {"opacity": style.opacity, "colour_map": style.colour_map}
    if style.mask_style == "outline":
        outlines = [(mask, OUTLINES[kind]) for kind, mask in masks.items()]
        return draw_overlay(picture, placed(heat), outlines=outlines, **look)
    return draw_overlay(
        picture, placed(heat), dimmed=masks.get("core"), hatched=masks.get("spurious"), **look
    )


def limited(picture: Image.Image, max_side: int | None) -> Image.Image:
    """Scale a picture of a study down if its longer side has more than `max_side` pixels."""
    if max_side is None or max(picture.size) <= max_side:
        return picture
    share = max_side / max(picture.size)
    size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    return picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
