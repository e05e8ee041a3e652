"""Estimates of the probe's accuracy on images without labels (docs/method.md 3.4).

Each estimate compares what the probe says of the new images with what it says of evaluation images of the
study, whose labels are known. None can be right for every shift, so each is back-tested (`back_tests.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import ShapeError
from core.research.transfer_learning.analysis import compared_estimates

FEWEST = 10  # images on each side
MOST_ROWS = 5000  # of the nuclear norm


@dataclass(frozen=True)
class Predictions:
    """Predictions of the probe for n images.

    Attributes:
        shares: (n, n_classes) float, probabilities; each row adds up to 1. halves: (n, 2) int, the classes
            predicted by two probes trained on disjoint halves of the train images.
    """

    shares: np.ndarray
    halves: np.ndarray

    def __post_init__(self) -> None:
        if self.shares.ndim != 2 or self.halves.shape != (len(self.shares), 2):
            raise ShapeError(f"shares {self.shares.shape} and halves {self.halves.shape} do not match")

    def __len__(self) -> int:
        return len(self.shares)

    @property
    def confidence(self) -> np.ndarray:
        """(n,) probability of the predicted class."""
        return self.shares.max(1)

    @property
    def predicted(self) -> np.ndarray:
        """(n,) int, the predicted class."""
        return self.shares.argmax(1)

    def at(self, rows: np.ndarray) -> Predictions:
        """Return those of some rows."""
        return Predictions(self.shares[rows], self.halves[rows])


def threshold(confidence: np.ndarray, correct: np.ndarray) -> float:
    """The confidence below which as many evaluation images lie as are misclassified (Garg et al. 2022, ATC).

    Args:
        confidence: (n,). correct: (n,) bool.
    Returns:
        the (errors + 1)-th smallest confidence; infinity where all are misclassified.
    """
    wrong = int(np.count_nonzero(~np.asarray(correct, bool)))
    return float(np.sort(confidence)[wrong]) if wrong < len(confidence) else np.inf


def nuclear_norm(shares: np.ndarray) -> float:
    """Nuclear norm of the matrix of predictions over its largest possible value (Deng et al. 2023).

    ||P||_* / sqrt(min(n, C) n): large where predictions are confident and spread over the classes.

    Args:
        shares: (n, C) probabilities; of more than `MOST_ROWS` rows, a seeded sample is taken, since the first
            rows of images that are listed by class hold the first classes only.
    Returns:
        float in (0, 1].
    """
    if len(shares) > MOST_ROWS:
        shares = shares[np.sort(np.random.default_rng(0).permutation(len(shares))[:MOST_ROWS])]
    n, n_classes = shares.shape
    small = shares.T @ shares if n >= n_classes else shares @ shares.T
    values = np.sqrt(np.clip(np.linalg.eigvalsh(small.astype(np.float64)), 0, None))
    return float(values.sum() / np.sqrt(min(n, n_classes) * n))


def estimates(labelled: Predictions, correct: np.ndarray, new: Predictions) -> dict[str, float]:
    """Accuracy of the probe on new images, by each method.

    val_accuracy: a, that of the known images, as if nothing had changed. atc: share of new images whose
    confidence reaches `threshold`. difference_of_confidences: a - (mean confidence of the known images - mean
    confidence of the new ones) (Guillory et al. 2021). nuclear_norm: a times the ratio of the norms (ours;
    the paper reports the norm alone). agreement: share of new images on which both halves' probes agree
    (Jiang et al. 2022).

    Args:
        labelled: of evaluation images; correct: (n,) bool, whether each is classified correctly.
        new: of the images without labels.
    Returns:
        method -> float in [0, 1]; NaN with fewer than `FEWEST` images on a side.
    """
    if min(len(labelled), len(new)) < FEWEST:
        return dict.fromkeys(compared_estimates.METHODS, np.nan)
    accuracy = float(np.mean(correct))
    changed = accuracy - float(labelled.confidence.mean() - new.confidence.mean())
    norms = nuclear_norm(new.shares) / nuclear_norm(labelled.shares)
    above_threshold = new.confidence >= threshold(labelled.confidence, correct)
    halves_agree = new.halves[:, 0] == new.halves[:, 1]
    thresholded = float(np.mean(above_threshold))
    agreement = float(np.mean(halves_agree))
    by_method = {
        compared_estimates.ASSUMED: accuracy,
        compared_estimates.ATC: thresholded,
        compared_estimates.CONFIDENCES: changed,
        compared_estimates.NUCLEAR: accuracy * norms,
        compared_estimates.AGREEMENT: agreement,
    }
    return {name: float(np.clip(value, 0.0, 1.0)) for name, value in by_method.items()}


def resampled_estimates(
    labelled: Predictions, correct: np.ndarray, new: Predictions, *, resamples: int = 200, seed: int = 0
) -> tuple[dict[str, float], np.ndarray]:
    """`estimates`, and those of resamples of the known and of the new images, which are drawn apart.

    They hold what the choice of images brings, not what a method gets wrong: that is what back tests are for.
    Which rows are drawn depends on the seed and the numbers of images alone, so the draws of two encoders on
    the same images are pairs, from which the interval of their difference follows.

    Returns:
        method -> estimate; (resamples, n_methods) float64, NaN where undefined.
    """
    of_known, of_new = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    new = new.at(of_new.permutation(len(new)))  # so that draws stay pairs of those that older studies keep
    draws = np.full((resamples, len(compared_estimates.METHODS)), np.nan)
    for draw in draws if min(len(labelled), len(new)) >= FEWEST else ():
        mine = of_known.integers(0, len(labelled), len(labelled))
        theirs = of_new.integers(0, len(new), len(new))
        by_method = estimates(labelled.at(mine), correct[mine], new.at(theirs))
        draw[:] = [by_method[name] for name in compared_estimates.METHODS]
    return estimates(labelled, correct, new), draws
