"""Whether a mask has the proportions of its picture, or of the picture as stored before its EXIF turn."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from core.common.records import Templates
from core.data.sources.decode import TRANSPOSE
from core.errors import UnreadableImage

say_of_geometry = Templates.beside(__file__)
ALIKE = 0.02  # of two proportions, by which they differ at most; and a pixel of the shorter side


def upright(mask: np.ndarray, size: tuple[int, int], turn: Callable[[], int]) -> np.ndarray:
    """Turn a mask whose sides are exchanged against its picture as the picture's EXIF says.

    A mask of other proportions stays: it is taken to cover the whole picture.

    Args:
        mask: (H, W). size: width and height of the upright picture, also of a smaller copy.
        turn: returns the EXIF orientation that the picture had, 1 to 8; called where sides are exchanged.
    Raises:
        UnreadableImage: sides are exchanged, and the picture was not turned by 90 degrees.
    """
    height, width = mask.shape
    if are_alike((width, height), size) or not are_alike((height, width), size):
        return mask
    turned = turn()
    if turned < 5:
        raise UnreadableImage(
            f"it has {width} x {height} pixels and its picture {size[0]} x {size[1]}: one of them is turned"
        )
    return np.asarray(Image.fromarray(mask).transpose(TRANSPOSE[turned]))


def are_alike(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Return True for sizes of the same proportions, up to rounding.

    >>> are_alike((640, 480), (128, 96)), are_alike((640, 480), (480, 640)), are_alike((640, 480), (512, 512))
    (True, False, False)
    """
    ratio = math.log(first[0] * second[1] / (first[1] * second[0]))
    return abs(ratio) < ALIKE + 1 / min(*first, *second)
