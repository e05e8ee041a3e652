"""Mean and standard deviation of pixels that a network carries as tensors, as a Normalize in it does."""

import re
from collections.abc import Mapping

from torch import Tensor

NAME = re.compile(
    r"(?P<stem>(?:.*\.)?(?:new_|pixel_|image_|img_|norm_|input_|_)?)(?P<kind>mean|std|mu|sigma)"
)
OTHER = {"mean": "std", "mu": "sigma"}
LEVELS = 255  # of a mean of pixels that are not divided by it
PixelStatistics = tuple[tuple[float, ...], tuple[float, ...]]


def statistics_in(tensors: Mapping[str, Tensor]) -> tuple[PixelStatistics | None, frozenset[str]]:
    """Mean and std of pixels of 0..1 among tensors, and the names of all that are such.

    None where there are none, or several pairs that differ.
    """
    of_three = {key: tensor for key, tensor in tensors.items() if tensor.numel() == 3}
    pairs: dict[str, PixelStatistics] = {}
    names: set[str] = set()
    for key, tensor in of_three.items():
        match = NAME.fullmatch(key)
        if match is None or match["kind"] not in OTHER:
            continue
        other = f"{match['stem']}{OTHER[match['kind']]}"
        if other in of_three and float(of_three[other].min()) > 0:
            pairs[match["stem"]] = _of_unit_range(tensor, of_three[other])
            names |= {key, other}
    different = set(pairs.values())
    return (different.pop() if len(different) == 1 else None), frozenset(names)


def _of_unit_range(mean: Tensor, std: Tensor) -> PixelStatistics:
    values = [tensor.flatten().double() for tensor in (mean, std)]
    factor = 1 / LEVELS if float(values[0].max()) > 2 else 1.0
    first, second = (tuple(round(float(one) * factor, 9) for one in value) for value in values)
    return first, second
