"""Control heatmaps with known overlap, which calibrate the measures.

Scored like any heatmap, they show the ceiling (the mask itself), the loss caused by the coarse map resolution
alone, and the floor (heat independent of the image).
"""

from collections.abc import Sequence

import cv2
import numpy as np

from core.analysis.overlap.iou import overlap_scores
from core.encoders.transform import sides_of
from core.heatmaps.combine import singly_scaled
from core.slices.overlap_values import CONTROLS

CENTRE_WIDTH = 0.25  # standard deviation of the centre Gaussian, as a share of the input view


def control_heatmaps(
    core: np.ndarray,
    spurious: np.ndarray,
    *,
    native: Sequence[int],
    rows: Sequence[int] | np.ndarray,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Make heatmaps of known overlap for some images.

    perfect core, perfect spurious: the mask itself. … at map resolution: the mask averaged to the size of the
    encoder's maps, then scaled and enlarged like a map: the best result at that resolution. uniform: 1
    everywhere. random: noise of the maps' size, enlarged like a map. centre: a Gaussian in the middle of the
    input view, its standard deviation a quarter of the view.

    Args:
        core, spurious: (n_images, S, S) float32 masks in [0, 1].
        native: height and width of the encoder's maps.
        rows: (n_images,) rows of the images; with `seed` they determine the noise.
    Returns:
        each (n_images, S, S) float32 in [0, 1].
    """
    size = core.shape[-2:]
    random = noise_maps(size, native=native, rows=rows, seed=seed)
    centre = np.broadcast_to(centre_gaussian(size), core.shape)
    return {
        "perfect core": core,
        "perfect spurious": spurious,
        "core at map resolution": at_resolution(core, native),
        "spurious at map resolution": at_resolution(spurious, native),
        "uniform": np.ones_like(core),
        "random": random,
        "centre": centre,
    }


def control_overlaps(
    masks: np.ndarray, *, native: Sequence[int], rows: Sequence[int] | np.ndarray, seed: int, threshold: float
) -> np.ndarray:
    """Score the control heatmaps of each image: the scale on which its own overlap stands.

    The ceiling is the mask itself at the resolution of the encoder's maps; the others are those of
    `control_heatmaps`.

    Args:
        masks: (n_images, n_masks, S, S) float32 in [0, 1].
        native, rows, seed: as for `control_heatmaps`. threshold: as for `overlap_scores`.
    Returns:
        (n_images, n_masks, 4) float64: the variant `paper` of each of CONTROLS; NaN where the mask is empty.
    """
    size = masks.shape[-2:]
    shape = (len(masks), *size)
    same = {"noise": noise_maps(size, native=native, rows=rows, seed=seed)}
    same |= {"uniform": np.ones(shape, np.float32), "centre": np.broadcast_to(centre_gaussian(size), shape)}
    overlaps = np.empty((*masks.shape[:2], len(CONTROLS)))
    for kind in range(masks.shape[1]):
        mask = masks[:, kind]
        for at, name in enumerate(CONTROLS):
            heat = at_resolution(mask, native) if name == "ceiling" else same[name]
            overlaps[:, kind, at] = overlap_scores(heat, mask, threshold=threshold)["paper"]
    return overlaps


def noise_maps(
    size: Sequence[int], *, native: Sequence[int], rows: Sequence[int] | np.ndarray, seed: int
) -> np.ndarray:
    """(n_images, *size) float32: noise at the resolution of the encoder's maps, enlarged like a map."""
    drawn = [np.random.default_rng([seed, row]).random(tuple(native), np.float32) for row in rows]
    return singly_scaled(np.array(drawn, np.float32).reshape(len(drawn), *native), size)


def at_resolution(mask: np.ndarray, native: Sequence[int]) -> np.ndarray:
    """(n, S, S) masks averaged over the cells of a map and enlarged like one."""
    height, width = native
    small = [cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in mask]
    return singly_scaled(np.array(small, np.float32).reshape(len(mask), height, width), mask.shape[-2:])


def centre_gaussian(size: int | Sequence[int]) -> np.ndarray:
    """(height, width) float32, largest in the middle of the input view."""
    places = ((np.arange(side) + 0.5) / side - 0.5 for side in sides_of(size))
    bells = [np.exp(-np.square(offsets) / (2 * CENTRE_WIDTH**2)) for offsets in places]
    return np.outer(*bells).astype(np.float32)
