"""Heatmaps as numbers: scale, resize, combine, and lay them over the original image. No torch.

The order is Grad-CAM's as in pytorch-grad-cam: ReLU, scale, resize bilinearly, scale (docs/method.md 4).
The *frame* is what the encoder sees of an image: (S, S), S = `Transform.input_size`.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from core.errors import SettingsError, ShapeError, did_you_mean

LEAST_RANGE = 1e-7  # the library's own constant


def scale_map(maps: np.ndarray) -> np.ndarray:
    """Each map between 0 and 1: m - min(m), then / (1e-7 + max); a flat map becomes zero.

    Args:
        maps: (..., h, w) float.
    Returns:
        the same shape, float32.
    """
    shifted = maps - maps.min(axis=(-2, -1), keepdims=True)
    return (shifted / (LEAST_RANGE + shifted.max(axis=(-2, -1), keepdims=True))).astype(np.float32)


def resize_map(maps: np.ndarray, size: int) -> np.ndarray:
    """Bilinear resize of each map as OpenCV does it: (..., h, w) -> (..., size, size) float32."""
    flat = np.asarray(maps, np.float32).reshape(-1, *maps.shape[-2:])
    resized = np.empty((len(flat), size, size), np.float32)
    for number, one in enumerate(flat):
        cv2.resize(one, (size, size), dst=resized[number], interpolation=cv2.INTER_LINEAR)
    return resized.reshape(*maps.shape[:-2], size, size)


COMBINATIONS = ("mean", "sum", "max", "min")
OF_SINGLES: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # of the scaled and resized maps (K, S, S)
    "mean": lambda singles: scale_map(singles.mean(axis=0)),
    "max": lambda singles: singles.max(axis=0),
    "min": lambda singles: singles.min(axis=0),
}


def check_combination(how: str) -> None:
    """Raise SettingsError, naming the known ones, for an unknown combination."""
    if how not in COMBINATIONS:
        hint = did_you_mean(how, COMBINATIONS)
        raise SettingsError(f"unknown combination '{how}'; known: {', '.join(COMBINATIONS)}.{hint}")


def combine(maps: np.ndarray, peaks: np.ndarray, how: str = "mean", size: int = 224) -> np.ndarray:
    """One heatmap of one or several features of an image (docs/method.md 4).

    mean: of the singly scaled and resized maps, scaled again. max, min: of the same, not scaled again, so
    {max >= t} and {min >= t} are the union and the intersection of the single regions. sum: the Grad-CAM of
    sum_j raw_j, i.e. of the sum of the maps in their raw size. All four agree for a single feature.

    Args:
        maps: (K, h, w) float, ReLU'd Grad-CAM maps in units of their own maximum. peaks: (K,) those maxima.
        size: S, pixels.
    Returns:
        (size, size) float32 in [0, 1]; zero where every map is flat.
    Raises:
        ShapeError: no map, or not one peak a map. SettingsError: an unknown combination.
    """
    if len(maps) == 0 or maps.ndim != 3 or len(maps) != len(peaks):
        raise ShapeError(
            f"combine needs maps (K, h, w) and K peaks, K >= 1; got {maps.shape} and {len(peaks)}"
        )
    check_combination(how)
    raw = np.asarray(maps, np.float32) * np.asarray(peaks, np.float32)[:, None, None]
    if how == "sum":
        return singly_scaled(raw.sum(axis=0), size)
    return OF_SINGLES[how](singly_scaled(raw, size))


def singly_scaled(maps: np.ndarray, size: int) -> np.ndarray:
    """The heatmap of each feature by itself: (K, h, w) ReLU'd Grad-CAM maps -> (K, size, size) in [0, 1]."""
    return scale_map(resize_map(scale_map(maps), size))


def place_on_image(
    heat: np.ndarray, box: tuple[float, float, float, float], width: int, height: int
) -> np.ndarray:
    """Lay a map of the frame over the original image: undoes resize and crop.

    Args:
        heat: (S, S) float in the encoder's input frame.
        box: (left, top, right, bottom), `Transform.box(width, height)`.
        width, height: of the image, pixels.
    Returns:
        (height, width) float32, bilinear; NaN at pixels whose centre the encoder did not see.
    """
    left, top, right, bottom = box
    columns, x = _samples(left, right, width, heat.shape[1])
    rows, y = _samples(top, bottom, height, heat.shape[0])
    placed = np.full((height, width), np.nan, np.float32)
    along_y = _interpolate(np.asarray(heat, np.float32), y, axis=0)
    placed[rows, columns] = _interpolate(along_y, x, axis=1)
    return placed


def _samples(low: float, high: float, n_pixels: int, n_heat: int) -> tuple[slice, np.ndarray]:
    """The pixels whose centres lie in [low, high], and where each falls in the map, in map pixels."""
    centres = np.arange(n_pixels) + 0.5
    inside = np.flatnonzero((centres >= low) & (centres <= high))
    where = slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0)
    return where, (centres[where] - low) / (high - low) * n_heat - 0.5


def _interpolate(values: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation along an axis; beyond the centres of the first and last entry, their value."""
    at = np.clip(at, 0, values.shape[axis] - 1)
    low = np.floor(at).astype(np.intp)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    share = np.expand_dims((at - low).astype(np.float32), 1 - axis)
    return values.take(low, axis) * (1 - share) + values.take(high, axis) * share
