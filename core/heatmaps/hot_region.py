"""Where a heatmap is hot: the box of its largest hot region, and the picture around it. No torch."""

from typing import Any

import numpy as np

from core.errors import ShapeError

Box = tuple[int, int, int, int]
AROUND = 1.2  # sides of the square around a hot region, in its longer side
LEAST_SIDE = 0.4  # of that square, in the shorter side of the picture


def feature_crop(heat: np.ndarray, threshold: float = 0.6) -> Box | None:
    """Return the box of the largest connected region of a heatmap (docs/method.md 6.2).

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
    """Return a square with the middle of a box, moved into the picture: `AROUND` times the longer side of
    the box, at least `LEAST_SIDE` of the shorter side of the picture and at most all of it.

    Args:
        box: (left, top, right, bottom). width, height: of the picture, pixels.
    """
    longest = max(box[2] - box[0], box[3] - box[1])
    shorter = min(width, height)
    side = round(min(max(AROUND * longest, LEAST_SIDE * shorter), shorter))
    left = min(max(round((box[0] + box[2] - side) / 2), 0), width - side)
    top = min(max(round((box[1] + box[3] - side) / 2), 0), height - side)
    return left, top, left + side, top + side
