"""How often the 95 % intervals hold the truth, on fresh samples of known populations.

Scores are normal, higher by a shift for correct images, so that the AUROC is known. At every n the accuracy
is such that at least 8 errors are expected: with fewer, nothing is said of a score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from statistics import NormalDist

import numpy as np

from benchmarks.results import Result
from core.measures import intervals, metrics
from core.measures.intervals import interval_of_augrc
from core.measures.placements import spreads

SAMPLES, RESAMPLED, RESAMPLES = 2000, 300, 300
ACCURACY = {25: 0.68, 60: 0.86, 200: 0.9, 1000: 0.9}
AREAS = (0.6, 0.75, 0.9)
NEAR = 2.0  # points from 95 %: the goal is 93 to 97 %
Found = tuple[float, float, float]  # low, high, truth
Measure = Callable[[np.random.Generator, int, float, float], Found]


def run() -> Iterator[Result]:
    for name, samples, measure in MEASURES:
        for n, accuracy in ACCURACY.items():
            covered, widths = [], []
            for area in AREAS:
                rng = np.random.default_rng([n, int(100 * area)])
                intervals_of_samples = [measure(rng, n, accuracy, area) for _ in range(samples)]
                low, high, truth = np.array(intervals_of_samples).T
                defined = np.isfinite(low) & np.isfinite(high)
                covered.append(100 * float(((low <= truth) & (truth <= high))[defined].mean()))
                widths.append(float((high - low)[defined].mean()))
            worst = max(covered, key=lambda share: abs(share - 95))
            shares = ", ".join(f"{share:.1f}" for share in covered)
            detail = f"{shares} % at AUROCs of {AREAS}, mean width {np.mean(widths):.2f}"
            yield Result(f"{name}, n = {n:,}", abs(worst - 95), "points", NEAR, False, detail)


def sample(rng: np.random.Generator, n: int, accuracy: float, area: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of n images, and whether each is correct; the AUROC of the population is `area`."""
    correct = rng.random(n) < accuracy
    return rng.normal(size=n) + correct * 2**0.5 * NormalDist().inv_cdf(area), correct


def auroc(rng: np.random.Generator, n: int, accuracy: float, area: float) -> Found:
    return *intervals.auroc_interval(*sample(rng, n, accuracy, area))[1:3], area


def within_groups(rng: np.random.Generator, n: int, accuracy: float, area: float) -> Found:
    """The AUROC pooled over five groups."""
    from core.measures.scores import pooled_auroc

    score, correct = sample(rng, n, accuracy, area)
    return *pooled_auroc(score, correct.astype(float), rng.integers(0, 5, n))[1:3], area


def difference(rng: np.random.Generator, n: int, accuracy: float, area: float) -> Found:
    """A score of that AUROC minus another of AUROC 0.6; both share half of their noise."""
    score, correct = sample(rng, n, accuracy, area)
    shift, common = 2**0.5 * NormalDist().inv_cdf(area), (0.5**0.5)
    noise = score - correct * shift
    other = common * noise + common * rng.normal(size=n) + correct * 2**0.5 * NormalDist().inv_cdf(0.6)
    return *intervals.auroc_difference(score, other, correct)[1:], area - 0.6


def augrc(rng: np.random.Generator, n: int, accuracy: float, area: float) -> Found:
    ends = interval_of_augrc(*spreads(*sample(rng, n, accuracy, area)))[1:]
    return *ends, (1 - area) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2


def resampled(metric: str) -> Measure:
    """A metric whose interval comes from resamples of the images."""
    at = metrics.METRICS.index(metric)

    def measure(rng: np.random.Generator, n: int, accuracy: float, area: float) -> Found:
        ranking = metrics.rank(*sample(rng, n, accuracy, area))
        seed = int(rng.integers(1 << 30))
        draws = metrics.bootstrap_metrics([ranking], n, resamples=RESAMPLES, seed=seed)[:, 0, at, None]
        low, high = intervals.resampled_logit_interval([metrics.metrics_of(ranking)[at]], draws, n)
        return float(low[0]), float(high[0]), float(mean_metrics(accuracy, area, n)[at])

    return measure


@cache
def mean_metrics(accuracy: float, area: float, n: int) -> np.ndarray:
    """Mean metrics of samples of n images: AURC is a little higher there than in the whole population."""
    rng = np.random.default_rng(0)
    several = [metrics.metrics_of(metrics.rank(*sample(rng, n, accuracy, area))) for _ in range(SAMPLES)]
    return np.nanmean(several, axis=0)


def share(rng: np.random.Generator, n: int, accuracy: float, area: float) -> Found:
    low, high = intervals.wilson(rng.binomial(n, accuracy), n)
    return float(low), float(high), accuracy


def shares_apart(rng: np.random.Generator, n: int, accuracy: float, area: float) -> Found:
    """Of n images against as many others, with an accuracy of `area`."""
    low, high = intervals.newcombe(rng.binomial(n, accuracy), n, rng.binomial(n, area), n)
    return float(low), float(high), accuracy - area


def mean(rng: np.random.Generator, n: int, accuracy: float, area: float) -> Found:
    """Of overlaps between 0 and 1, as skewed as mIoU of small objects is."""
    values = rng.beta(4 * (1 - area), 4 * area, n)
    return *intervals.mean_interval(values)[1:3], 1 - area


MEASURES: tuple[tuple[str, int, Measure], ...] = (
    ("AUROC", SAMPLES, auroc),
    ("AUROC within groups", SAMPLES, within_groups),
    ("AUROC minus another's, paired", SAMPLES, difference),
    ("AUGRC", SAMPLES, augrc),
    ("AURC", RESAMPLED, resampled("aurc")),
    ("AUPRC", RESAMPLED, resampled("auprc_correct")),
    ("AUPRC of errors", RESAMPLED, resampled("auprc_error")),
    ("share", SAMPLES, share),
    ("share minus another", SAMPLES, shares_apart),
    ("mean of overlaps", SAMPLES, mean),
)
