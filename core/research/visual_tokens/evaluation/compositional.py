"""Scores of tests of composition: choices of captions, and Winoground's pairs (docs/method.md 16.6).

A tie is broken at random, exactly: each of the tied outcomes counts as its share. A model that gives every
pair the same score is then at chance, and not at 100 % or 0 % as with an argmax.
"""

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

PAIR_CHANCE = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}


class PairScores(NamedTuple):
    """Per item, in [0, 1]: the right caption for each image, the right image for each caption, both."""

    text: np.ndarray
    image: np.ndarray
    group: np.ndarray


def cosines(texts: np.ndarray, images: np.ndarray) -> np.ndarray:
    """(…,) float64: products of the unit rows (…, d) of captions and images.

    Equal rows give equal cosines, so that ties are found; a matrix product rounds them by their place.
    """
    return (np.asarray(texts, np.float64) * np.asarray(images, np.float64)).sum(-1)


def choice_scores(cosines: Sequence[np.ndarray]) -> np.ndarray:
    """Score items whose first caption is the true one.

    1 / (number of captions with the highest cosine) if the true one is among them, else 0.

    Args:
        cosines: one array (k,) an item, of the image with each caption; k may differ.
    Returns:
        (n,) float64 in [0, 1]; NaN where a cosine is NaN or only one caption is left.
    """
    return np.array([_choice(np.asarray(one, np.float64)) for one in cosines], np.float64)


def _choice(cosine: np.ndarray) -> float:
    if len(cosine) < 2 or np.isnan(cosine).any():
        return float("nan")
    best = cosine == cosine.max()
    return float(best[0]) / float(best.sum())


def pair_scores(cosine: np.ndarray) -> PairScores:
    """Score Winoground's items (Thrush et al. 2022): caption c belongs to image c.

    text: s(c0, i0) > s(c1, i0) and s(c1, i1) > s(c0, i1); image: s(c0, i0) > s(c0, i1) and
    s(c1, i1) > s(c1, i0); group: both. Ties: the mean over all orders in which equal scores can be put.

    Args:
        cosine: (n, 2, 2) of caption and image.
    Returns:
        three arrays (n,) in [0, 1]; NaN where a cosine is NaN. A constant has 1/4, 1/4 and 1/6.
    """
    cosine = np.asarray(cosine, np.float64).reshape(-1, 2, 2)
    total = np.zeros((3, len(cosine)))
    orders = list(permutations(range(4)))
    for order in orders:
        later = np.asarray(order).reshape(2, 2)  # decides between equal scores

        def wins(a: tuple[int, int], b: tuple[int, int], later: np.ndarray = later) -> np.ndarray:
            one, other = cosine[:, a[0], a[1]], cosine[:, b[0], b[1]]
            return (one > other) | ((one == other) & bool(later[a] > later[b]))

        text = wins((0, 0), (1, 0)) & wins((1, 1), (0, 1))
        image = wins((0, 0), (0, 1)) & wins((1, 1), (1, 0))
        total += np.stack([text, image, text & image])
    unknown = np.isnan(cosine).any((1, 2))
    return PairScores(*np.where(unknown, np.nan, total / len(orders)))


def single_comparisons(cosine: np.ndarray) -> np.ndarray:
    """(2 n,) whether each image of a pair prefers its caption, a tie 1/2, NaN where a cosine is NaN.

    What a blind model is tried on.

    A model that does not see the image prefers one caption twice: its share is 1/2 whatever it knows.
    """
    cosine = np.asarray(cosine, np.float64).reshape(-1, 2, 2)
    right, wrong = cosine[:, [0, 1], [0, 1]], cosine[:, [1, 0], [0, 1]]
    return np.where(np.isnan(right + wrong), np.nan, 0.5 * (1 + np.sign(right - wrong))).reshape(-1)
