"""How alike two pictures are, small and in grey, and whether pairs of them are more alike than others."""

from collections.abc import Callable, Sequence
from math import comb

import numpy as np
from PIL import Image

from core.errors import UnreadableImage

LOOKED_AT = 24  # pairs of pictures that are compared
FEWEST_LOOKED_AT, BY_CHANCE = 10, 0.002  # pairs, and a probability by the sign test
SIDE = 16  # pixels of the pictures compared
PictureOf = Callable[[int], Image.Image]


def resemble_more(pairs: Sequence[Sequence[float]]) -> bool:
    """Whether the first of two numbers is the larger one more often than by chance, of enough pairs."""
    k = sum(alike > other for alike, other in pairs)
    return len(pairs) >= FEWEST_LOOKED_AT and by_chance(k, len(pairs)) < BY_CHANCE


def by_chance(k: int, n: int) -> float:
    """Probability of k or more of n, each with probability 1/2 (sign test).

    >>> by_chance(10, 10) < BY_CHANCE < by_chance(9, 10)
    True
    """
    return sum(comb(n, i) for i in range(k, n + 1)) / 2**n


def likeness(look: PictureOf, row: int, other: int) -> float:
    """Correlation of two pictures in small and grey; NaN where one is plain or cannot be read."""
    try:
        small = [_small(look(one)) for one in (row, other)]
    except UnreadableImage:
        return np.nan
    deviations = [one - one.mean() for one in small]
    lengths = [float(np.linalg.norm(one)) for one in deviations]
    if min(lengths) < 1e-6:
        return np.nan
    return float((deviations[0] * deviations[1]).sum() / (lengths[0] * lengths[1]))


def _small(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
