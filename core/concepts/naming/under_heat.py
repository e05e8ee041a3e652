"""In which share of a feature's crops CLIP sees each of its words (docs/method.md 6.12). No torch.

A word that whole images show may stand for what lies around the object that a feature looks at. The crops
hold what lies under the heat, so they tell which of the words are seen there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.common.dataframes import safe_divide
from core.concepts.falcon import WordList
from core.concepts.naming.majority import WordMass, caption_weights, word_mass

HALF = 0.5  # of a crop's mass, from which on CLIP sees the word in it


def crop_mass(
    codes: np.ndarray,
    cosine: np.ndarray,
    confidence: np.ndarray,
    words: Sequence[WordList],
    *,
    temperature: float,
) -> WordMass:
    """Compute the mass of each word on each crop: as on whole images, over the captions of the crop.

    Args:
        codes: (n, c) int into `words`, -1 for none. cosine: (n, c); NaN with a captioner, whose `confidence`
            (n, c) then takes the place of the softmax.
    """
    weights = caption_weights(cosine, temperature)
    unknown = ~np.isfinite(cosine).any(1, keepdims=True)
    shares = safe_divide(confidence, confidence.sum(1, keepdims=True), empty=0.0)
    return word_mass(codes, np.where(unknown, shares, weights), words)


def shares_under_heat(word_mass: WordMass, crops: np.ndarray, words: Sequence[str]) -> np.ndarray:
    """Share of some crops on which each word has at least half of the mass.

    Args:
        crops: (n,) rows of `word_mass.mass`.
    Returns:
        (len(words),) float64; NaN without crops.
    """
    number = {word: at for at, word in enumerate(word_mass.words)}
    shares = np.full(len(words), np.nan)
    if not len(crops):
        return shares
    mine: Any = word_mass.mass[crops]
    for at, word in enumerate(words):
        column = number.get(word)
        seen = 0 if column is None else np.count_nonzero(mine[:, [column]].data >= HALF)
        shares[at] = seen / len(crops)
    return shares
