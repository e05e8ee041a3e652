"""Blind checks: what can be guessed of a test of composition without its images (docs/method.md 16.6).

A test is called leaky if a model that sees no image is not at chance: its numbers then support no claim.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from core.research.visual_tokens.evaluation.benchmark import Benchmark
from core.research.visual_tokens.evaluation.clustered import clustered_wilson
from core.research.visual_tokens.evaluation.compositional import choice_scores, single_comparisons

EDGE = ""  # before the first and after the last word


@dataclass(frozen=True)
class BlindCheck:
    """What a model without images reaches on a test, with its 95 % interval; `leaky` without chance in it."""

    test: str
    model: str
    share: float
    low: float
    high: float
    chance: float

    @property
    def leaky(self) -> bool:
        return math.isfinite(self.share) and not self.low <= self.chance <= self.high


class Bigrams:
    """Probabilities of a word after another, with one added to each count.

    >>> model = Bigrams(["a red dog", "a red cat"])
    >>> model.score("a red dog") > model.score("red a dog")
    True
    """

    def __init__(self, captions: Iterable[str]) -> None:
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.words: Counter[str] = Counter()
        for caption in captions:
            for pair in _bigrams(caption):
                self.pairs[pair] += 1
                self.words[pair[0]] += 1
        self.n_words = len({word for pair in self.pairs for word in pair}) + 1

    def score(self, caption: str) -> float:
        """Return the logarithm of the caption's probability: the sum over its bigrams."""
        return math.fsum(
            math.log((self.pairs[pair] + 1) / (self.words[pair[0]] + self.n_words))
            for pair in _bigrams(caption)
        )


def _bigrams(caption: str) -> Iterable[tuple[str, str]]:
    words = [EDGE, *caption.split(), EDGE]
    return zip(words[:-1], words[1:], strict=True)


def blind_check(benchmark: Benchmark, model: str, score: Callable[[Sequence[str]], np.ndarray]) -> BlindCheck:
    """Try a model that scores captions alone, (n,) -> (n,), on a test.

    Pairs are tried on single comparisons, whose share is 1/2 for any such model: Winoground's own scores
    are 0 for a model that prefers one caption, whatever it knows.
    """
    score_of_caption = dict(
        zip(benchmark.captions, np.asarray(score(benchmark.captions), np.float64), strict=True)
    )
    if benchmark.pairs:
        values = np.array(
            [[score_of_caption[caption] for caption in item.captions] for item in benchmark.pairs]
        )
        right = single_comparisons(np.repeat(values[:, :, None], 2, axis=2))
        pictures = np.arange(len(right)) // 2  # one number a pair
        chance = 0.5
    else:
        right = choice_scores(
            [np.array([score_of_caption[c] for c in item.captions]) for item in benchmark.choices]
        )
        pictures = np.array([item.picture for item in benchmark.choices])
        chance = mean_chance(benchmark)
    there = np.isfinite(right)
    low, high = clustered_wilson(right[there], pictures[there])
    share = float(right[there].mean()) if there.any() else float("nan")
    return BlindCheck(benchmark.name, model, share, low, high, chance)


def mean_chance(benchmark: Benchmark) -> float:
    """Return what guessing reaches on a test of choices: shuffles that were dropped raise it."""
    sizes = [len(item.captions) for item in benchmark.choices if len(item.captions) > 1]
    return float(np.mean([1 / size for size in sizes])) if sizes else float("nan")


def leaky_tests(checks: Iterable[BlindCheck]) -> set[str]:
    """List the tests that a blind model solves better, or worse, than chance."""
    return {check.test for check in checks if check.leaky}
