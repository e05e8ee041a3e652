"""How often a classifier is right where its confidence says so: calibration, as numbers and in words."""

from dataclasses import dataclass

import numpy as np

from core.common.records import Record, Templates
from core.measures.evaluate import result_column
from core.measures.intervals import share_bounds
from core.study.reader import StudyReader

WIDTH = 0.1  # of a band of confidence; their centres are its multiples
USUAL = 0.8  # the confidence that a sentence is about, or the nearest with enough answers
LEAST = 30  # answers in a band, without which nothing is said: then the 95 % interval is up to .34 wide
NOTABLE = 0.03  # a smaller difference between confidence and share is none that matters
_say = Templates.beside(__file__)


@dataclass(frozen=True)
class Band:
    """The answers of a classifier whose confidence lies in one band.

    Attributes:
        n, n_right: answers, and those that are right. confidence: their mean. low, high: the 95 % interval of
            the share that is right.
    """

    n: int
    n_right: int
    confidence: float
    low: float
    high: float

    @property
    def kind(self) -> str:
        """How the confidence compares with the interval: `too_sure`, `not_sure_enough` or `fits`."""
        gap = self.confidence - self.n_right / self.n
        if abs(gap) < NOTABLE or self.low <= self.confidence <= self.high:
            return "fits"
        return "too_sure" if gap > 0 else "not_sure_enough"


def calibration_error(right: np.ndarray, confidence: np.ndarray, n_bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over bins of equal width: sum_b n_b / n |acc_b - conf_b|.

    (Naeini et al. 2015, ECE; docs/method.md 3.7.)

    Args:
        right: (n,) bool. confidence: (n,) float in [0, 1].
    Returns:
        in [0, 1]; NaN of no images.
    """
    if not len(right):
        return np.nan
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    return float(np.abs(np.bincount(bins, confidence - right, n_bins)).sum() / len(right))


def usual_band(right: np.ndarray, confidence: np.ndarray, groups: np.ndarray | None = None) -> Band | None:
    """Return the band of confidence about 0.8, or the nearest to it with LEAST answers; None without any.

    One that is fixed beforehand, and not the one that is furthest off: of many bands one is always off.

    Args:
        right: (n,) bool. confidence: (n,) float in [0, 1]. groups: (n,) units that answers share; None: none.
    """
    bands = np.floor(confidence / WIDTH + 0.5).astype(int)
    sizes = np.bincount(bands)
    enough = np.flatnonzero(sizes >= LEAST)
    if not len(enough):
        return None
    nearest = enough[np.lexsort([-enough, np.abs(enough - round(USUAL / WIDTH))])[0]]
    inside, n = bands == nearest, int(sizes[nearest])
    low, high = share_bounds(right[inside], None if groups is None else groups[inside])
    n_right = int(np.count_nonzero(right[inside]))
    return Band(n, n_right, float(confidence[inside].mean()), low, high)


def confidence_sentence(study: StudyReader, mask: np.ndarray) -> Record | str:
    """Say of images how often answers with a confidence of about 0.8 are right; "" where too few tell.

    Nothing is said where all outcomes are the same, as under a filter that names the outcome.

    Args:
        mask: (n_images,) bool.
    """
    correct, confidence = (result_column(study, name) for name in ("correct", "confidence"))
    judged = mask & np.isfinite(correct) & np.isfinite(confidence)
    groups = None if study.groups is None else study.groups[judged]
    band = usual_band(correct[judged] == 1, confidence[judged], groups)
    if band is None or len(np.unique(correct[judged])) < 2:
        return ""
    share = band.n_right / band.n
    interval = (band.low, band.high)
    return _say(band.kind, n=band.n, value=share, interval=interval, chance=band.confidence)
