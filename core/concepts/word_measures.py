"""Scores of ranked words against a known truth, and baselines that find words in other ways.

On Glyphworld the truth is known; elsewhere only people can tell (`core/publish/export_files.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.concepts.falcon import TOP_WORDS

KS = tuple(range(1, TOP_WORDS + 1))
LEAST_PROBABILITY = 1e-7
CACHED_VALUES = 100_000  # of float64, that a processor holds near it
FACTORS = 64  # each at least 1 - p_start: their product stays far above the smallest float64


def precision_at(ranked: Sequence[str], related: set[str], k: int) -> float:
    """Share of a feature's first k words that are related to the truth; NaN if there are no words.

    With fewer than k words, the share of the existing ones.
    """
    first_words = ranked[:k]
    return sum(word in related for word in first_words) / len(first_words) if first_words else float("nan")


def recall_of_true(ranked: Sequence[str], related: set[str], true_words: set[str], k: int) -> float:
    """Share of all true single words among the first k words, alone or in a phrase; NaN if there are none.

    Only related words count: a phrase that is wrong contributes no true word.
    """
    named = {part for word in ranked[:k] if word in related for part in word.split()}
    return len(named & true_words) / len(true_words) if true_words else float("nan")


def pooled(
    ranked: Mapping[str, Sequence[str]], related: Mapping[str, set[str]], k: int
) -> tuple[float, float]:
    """Precision and pooled recall at k over all features' words at once (Kalibhat, Table 4.1).

    Precision and pooled recall at k over all groups' words at once (Kalibhat, dissertation, Table 4.1).

    With R_k related words among the n_k words that stand first to k-th: P_k = R_k / n_k, and the pooled
    recall R_k / R_6 = n_k P_k / (n_6 P_6), which is k P_k / (6 P_6) where every group shows six words. It is
    1 at k = 6 by construction: the words that are not shown are unknown.

    Returns:
        both in [0, 1], NaN without words and without related words.

    >>> pooled({"3": ["dog", "red"], "5": ["sky", "sea"]}, {"3": {"dog", "red"}, "5": {"sea"}}, 1)
    (0.5, 0.3333333333333333)
    """
    top_words = {group: list(words[:TOP_WORDS]) for group, words in ranked.items()}
    hits, n = [0, 0], 0  # related words among the first k, and among all that are shown
    for group, words in top_words.items():
        good = [word in related[group] for word in words]
        hits = [hits[0] + sum(good[:k]), hits[1] + sum(good)]
        n += len(words[:k])
    precision = hits[0] / n if n else float("nan")
    recall = hits[0] / hits[1] if hits[1] else float("nan")
    return precision, recall


def without_contrast(concepts: pd.DataFrame) -> dict[str, list[str]]:
    """Return the words of each group as if none had been discarded: the best by WordScore."""
    ordered = concepts.sort_values(["group", "score", "word"], ascending=[True, False, True], kind="stable")
    return _by_group(ordered)


def kept_words(concepts: pd.DataFrame) -> dict[str, list[str]]:
    """Return the words that the step `concepts` kept for each group of features, best first."""
    rows: Any = concepts[concepts["kept"].to_numpy(bool)]
    return _by_group(rows.sort_values(["group", "rank"], kind="stable"))


def _by_group(frame: pd.DataFrame) -> dict[str, list[str]]:
    words_of: dict[str, list[str]] = {}
    for group, word in zip(frame["group"].tolist(), frame["word"].tolist(), strict=True):
        words = words_of.setdefault(group, [])
        if len(words) < TOP_WORDS:
            words.append(word)
    return words_of


def random_words(groups: Sequence[str], vocabulary: Sequence[str], *, seed: int = 0) -> dict[str, list[str]]:
    """Draw six different words for each group of features from all words of the caption bank."""
    rng = np.random.default_rng(seed)
    n = min(TOP_WORDS, len(vocabulary))
    drawn = {group: rng.choice(len(vocabulary), n, replace=False).tolist() for group in groups}
    return {group: [str(vocabulary[number]) for number in places] for group, places in drawn.items()}


def soft_wpmi(
    probabilities: np.ndarray,
    activations: np.ndarray,
    *,
    top_k: int = 100,
    lam: float = 1.0,
    p_start: float = 0.998,
    p_end: float = 0.97,
) -> np.ndarray:
    """Score how well single words describe units by whole images (CLIP-Dissect's soft-WPMI, arXiv
    2204.10965).

    score_uw = log p(w | B_u) - lam log p(w), B_u the top_k images of unit u, softly:
    log p(w | B_u) = sum_i log(1 + p_i (P_iw - 1)), p_i linear from p_start down to p_end with the rank
    of image i; p(w) the mean of p(w | B_u) over units.

    Args:
        probabilities: (n_images, n_words), P: softmax over words of CLIP's similarity of each image.
        activations: (n_images, n_units).
    Returns:
        (n_units, n_words) float64, higher fits better.
    """
    n = min(top_k, len(activations))
    top = _highest_rows(activations, n)
    inside = p_start - np.arange(n) / max(n, 1) * (p_start - p_end)
    n_units, n_words = activations.shape[1], probabilities.shape[1]
    given, width = np.zeros((n_units, n_words)), max(1, CACHED_VALUES // max(n_words, 1))
    for first in range(0, n_units, width):
        units = slice(first, first + width)
        for start in range(0, n, FACTORS):  # a logarithm of a product costs less than as many logarithms
            product, factor = np.ones_like(given[units]), np.empty_like(given[units])
            for rank in range(start, min(start + FACTORS, n)):
                probabilities.take(top[rank, units], 0, factor, "clip")  # "raise" would copy once more
                factor *= inside[rank]
                factor += 1.0 - inside[rank] + LEAST_PROBABILITY
                product *= factor
            given[units] += np.log(product, out=product)
    highest = given.max(0)
    prior = highest + np.log(np.exp(given - highest).mean(0))
    given -= lam * prior
    return given


def _highest_rows(values: np.ndarray, n: int) -> np.ndarray:
    """(n, n_columns) int64: rows of the n largest values of each column, largest first, ties by row."""
    if not n:
        return np.zeros((0, values.shape[1]), np.int64)
    lowest_first = np.ascontiguousarray(-values.T)
    highest = np.empty((len(lowest_first), n), np.int64)
    last = np.partition(lowest_first, n - 1, axis=1)[:, n - 1]
    for column, bound, out in zip(lowest_first, last, highest, strict=True):
        rows = np.flatnonzero(column <= bound)
        out[:] = rows[np.argsort(column[rows], kind="stable")[:n]]
    return highest.T


def softmax(values: np.ndarray, scale: float) -> np.ndarray:
    """(n, m) float64: softmax over each row of scale * CLIP's cosines."""
    shares = np.asarray(values, np.float64) * scale
    shares -= shares.max(1, keepdims=True)
    np.exp(shares, out=shares)
    shares /= shares.sum(1, keepdims=True)
    return shares


def dissect_words(
    images: np.ndarray,
    words: np.ndarray,
    vocabulary: Sequence[str],
    activations: np.ndarray,
    *,
    scale: float = 10.0,
) -> list[list[str]]:
    """Find six words for each unit by whole images, as CLIP-Dissect does.

    Args:
        images: (n_images, d) and words: (n_words, d) CLIP embeddings. activations: (n_images, n_units).
        scale: factor of the cosines in the softmax over words.
    """
    scores = soft_wpmi(softmax(images @ words.T, scale), activations)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP_WORDS]
    return [[str(vocabulary[number]) for number in row] for row in best.tolist()]
