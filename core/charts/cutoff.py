"""The errors caught by a cut-off on a quality score."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CutoffResult:
    """The outcome of flagging every image at or below `threshold`; shares in percent, NaN where undefined."""

    threshold: float
    n_images: int
    n_errors: int
    n_flagged: int
    n_caught: int
    caught: float
    precision: float

    @property
    def flagged(self) -> float:
        """Percentage of images that are flagged."""
        return 100 * self.n_flagged / self.n_images if self.n_images else float("nan")


def apply_cutoff(values: np.ndarray, correct: np.ndarray, threshold: float) -> CutoffResult:
    """Flag every image whose score is at most `threshold`, and count.

    Args:
        values: (n_images,) scores, higher is better; images with NaN in either input are left out.
        correct: (n_images,) 1 correct, 0 misclassified.
    """
    values, outcome = np.asarray(values, float), np.asarray(correct, float)
    defined = np.isfinite(values) & np.isfinite(outcome)
    values, right = values[defined], outcome[defined] == 1
    flagged = values <= threshold
    n_flagged, n_errors = int(flagged.sum()), int((~right).sum())
    n_caught = int((flagged & ~right).sum())
    caught = _percent(n_caught, n_errors)
    precision = _percent(n_caught, n_flagged)
    return CutoffResult(
        threshold=float(threshold),
        n_images=len(values),
        n_errors=n_errors,
        n_flagged=n_flagged,
        n_caught=n_caught,
        caught=caught,
        precision=precision,
    )


def threshold_for(values: np.ndarray, percent: float) -> float:
    """Return the score at or below which `percent` of the images lie (lower quantile); below all scores for
    0.

    Images with equal scores cannot be separated, so more than `percent` may be flagged.
    """
    ordered = np.sort(np.asarray(values, float)[np.isfinite(values)])
    n = round(len(ordered) * percent / 100)
    if not len(ordered):
        return float("nan")
    return float(ordered[n - 1]) if n else float(np.nextafter(ordered[0], -np.inf))


def reachable_percent(values: np.ndarray, percent: int) -> int:
    """Return the whole percentage that is flagged where `percent` is asked for: equal scores go together."""
    scores = np.asarray(values, float)[np.isfinite(values)]
    if not len(scores) or not percent:
        return percent
    flagged = 100 * np.count_nonzero(scores <= threshold_for(scores, percent)) / len(scores)
    return percent if flagged - percent < 1 else math.floor(flagged)


def tie_sentence(values: np.ndarray, threshold: float) -> str:
    """State which images can only be flagged together at a threshold; empty where none stand out.

    >>> tie_sentence(np.array([0, 0, 0, 1, 2]), 0.0)
    '3 images share the lowest score, so no smaller share can be looked at.'
    """
    scores = np.asarray(values, float)[np.isfinite(values)]
    equal = int(np.count_nonzero(scores == threshold))
    if equal < 2 or equal < len(scores) / 100:  # what the slider cannot set apart anyway
        return ""
    if threshold == scores.min():
        return f"{equal:,} images share the lowest score, so no smaller share can be looked at."
    return f"{equal:,} images share the score {threshold:.4g} and are looked at together."


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else float("nan")
