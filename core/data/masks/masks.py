"""Open the core and spurious masks of an image source, and bring a mask into what an encoder saw."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.data.glyphworld.masks import PlantedMasks, is_planted
from core.data.masks.mask_folder import FolderMasks
from core.data.masks.mask_source import KINDS, MaskSource
from core.data.masks.salient_imagenet import SalientImageNet
from core.data.sources.source import ImageSource
from core.encoders.transform import Transform
from core.errors import MaskError, SettingsError, ShapeError

__all__ = ["KINDS", "MaskSource", "in_encoder_frame", "open_masks", "reopen_masks"]

CROP = Transform(resize=256, input_size=224)  # the frame of Salient ImageNet's masks
WITHIN = 1e-6  # of a mask's pixel: rounding, not distance


def open_masks(
    *,
    masks: str | Path | None = None,
    salient_imagenet: str | Path | None = None,
    annotations: str | Path | None = None,
    source: ImageSource,
) -> MaskSource | None:
    """The masks of a source's images; without any option those that the source plants itself, or None.

    Args:
        masks: folder with core/… and spurious/…, named like the images.
        salient_imagenet: folder in Salient ImageNet's layout. annotations: its CSV of worker answers, where
            it is neither there nor in mturk_results/ beside it.
    Raises:
        SettingsError: options that exclude each other.
        MaskError: nothing there, an unknown layout, or no mask of any image; says what to do.
    """
    if masks is not None and salient_imagenet is not None:
        raise SettingsError("masks and salient-imagenet are two sources of masks. Give one of them")
    if annotations is not None and salient_imagenet is None:
        raise SettingsError("annotations are those of Salient ImageNet. Give its folder: --salient-imagenet")
    if masks is not None:
        found: MaskSource = FolderMasks(masks, source)
    elif salient_imagenet is not None:
        found = SalientImageNet(salient_imagenet, annotations, source)
    else:
        return PlantedMasks(source) if is_planted(source) else None
    _ = found.listing  # list now: whoever opens wants the error here
    return found


def reopen_masks(description: dict[str, Any], source: ImageSource) -> MaskSource:
    """The masks that gave `description`; lists nothing until its table or report is asked for.

    Raises:
        MaskError: a kind that this version does not know.
    """
    kind = description.get("kind")
    if kind == FolderMasks.kind:
        return FolderMasks(description["root"], source)
    if kind == SalientImageNet.kind:
        return SalientImageNet(description["root"], description["annotations"], source)
    if kind == PlantedMasks.kind:
        return PlantedMasks(source)
    raise MaskError(f"unknown kind of masks '{kind}': made by a newer version?")


def in_encoder_frame(
    mask: np.ndarray, frame: str, transform: Transform, image_size: tuple[int, int]
) -> np.ndarray:
    """A mask where the encoder saw it: the crop and resize of its input, bilinear, averaging on the way down.

    x_mask = (x - left) W / (right - left),  left and right in original pixels: of the whole image ("image"),
    or of Resize 256 + CenterCrop 224 ("crop"). A mask in the encoder's own geometry is only resized.

    Args:
        mask: (H, W) float in [0, 1], any size. frame: "image" or "crop", what it covers.
        image_size: width and height of the original image, pixels.
    Returns:
        (S, S) float32 in [0, 1], S = transform.input_size; 0 where the mask does not reach.
    Raises:
        ShapeError: no (H, W) mask. SettingsError: an unknown frame.
    """
    if mask.ndim != 2 or 0 in mask.shape:
        raise ShapeError(f"a mask must be (H, W), got {mask.shape}")
    if frame not in ("image", "crop"):
        raise SettingsError(f"a mask's frame is 'image' or 'crop', not '{frame}'")
    covered = (0, 0, *image_size) if frame == "image" else CROP.box(*image_size)
    seen, (height, width) = transform.box(*image_size), mask.shape
    per_x, per_y = width / (covered[2] - covered[0]), height / (covered[3] - covered[1])
    x = (seen[0] - covered[0]) * per_x, (seen[2] - covered[0]) * per_x
    y = (seen[1] - covered[1]) * per_y, (seen[3] - covered[1]) * per_y
    return _resample(mask.astype(np.float32), x, y, size=transform.input_size)


def _resample(mask: np.ndarray, x: tuple[float, float], y: tuple[float, float], *, size: int) -> np.ndarray:
    """The region x[0]..x[1], y[0]..y[1] of a mask, in its pixels, as (size, size); 0 beyond its edges."""
    result = np.zeros((size, size), np.float32)
    height, width = mask.shape
    first_x, end_x, box_x, pad_x = _inside(*x, width, size)
    first_y, end_y, box_y, pad_y = _inside(*y, height, size)
    if first_x >= end_x or first_y >= end_y:
        return result
    padded = np.pad(mask, (pad_y, pad_x), mode="edge") if any((*pad_x, *pad_y)) else mask
    box = (box_x[0] + pad_x[0], box_y[0] + pad_y[0], box_x[1] + pad_x[0], box_y[1] + pad_y[0])
    shape = (end_x - first_x, end_y - first_y)
    image = Image.fromarray(padded).resize(shape, Image.Resampling.BILINEAR, box=box)
    result[first_y:end_y, first_x:end_x] = np.clip(np.asarray(image), 0, 1)
    return result


def _inside(
    start: float, end: float, length: int, size: int
) -> tuple[int, int, tuple[float, float], tuple[int, int]]:
    """Of `size` pixels spanning start..end: which have their centre in 0..length, the span of these, and by
    how many pixels that span passes the two edges (by less than half a pixel of the result)."""
    step = (end - start) / size
    first, last = (min(max(round((edge - start) / step), 0), size) for edge in (0, length))
    low, high = start + first * step, start + last * step
    before, after = (math.ceil(over) if over > WITHIN else 0 for over in (-low, high - length))
    return first, last, (max(low, -before), min(high, length + after)), (before, after)
