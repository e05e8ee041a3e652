"""Alter one half of a picture, object or background, by its mask (docs/method.md 5.4). No torch.

Pictures are the encoder's input views, so that what the encoder sees is altered, pixel by pixel.
"""

import cv2
import numpy as np

from core.errors import ShapeError

BACKGROUND_REMOVED, OBJECT_REMOVED = "background removed", "object removed"
CONTROL_BACKGROUND, CONTROL_OBJECT = "background removed, other mask", "object removed, other mask"
ALTERATIONS = (
    *("background blurred", "object blurred", BACKGROUND_REMOVED, OBJECT_REMOVED),
    *(CONTROL_BACKGROUND, CONTROL_OBJECT),
)
BLUR = 0.1  # standard deviation of the blur, in shorter sides of the picture: no shape is left, but colours
REACH = 3  # standard deviations at which the blur ends
LEAST_WEIGHT = 1e-4  # with less of the region within reach, a pixel takes the region's mean colour


def alterations(
    picture: np.ndarray, mask: np.ndarray, *, other_mask: np.ndarray, fill: np.ndarray
) -> np.ndarray:
    """Make the altered pictures (object or background hidden) by which causes of an error are tried.

    With B the object's pixels, x the picture, b_R(x) its blur within the region R (`blurred_within`) and c
    the fill:
    blurred: b_notB(x) outside B, or b_B(x) on B. removed: c there.
    "other mask", the control: removed as above, with another picture's object in place of B.

    Args:
        picture: (H, W, 3) uint8. mask, other_mask: (H, W) bool, True on the object; each with pixels of both
            kinds. fill: (3,) uint8, the colour that stands for nothing.
    Returns:
        (len(ALTERATIONS), H, W, 3) uint8.
    Raises:
        ShapeError: the inputs disagree.
    """
    _check(picture, mask, other_mask)
    here = mask[..., None]
    background_blurred = np.where(here, picture, blurred_within(picture, ~mask))
    object_blurred = np.where(here, blurred_within(picture, mask), picture)
    filled = [removed(picture, region, fill) for of in (mask, other_mask) for region in (~of, of)]
    return np.stack([background_blurred, object_blurred, *filled]).astype(np.uint8)


def removed(picture: np.ndarray, region: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """Give the pixels of a region of a picture one colour, to see what the encoder makes of the rest.

    Args:
        picture: (H, W, 3) uint8. region: (H, W) bool. fill: (3,) uint8.
    """
    return np.where(region[..., None], fill, picture).astype(np.uint8)


def alike_in_area(areas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Choose whose mask each picture to be changed gets: pair those whose objects are next in area.

    Ties are broken at random; of an odd number the last takes the mask of the one before it.

    >>> alike_in_area(np.array([9, 1, 2, 8]), np.random.default_rng(0)).tolist()
    [3, 2, 1, 0]
    """
    order = np.lexsort((rng.random(len(areas)), areas))
    others = np.empty(len(areas), np.int64)
    for index, position in enumerate(order):
        partner = index + 1 if index % 2 == 0 else index - 1
        others[position] = order[partner if partner < len(order) else index - 1]
    return others


def blurred_within(picture: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Blur a picture from the pixels of a region alone, so that nothing leaks in from beside it.

    b_R(x) = (g * (R x)) / (g * R), g a Gaussian of BLUR shorter sides that ends at REACH standard deviations.
    Where g * R is below LEAST_WEIGHT, the region's mean colour.

    Args:
        picture: (H, W, 3) uint8. region: (H, W) bool.
    Returns:
        (H, W, 3) uint8, defined on all pixels; the picture itself for an empty region.
    """
    if not region.any():
        return picture
    kernel = _blur_kernel(min(region.shape))
    weight = _convolved(region.astype(np.float32), kernel)[..., None]
    total = _convolved(np.where(region[..., None], picture, 0).astype(np.float32), kernel)
    mean = picture[region].mean(0, dtype=np.float64)
    near = weight >= LEAST_WEIGHT
    blurred = np.where(near, total / np.where(near, weight, 1.0), mean)
    return np.clip(np.rint(blurred), 0, 255).astype(np.uint8)


def _blur_kernel(side: int) -> np.ndarray:
    """(2 k + 1,) float64 with sum 1: the Gaussian that blurs a picture's background, along one axis."""
    deviation = BLUR * side
    reach = int(np.ceil(REACH * deviation))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    return weights / weights.sum()


def _convolved(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return cv2.sepFilter2D(values, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)


def fill_colour(mean: tuple[float, ...]) -> np.ndarray:
    """(3,) uint8: the colour of what is cut out of a picture: what the normalisation takes to 0, rounded."""
    return np.clip(np.rint(np.array(mean) * 255), 0, 255).astype(np.uint8)


def _check(picture: np.ndarray, *masks: np.ndarray) -> None:
    shapes = [mask.shape for mask in masks]
    if picture.ndim != 3 or set(shapes) != {picture.shape[:2]}:
        raise ShapeError(f"picture {picture.shape} and masks {shapes} do not match")
