"""FALCON: explain features in words (Kalibhat 2023; docs/method.md 6). No torch.

`h` is (n_images, n_features), L2-normalised rows of the probe images: the evaluation split.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.errors import SettingsError, ShapeError

K_CANDIDATES = (16.0, 12.0, 8.0, 5.0, 4.0, 3.0)
MIN_IMAGES = 10  # a feature is explainable with more images than this
AUTO_SHARE = 0.2
TOP_WORDS = 6
WordList = Sequence[tuple[str, str]]  # (word, kind "word" or "phrase") of one caption


@dataclass(frozen=True)
class EntryMoments:
    """Count, sum and sum of squares of all entries, mergeable over chunks of rows."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, h: np.ndarray) -> "EntryMoments":
        flat = np.asarray(h, np.float64).reshape(-1)
        return cls(flat.size, float(flat.sum()), float(np.dot(flat, flat)))

    def __add__(self, other: "EntryMoments") -> "EntryMoments":
        return EntryMoments(self.n + other.n, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        return self.total / self.n if self.n else float("nan")

    @property
    def std(self) -> float:
        return max(self.squares / self.n - self.mean**2, 0.0) ** 0.5 if self.n else float("nan")

    def alpha(self, k: float) -> float:
        """Return the threshold above which a feature is highly activating (docs/method.md 6.1).

        alpha = mean(H) + k std(H), over all entries of the normalised matrix, ddof 0; NaN without entries.
        """
        return self.mean + k * self.std


def choose_k(n_explainable: Mapping[float, int], n_features: int, *, share: float = AUTO_SHARE) -> float:
    """Choose the largest k, the threshold of activation, that leaves at least `share` explainable.

    Args:
        n_explainable: candidate k -> number of explainable features.
    Returns:
        that k; if there is none, the one that leaves the most features (the largest such k).
    """
    for k in sorted(n_explainable, reverse=True):
        if n_explainable[k] >= share * n_features and n_explainable[k]:
            return k
    return max(n_explainable, key=lambda k: (n_explainable[k], k))


def largest_k(moments: EntryMoments, reached: np.ndarray) -> float:
    """The supremum of the threshold k for which words explain some feature (FALCON).

    Args:
        reached: (n_features,) the (min_images + 1)-th largest value of each feature; -inf if there are fewer
            images. A feature is explainable exactly if this value exceeds alpha.
    Returns:
        k, exclusive; -inf if there is none (too few images), NaN if all entries are equal.
    """
    best = float(np.max(reached, initial=-np.inf))
    if not np.isfinite(best):
        return -np.inf
    return (best - moments.mean) / moments.std if moments.std > 0 else float("nan")


def word_scores(words: Sequence[Sequence[WordList]], confidence: np.ndarray) -> pd.DataFrame:
    """Score how well each word fits a set of a feature's crops.

    WordScore(w) = 1/|T| sum_q max_p C^w_qp (Kalibhat, dissertation, eq. 4.1),
    C^w_qp the confidence of caption p of crop q if it contains w, else 0.

    Args:
        words: for each crop and each of its captions, the concepts in it: pairs (word, kind).
        confidence: (n_crops, n_captions) float.
    Returns:
        word, kind, score (float64, unit of the confidence), by descending score, then by word; each word
        once.
    Raises:
        ShapeError: the numbers of crops or captions differ.
    """
    if len(words) != len(confidence):
        raise ShapeError(f"captions of {len(words)} crops, but confidences of {len(confidence)}")
    totals: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for captions, values in zip(words, np.asarray(confidence, np.float64).tolist(), strict=True):
        if len(captions) != len(values):
            raise ShapeError(f"{len(captions)} captions of a crop, but {len(values)} confidences")
        for word, value in best_by_word(captions, values, kinds).items():
            totals[word] = totals.get(word, 0.0) + value
    columns = {
        "word": pd.array(list(totals), dtype="str"),
        "kind": pd.array([kinds[word] for word in totals], dtype="str"),
    }
    columns |= {"score": np.array(list(totals.values()), np.float64) / max(len(words), 1)}
    frame = pd.DataFrame(columns)
    return frame.sort_values(["score", "word"], ascending=[False, True], ignore_index=True)


def best_by_word(
    captions: Sequence[WordList], confidence: Sequence[float], kinds: dict[str, str]
) -> dict[str, float]:
    """Best confidence of each word among one crop's captions, max_p C^w_qp; at least 0.

    `kinds` is filled with the kind of each word.
    """
    best: dict[str, float] = {}
    for concepts, value in zip(captions, confidence, strict=True):
        for word, kind in concepts:
            kinds.setdefault(word, kind)
            best[word] = max(best.get(word, 0.0), value)
    return best


class CounterfactualSearch:
    """Find images similar to the highly activating ones in everything but the feature, over chunks of rows.

    {q : h_qi < mean_i for each i of the group, h_q,V . h^mu >= beta}, V = all features but the group, h^mu =
    mean of the highly activating rows without the group, mean_i over all images (Kalibhat's dissertation,
    eq. 4.2). A group keeps the `n` with the highest dot product; on ties, those of the first rows.

    Args:
        groups: the features of each group. sums: (n_groups, n_features) sum of its highly activating rows.
        counts: (n_groups,) number of those rows. means: (n_features,) mean of each feature over all images.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        sums: Sequence[np.ndarray] | np.ndarray,
        counts: Sequence[int] | np.ndarray,
        means: np.ndarray,
        *,
        beta: float,
        n: int,
    ):
        self.groups, self.means, self.beta, self.n = groups, means, beta, n
        self.targets = np.array(sums, np.float64) / np.maximum(np.asarray(counts), 1)[:, None]  # h^mu
        for target, features in zip(self.targets, groups, strict=True):
            target[list(features)] = 0.0  # restricts the dot product to V
        nothing = (np.empty(0, np.int64), np.empty(0))
        self.nearest: list[tuple[np.ndarray, np.ndarray]] = [nothing for _ in groups]
        # The largest dot product of an image below the means, whatever beta is.
        self.largest_beta = np.full(len(groups), -np.inf)

    def update(self, start: int, h: np.ndarray) -> None:
        """Process the rows start … start + len(h) - 1; rows must come in order."""
        h = np.asarray(h, np.float64)
        below = h < self.means
        dots = h @ self.targets.T  # (n, n_groups)
        for number, features in enumerate(self.groups):
            lower = np.flatnonzero(below[:, list(features)].all(1))
            self.largest_beta[number] = dots[lower, number].max(initial=self.largest_beta[number])
            fits = lower[dots[lower, number] >= self.beta]
            if len(fits):
                self._add(number, start + fits, dots[fits, number])

    def _add(self, number: int, rows: np.ndarray, dots: np.ndarray) -> None:
        rows = np.concatenate([self.nearest[number][0], rows])
        dots = np.concatenate([self.nearest[number][1], dots])
        best = np.lexsort([rows, -dots])[: self.n]
        self.nearest[number] = rows[best], dots[best]

    def finish(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return rows and dot products of each group."""
        return self.nearest


@dataclass(frozen=True)
class Contrast:
    """The effect of the words of counterfactual images on the words of a feature.

    Attributes:
        kept: (n_words,) bool.
        discarded_by: for each word the positions of the counterfactual images whose captions contain it,
            highest confidence first; empty for words that are not discarded.
    """

    kept: np.ndarray
    discarded_by: list[list[int]]


def contrast(
    words: Sequence[str],
    counter_words: Sequence[Sequence[WordList]],
    counter_confidence: np.ndarray,
    *,
    min_score: float = 0.1,
) -> Contrast:
    """Discard words of a feature that also fit the counterfactual images (docs/method.md 6.6).

    Args:
        words: of the feature. counter_words, counter_confidence: captions of the whole counterfactual images,
            as for `word_scores`. min_score: a word with at least this score on those images is discarded.
    """
    scores = word_scores(counter_words, counter_confidence)
    shared = set(scores.loc[scores["score"] >= min_score, "word"])
    values = np.asarray(counter_confidence, np.float64).tolist()
    best = [best_by_word(captions, value, {}) for captions, value in zip(counter_words, values, strict=True)]
    holders = [_best_first(best, word) if word in shared else [] for word in words]
    return Contrast(np.array([word not in shared for word in words], bool), holders)


def _best_first(best: Sequence[Mapping[str, float]], word: str) -> list[int]:
    """List the images that show a word, best first; `best` holds each image's words with their scores."""
    with_word = [image for image, scores in enumerate(best) if word in scores]
    return sorted(with_word, key=lambda image: -best[image][word])


def softmax_confidence(cosine: np.ndarray, logsumexp: np.ndarray, temperature: float = 100.0) -> np.ndarray:
    """Softmax confidence of the retrieved captions, over the whole caption bank.

    exp(temperature cos) / sum over the bank of exp(temperature cos)

    Args:
        cosine: (n, k). logsumexp: (n,) of temperature * cosine over the whole bank.
    Returns:
        (n, k) float64 in [0, 1].
    """
    return np.exp(temperature * np.asarray(cosine, np.float64) - np.asarray(logsumexp, np.float64)[:, None])


def _cosine(cosine: np.ndarray, logsumexp: np.ndarray, temperature: float) -> np.ndarray:
    return np.asarray(cosine, np.float64)


_Confidence = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
CONFIDENCES: dict[str, _Confidence] = {"cosine": _cosine, "softmax": softmax_confidence}


def confidence_of(kind: str, cosine: np.ndarray, logsumexp: np.ndarray, temperature: float) -> np.ndarray:
    """(n, k) float64 confidences of CLIP in captions retrieved for crops, by kind: cosine or softmax.

    Raises:
        SettingsError: unknown kind.
    """
    if kind not in CONFIDENCES:
        raise SettingsError(f"unknown confidence '{kind}'; known: {', '.join(CONFIDENCES)}")
    return CONFIDENCES[kind](cosine, logsumexp, temperature)
