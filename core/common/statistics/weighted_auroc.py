"""AUROC of a score in one study, for any number of times that each image was drawn."""

import numpy as np


class WeightedAuroc:
    """A score sorted once; `of` then weighs the images.

    Args:
        score, correct: (n_images,) float64; images with NaN in either are left out.
    """

    def __init__(self, score: np.ndarray, correct: np.ndarray):
        finite = np.flatnonzero(np.isfinite(score) & np.isfinite(correct))
        self.order = finite[np.argsort(score[finite], kind="stable")]  # lowest first
        self.correct = correct[self.order]
        ordered = score[self.order]
        self.starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(finite) else finite

    def of(self, counts: np.ndarray | None = None) -> float:
        """Chance that a correct image scores above a misclassified one, ties half; NaN without one of either.

        Args:
            counts: (n_images,) how often each image occurs; None: once.
        """
        weight = np.ones(len(self.order)) if counts is None else counts[self.order].astype(np.float64)
        right = weight @ self.correct if len(self.order) else 0.0
        wrong = weight.sum() - right
        if not right or not wrong:
            return np.nan
        # An image that was drawn k times weighs k: the AUROC of the resample without sorting it again.
        right_here = np.add.reduceat(weight * self.correct, self.starts)
        wrong_here = np.add.reduceat(weight * (1.0 - self.correct), self.starts)
        below = np.cumsum(wrong_here) - 0.5 * wrong_here  # images with the same score count half
        return float(right_here @ below / (right * wrong))
