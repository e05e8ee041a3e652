"""Whether a CLIP knows such pictures: its words name more features than if dealt at random (method 6.12)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from core.common.dataframes import safe_divide
from core.common.records import Record, Templates
from core.concepts.naming.majority import ShownWords, beyond_others

DEALS, BLOCK_UNITS = 5, 4_096
MOST_BY_CHANCE = 0.2  # of the names: an estimate of their false discovery rate
_say = Templates.beside(__file__)


def n_named_by_chance(
    words_of_images: ShownWords,
    units: Sequence[np.ndarray],
    *,
    least: float,
    most_elsewhere: float,
    seed: int = 0,
) -> float:
    """Count the units that have a word when each image shows those of another image, dealt at random.

    It is the mean of `DEALS` seeded deals.

    Args:
        units: (n,) positions of the images of each. least, most_elsewhere: the limits of `majority_words`.
    """
    rng, there = np.random.default_rng(seed), np.flatnonzero(words_of_images.there)
    by_image, limits = sparse.csr_matrix(words_of_images.shows)[there], (least, most_elsewhere)
    owner = np.repeat(np.arange(len(units)), [len(positions) for positions in units])
    column = np.concatenate([*units, np.empty(0, np.int64)])
    ones: Any = np.ones(len(owner))
    held: Any = sparse.csr_matrix((ones, (owner, column)), shape=(len(units), len(words_of_images.there)))
    held = held[:, there]
    n_named = 0
    for _ in range(DEALS):
        dealt = by_image[rng.permutation(len(there))]
        for start in range(0, len(units), BLOCK_UNITS):
            n_named += np.count_nonzero(_has_word(held[start : start + BLOCK_UNITS], dealt, *limits))
    return n_named / DEALS


def _has_word(units: Any, shows: Any, least: float, most_elsewhere: float) -> np.ndarray:
    """(n_units,) bool: whether some word names each unit by the rule of `majority_words`.

    Args:
        units: (n_units, n_images) sparse, 1 for the images of each. shows: (n_images, n_words) sparse.
    """
    shown, sizes = (units @ shows).toarray(), np.asarray(units.sum(1))
    everywhere = np.asarray(shows.sum(0))
    shares, others = safe_divide(shown, sizes), safe_divide(everywhere - shown, shows.shape[0] - sizes)
    is_named = (shares >= least) & ~(others >= most_elsewhere) & beyond_others(shares, others, sizes)
    return is_named.any(1)


def why_unknown(n_named: int, n_by_chance: float, n_units: int, clip: str) -> Record | None:
    """Say why the words of a CLIP are refused: there are none, or more than `MOST_BY_CHANCE` of the names may
    be chance; None where they are not.
    """
    if n_named and n_by_chance <= MOST_BY_CHANCE * n_named:
        return None
    return _say("unknown", what=clip, n=n_named, of=n_units, chance=n_by_chance)
