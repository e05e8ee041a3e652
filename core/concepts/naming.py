"""Words that name a feature: which hold for most of its images, whether by chance, and under its heat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from core.common.dataframes import safe_divide
from core.common.records import Record, Templates
from core.concepts.caption_words import more_general
from core.concepts.falcon import TOP_WORDS, WordList
from core.config import ConceptsConfig
from core.errors import SettingsError, ShapeError
from core.measures.intervals import wilson

# Words that hold for most of a feature's images and for fewer than half of the others (docs/method.md
# 6.12).
#
# CLIP looks at whole images, all probe images, and the captions nearest to each share a mass of 1 among
# themselves. A word's mass on an image is that of the captions that contain it. Where the masses of a word
# fall into two groups, the upper one shows the word. No torch, and no truth is used.


MAJORITY, FALCON = NAMINGS = ("majority", "falcon")
LEAST_SHARE = 0.45  # of the feature's images; below half, since CLIP overlooks some that show a word
MOST_ELSEWHERE = 0.5  # of the other images
IMAGE_CAPTIONS = 20  # captions of each whole image
LEAST_MASS = 0.3  # mean mass that a word has on the images that show it
MOST_DISCARDED = 24  # discarded words kept for display, per unit


def naming_of(config: ConceptsConfig) -> str:
    """Return the rule by which words of features are chosen: as given, else by majority where a bank is.

    Raises:
        SettingsError: an unknown rule, or the majority's with a captioner.
    """
    if config.naming is None:
        return FALCON if config.captioner else MAJORITY
    if config.naming not in NAMINGS:
        raise SettingsError(f"unknown naming '{config.naming}'; known: {', '.join(NAMINGS)}")
    if config.naming == MAJORITY and config.captioner:
        raise SettingsError(
            "naming by majority compares images with a caption bank, and a captioner has none. "
            "Give --captions instead, or --naming falcon"
        )
    return config.naming


def caption_weights(cosine: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax over the captions of each image by CLIP: exp(tau c_qp) / sum_p exp(tau c_qp).

    Args:
        cosine: (n, k) of each image with its nearest captions; -inf or NaN for none.
        temperature: tau, the factor of the cosines in the CLIP's training.
    Returns:
        (n, k) float64; rows add up to 1, those without captions to 0.
    """
    scaled = np.where(np.isfinite(cosine), np.asarray(cosine, np.float64) * temperature, -np.inf)
    largest = scaled.max(1, initial=-np.inf, keepdims=True)
    powers = np.exp(scaled - np.where(np.isfinite(largest), largest, 0.0))
    total = powers.sum(1, keepdims=True)
    return powers / np.where(total > 0, total, 1.0)


@dataclass(frozen=True)
class WordMass:
    """The mass of each word on each image.

    Attributes:
        words, kinds: (n_words,) each word once, and "word" or "phrase".
        mass: (n_images, n_words) sparse, float64, in [0, 1].
    """

    words: list[str]
    kinds: list[str]
    mass: sparse.csc_matrix


def word_mass(codes: np.ndarray, weights: np.ndarray, words: Sequence[WordList]) -> WordMass:
    """Add up the weights of an image's captions with a word, to name features: P_qw = sum_p weight_qp.

    Args:
        codes: (n, k) int into `words`, -1 for none. weights: (n, k). words: the concepts in each caption,
            pairs (word, kind), each word once a caption.
    Raises:
        ShapeError: codes and weights differ in shape.
    """
    if codes.shape != weights.shape:
        raise ShapeError(f"captions {codes.shape}, but weights {weights.shape}")
    kinds: dict[str, str] = {}
    for concepts in words:
        for word, kind in concepts:
            kinds.setdefault(word, kind)
    number = {word: at for at, word in enumerate(kinds)}
    pairs = [(row, number[word]) for row, concepts in enumerate(words) for word in dict(concepts)]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    shape = (len(words), len(kinds))
    holds: Any = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
    present = codes >= 0
    images = np.nonzero(present)[0]
    entries = (weights[present], (images, codes[present]))
    caption_weights: Any = sparse.csr_matrix(entries, shape=(len(codes), len(words)))
    return WordMass(list(kinds), list(kinds.values()), sparse.csc_matrix(caption_weights @ holds))


def two_groups(values: np.ndarray) -> tuple[float, float]:
    """Split a word's masses over images in two so that the variance between is largest (Otsu 1979).

    With m numbers below and n - m above the split, and their means a and b, m (n - m) (b - a)^2 is largest.
    Equal numbers stay together; of equally good splits the lowest counts.

    Args:
        values: (n,) float.
    Returns:
        the smallest number of the upper group, and the group's mean; (inf, NaN) if all numbers are equal.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    n = len(ordered)
    below = np.arange(1, n)
    if n < 2 or ordered[0] == ordered[-1]:
        return np.inf, np.nan
    sums = np.cumsum(ordered)
    low = sums[:-1] / below
    high = (sums[-1] - sums[:-1]) / (n - below)
    variance = below * (n - below) * (high - low) ** 2
    between = np.where(ordered[1:] > ordered[:-1], variance, -np.inf)
    at = int(between.argmax())
    return float(ordered[at + 1]), float(high[at])


@dataclass(frozen=True)
class ShownWords:
    """Which images show which words, as CLIP sees it.

    Attributes:
        words, kinds: (n_words,), only words that some images show clearly.
        shows: (n_images, n_words) sparse, 1 where the image shows the word.
        there: (n_images,) bool: images that could be read; the others count nowhere.
    """

    words: list[str]
    kinds: list[str]
    shows: sparse.csc_matrix
    there: np.ndarray

    def holders(self, word: int) -> np.ndarray:
        """(n_images,) bool: the images that show the word."""
        is_shown = np.zeros(len(self.there), bool)
        is_shown[self.shows.indices[self.shows.indptr[word] : self.shows.indptr[word + 1]]] = True
        return is_shown

    def shares(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Share of some images, and of all others, that show each word: (n_words,) each; NaN without any."""
        inside = np.zeros(len(self.there))
        inside[positions] = 1.0
        by_side = []
        for marked in (inside * self.there, (1.0 - inside) * self.there):
            n = marked.sum()
            by_side.append(marked @ self.shows / n if n else np.full(len(self.words), np.nan))
        return by_side[0], by_side[1]


def shown_words(word_mass: WordMass, there: np.ndarray, *, least_mass: float = LEAST_MASS) -> ShownWords:
    """Say which images show each word of captions: the upper of two groups, split by the word's mass.

    Words whose upper group has a mean mass below `least_mass` are left out: captions name them here and
    there, but no image calls for them.

    Args:
        there: (n_images,) bool, the images that could be read; only these are split.
    """
    word_numbers, rows, columns = [], [], []
    for word in range(len(word_mass.words)):
        part = slice(word_mass.mass.indptr[word], word_mass.mass.indptr[word + 1])
        at, value = word_mass.mass.indices[part], word_mass.mass.data[part]
        if value.max(initial=0.0) < least_mass:
            continue  # the mean of its upper group cannot reach it either
        column = np.zeros(len(there))
        column[at] = value
        limit, mean = two_groups(column[there])
        if not mean >= least_mass:
            continue
        holders = at[(value >= limit) & there[at]]
        rows.append(holders)
        columns.append(np.full(len(holders), len(word_numbers)))
        word_numbers.append(word)
    none = np.empty(0, np.int64)
    where = (np.concatenate([none, *rows]), np.concatenate([none, *columns]))
    shows = sparse.csc_matrix((np.ones(len(where[0])), where), shape=(len(there), len(word_numbers)))
    return ShownWords(
        [word_mass.words[w] for w in word_numbers], [word_mass.kinds[w] for w in word_numbers], shows, there
    )


def _best_of_chains(
    words: Sequence[str], telling: np.ndarray, general: Mapping[str, str] | None
) -> np.ndarray:
    """(n,) bool: words of a feature that tell more than each more general, and each less general, one.

    Args:
        telling: (n,) float64, how well each word tells the images: a_w - b_w. Of equals the less general
            stays; an unknown one (NaN) is less than any. general: of a word the next more general one.

    >>> general = {"beagle": "dog", "dog": "animal"}
    >>> words, telling = ["beagle", "dog", "animal", "grass"], np.array([0.4, 0.9, 0.7, 0.2])
    >>> _best_of_chains(words, telling, general).tolist()
    [False, True, False, True]
    """
    value = dict(zip(words, np.nan_to_num(telling, nan=-np.inf).tolist(), strict=True))
    beaten = set[str]()
    for word in words:
        for other in more_general(word, general or {}):
            if other in value:
                beaten.add(word if value[other] > value[word] else other)
    return np.array([word not in beaten for word in words], bool)


def _beyond_others(share: np.ndarray, elsewhere: np.ndarray, n: int | np.ndarray) -> np.ndarray:
    """Mark the words that are more common on a feature's images than on others, beyond doubt.

    Mark words whose share of a feature's n images lies above that of the other images, by the lower end of
    Wilson's interval. Nothing is below an unknown share (NaN). Arrays of one shape, n too or one number.
    """
    sizes = np.broadcast_to(n, share.shape)
    return ~(wilson(np.rint(np.nan_to_num(share) * sizes), sizes)[0] <= elsewhere)


def majority_words(
    words_of_images: ShownWords,
    positions: np.ndarray,
    counter: np.ndarray,
    *,
    least: float = LEAST_SHARE,
    most_elsewhere: float = MOST_ELSEWHERE,
    general: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Name a feature: words that CLIP sees on most of its images, and on fewer than half of the others.

    Args:
        positions: (n,) its images. counter: (m,) its counterfactual images, for display.
        general: of a word the next more general one: of a word and those that are more general only the one
            stays that tells the images best (`_best_of_chains`), and only where that is no chance
            (`_beyond_others`): a general word is true of many images.
    Returns:
        word, kind, score (share of its images that show the word), elsewhere (share of the others), kept,
        discarded_by: for words that half of the others show as well, the counterfactual images that do.
        Kept words first, at most six, each kind by descending score, then by ascending `elsewhere`, then by
        word.
    """
    shares, others = words_of_images.shares(positions)
    fits = np.flatnonzero(shares >= least)
    fits = fits[
        _best_of_chains([words_of_images.words[w] for w in fits], shares[fits] - others[fits], general)
    ]
    n_there = int(np.count_nonzero(words_of_images.there[positions]))
    is_clear = _beyond_others(shares[fits], others[fits], n_there) if general else np.ones(len(fits), bool)
    columns = {
        "word": pd.array([words_of_images.words[w] for w in fits], dtype="str"),
        "kind": pd.array([words_of_images.kinds[w] for w in fits], dtype="str"),
    }
    columns |= {"score": shares[fits], "elsewhere": others[fits]}
    columns |= {"kept": ~(others[fits] >= most_elsewhere) & is_clear, "at": fits}
    order = {"kept": False, "score": False, "elsewhere": True, "word": True}  # True: ascending
    frame = pd.DataFrame(columns).sort_values(list(order), ascending=list(order.values()))
    is_kept = frame["kept"].to_numpy(bool)
    listed = np.concatenate([np.flatnonzero(is_kept)[:TOP_WORDS], np.flatnonzero(~is_kept)[:MOST_DISCARDED]])
    frame = frame.iloc[listed].reset_index(drop=True)
    by = []
    for word, keep in zip(frame["at"], frame["kept"], strict=True):
        shows_word = words_of_images.holders(int(word))
        by.append(counter[:0] if keep else counter[shows_word[counter]])
    return frame.drop(columns="at").assign(discarded_by=pd.Series(by, dtype=object))


# Whether a CLIP knows such pictures: its words name more features than if dealt at random (method 6.12).


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
    """Count the features that get a word when each image shows those of another, dealt at random.

    It is the mean of `DEALS` seeded deals.

    Args:
        units: (n,) positions of the images of each. least, most_elsewhere: the limits of `majority_words`.
    """
    rng, there = np.random.default_rng(seed), np.flatnonzero(words_of_images.there)
    by_image, limits = sparse.csr_matrix(words_of_images.shows)[there], (least, most_elsewhere)
    owner = np.repeat(np.arange(len(units)), [len(positions) for positions in units])
    column = np.concatenate([*units, np.empty(0, np.int64)])
    ones: Any = np.ones(len(owner))
    word_counts: Any = sparse.csr_matrix(
        (ones, (owner, column)), shape=(len(units), len(words_of_images.there))
    )
    word_counts = word_counts[:, there]
    n_named = 0
    for _ in range(DEALS):
        dealt = by_image[rng.permutation(len(there))]
        for start in range(0, len(units), BLOCK_UNITS):
            n_named += np.count_nonzero(_has_word(word_counts[start : start + BLOCK_UNITS], dealt, *limits))
    return n_named / DEALS


def _has_word(units: Any, shows: Any, least: float, most_elsewhere: float) -> np.ndarray:
    """(n_units,) bool: whether some word names each unit by the rule of `majority_words`.

    Args:
        units: (n_units, n_images) sparse, 1 for the images of each. shows: (n_images, n_words) sparse.
    """
    shown, sizes = (units @ shows).toarray(), np.asarray(units.sum(1))
    everywhere = np.asarray(shows.sum(0))
    shares, others = safe_divide(shown, sizes), safe_divide(everywhere - shown, shows.shape[0] - sizes)
    is_named = (shares >= least) & ~(others >= most_elsewhere) & _beyond_others(shares, others, sizes)
    return np.asarray(is_named.any(1))


def why_unknown(n_named: int, n_by_chance: float, n_units: int, clip: str) -> Record | None:
    """Say why the words of a CLIP are refused: there are none, or more than `MOST_BY_CHANCE` of the names may
    be chance; None where they are not.
    """
    if n_named and n_by_chance <= MOST_BY_CHANCE * n_named:
        return None
    return _say("unknown", what=clip, n=n_named, of=n_units, chance=n_by_chance)


# In which share of a feature's crops CLIP sees each of its words (docs/method.md 6.12). No torch.
#
# A word that whole images show may stand for what lies around the object that a feature looks at. The crops
# hold what lies under the heat, so they tell which of the words are seen there.


HALF = 0.5  # of a crop's mass, from which on CLIP sees the word in it


def crop_mass(
    codes: np.ndarray,
    cosine: np.ndarray,
    confidence: np.ndarray,
    words: Sequence[WordList],
    *,
    temperature: float,
) -> WordMass:
    """Compute the mass of each word on each crop of a feature, over the captions of the crop.

    Args:
        codes: (n, c) int into `words`, -1 for none. cosine: (n, c); NaN with a captioner, whose `confidence`
            (n, c) then takes the place of the softmax.
    """
    weights = caption_weights(cosine, temperature)
    unknown = ~np.isfinite(cosine).any(1, keepdims=True)
    shares = safe_divide(confidence, confidence.sum(1, keepdims=True), empty=0.0)
    return word_mass(codes, np.where(unknown, shares, weights), words)


def shares_under_heat(word_mass: WordMass, crops: np.ndarray, words: Sequence[str]) -> np.ndarray:
    """Share of a feature's crops on which each word has at least half of the mass.

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
