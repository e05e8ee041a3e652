"""Compute with heatmaps: scale, resize, combine, and map them back to the original image. No torch.

The order is Grad-CAM's as in pytorch-grad-cam: ReLU, scale, resize bilinearly, scale (docs/method.md 4).
The *input view* is the part of an image that the encoder sees: (S, S), S = `Transform.input_size`, or
(height, width) where that is a pair.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from core.encoders.transform import sides_of
from core.errors import SettingsError, ShapeError, did_you_mean

LEAST_RANGE = 1e-7  # the library's own constant


def scale_map(maps: np.ndarray) -> np.ndarray:
    """Scale heatmaps, to combine and overlay them, to [0, 1]: m - min(m), / (1e-7 + max); a flat one is 0.

    Args:
        maps: (..., h, w) float.
    Returns:
        the same shape, float32.
    """
    shifted = maps - maps.min(axis=(-2, -1), keepdims=True)
    return (shifted / (LEAST_RANGE + shifted.max(axis=(-2, -1), keepdims=True))).astype(np.float32)


def resize_map(maps: np.ndarray, size: int | Sequence[int]) -> np.ndarray:
    """Resize heatmaps for overlays, bilinearly as OpenCV: (..., h, w) -> (..., height, width) float32.

    Args:
        size: of the input view, pixels: a square's side, or height and width.
    """
    flat = np.asarray(maps, np.float32).reshape(-1, *maps.shape[-2:])
    height, width = sides_of(size)
    resized = np.empty((len(flat), height, width), np.float32)
    for number, one in enumerate(flat):
        cv2.resize(one, (width, height), dst=resized[number], interpolation=cv2.INTER_LINEAR)
    return resized.reshape(*maps.shape[:-2], height, width)


COMBINATIONS = ("mean", "sum", "max", "min")
OF_SINGLES: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # applied to scaled and resized maps (K, S, S)
    "mean": lambda singles: scale_map(singles.mean(axis=0)),
    "max": lambda singles: singles.max(axis=0),
    "min": lambda singles: singles.min(axis=0),
}


def check_combination(how: str) -> None:
    """Raise SettingsError for an unknown combination of heatmaps; the message lists the known ones."""
    if how not in COMBINATIONS:
        hint = did_you_mean(how, COMBINATIONS)
        raise SettingsError(f"unknown combination '{how}'; known: {', '.join(COMBINATIONS)}.{hint}")


def combine(
    maps: np.ndarray, peaks: np.ndarray, how: str = "mean", size: int | Sequence[int] = 224
) -> np.ndarray:
    """Scale, resize and combine an image's maps of some features into one heatmap (docs/method.md 4).

    mean: of the separately scaled and resized maps, then scaled again. max, min: the same without the last
    scaling, so {max >= t} and {min >= t} are the union and the intersection of the single regions. sum: the
    Grad-CAM of sum_j raw_j, i.e. of the sum of the raw maps. All four agree for a single feature.

    Args:
        maps: (K, h, w) float, ReLU'd Grad-CAM maps in units of their own maximum. peaks: (K,) those maxima.
        size: of the input view, pixels: S, or height and width.
    Returns:
        (S, S), or (height, width), float32 in [0, 1]; zero where every map is flat.
    Raises:
        ShapeError: no map, or a number of peaks other than K. SettingsError: an unknown combination.
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


def singly_scaled(maps: np.ndarray, size: int | Sequence[int]) -> np.ndarray:
    """Scale and resize each feature's heatmap by itself: (K, h, w) ReLU'd -> (K, size, size) in [0, 1]."""
    return scale_map(resize_map(scale_map(maps), size))


def place_on_image(
    heat: np.ndarray, box: tuple[float, float, float, float], width: int, height: int
) -> np.ndarray:
    """Map a heatmap from the input view to the original image, undoing resize and crop.

    Args:
        heat: (S, S) float in the encoder's input view.
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
    """Return the pixels whose centres lie in [low, high], and their positions in map pixels."""
    centres = np.arange(n_pixels) + 0.5
    inside = np.flatnonzero((centres >= low) & (centres <= high))
    where = slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0)
    return where, (centres[where] - low) / (high - low) * n_heat - 0.5


def _interpolate(values: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
    """Interpolate linearly along an axis; beyond the outermost centres, repeat the outermost values."""
    at = np.clip(at, 0, values.shape[axis] - 1)
    low = np.floor(at).astype(np.intp)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    share = np.expand_dims((at - low).astype(np.float32), 1 - axis)
    return values.take(low, axis) * (1 - share) + values.take(high, axis) * share
