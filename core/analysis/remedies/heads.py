"""Heads that are fitted to some images under a remedy, and what they answer on others."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from core.analysis.crossfit import fit
from core.analysis.probe.curvature import Curvature, fit_classes
from core.analysis.probe.linear import Standard
from core.analysis.probe.train_set import TrainSet
from core.common.statistics.moments import Moments
from core.measures.remedies import HeadAnswers
from core.storage.chunked_array import ChunkedArray


@dataclass(frozen=True)
class Training:
    """What a head is fitted to.

    Attributes:
        at: (m,) int, positions among the images that are judged, ascending. codes: (m,) int, their classes.
        counts: (m,) float, how much each counts, at least 0. scale: (n_features,) float, of the standardised
            features: 0 switches one off. temperature: that logits are divided by.
    """

    at: np.ndarray
    codes: np.ndarray
    counts: np.ndarray
    scale: np.ndarray
    temperature: float = 1.0

    def only(self, mask: np.ndarray) -> "Training":
        """Those of a mask, (m,) bool."""
        return replace(self, at=self.at[mask], codes=self.codes[mask], counts=self.counts[mask])

    def fits_as(self, other: "Training") -> bool:
        """Whether a head that is fitted to this has the same optimum."""
        names = ("at", "codes", "counts", "scale")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    def same(self, other: "Training") -> bool:
        return self.fits_as(other) and self.temperature == other.temperature


@dataclass
class Heads:
    """Linear heads on the representations of the images that are judged, all of one strength.

    Attributes:
        rows: (n,) int, rows in the study. labels: (n,) int, codes as they are given, below `n_classes`.
        folds: (n,) int. parts: moments of the raw features over each fold. after_each: called after a fit.
    """

    array: ChunkedArray
    rows: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    parts: list[Moments]
    n_classes: int
    strength: float
    curvature: Curvature
    device: torch.device | str
    after_each: Callable[[], object] = lambda: None
    _inner: dict[frozenset[int], np.ndarray] = field(default_factory=dict)

    def plain(self, at: np.ndarray) -> Training:
        """The images at some positions as they are."""
        return Training(at, self.labels[at], np.ones(len(at)), np.ones(self.array.shape[1]))

    def standard_of(self, at: np.ndarray) -> Standard:
        """The standardisation by the images at some positions."""
        return fit.without(fit.moments_by_part(self.array, self.rows[at], np.zeros(len(at), int), 1))

    def fitted(self, training: Training, standard: Standard, start: Tensor | None = None) -> Tensor:
        """(n_classes, n_features + 1) the optimum on the standardised features; see `fit_classes`.

        Args:
            start: the optimum of another head that was fitted to the same images.
        """
        scaled = Standard(standard.mean, standard.scale * torch.from_numpy(training.scale))
        rows = TrainSet(self.array, self.rows[training.at], training.codes, scaled).batches(self.device)
        counts = None if (training.counts == training.counts[:1]).all() else training.counts
        penalty = 1 / (self.strength * len(training.at))
        options = {"start": start, "counts": counts, "tolerance": fit.TOLERANCE}
        optimum = fit_classes(rows, self.n_classes, penalty, self.curvature, **options)
        self.after_each()
        return optimum

    def raw_weights(self, optimum: Tensor, training: Training, standard: Standard) -> np.ndarray:
        """(n_classes, n_features + 1) float32, the same head for raw rows; its last column is the bias."""
        scaled = Standard(standard.mean, standard.scale * torch.from_numpy(training.scale))
        weights, bias = scaled.fold(optimum[:, :-1], optimum[:, -1])
        both = torch.cat([weights, bias[:, None]], 1) / training.temperature
        return both.float().cpu().numpy()

    def logits(self, weights: np.ndarray, at: np.ndarray) -> np.ndarray:
        """(len(at), n_classes) float64 logits of the images at some positions."""
        answers = np.empty((len(at), self.n_classes))
        for part, logits in fit.logits_of(self.array, self.rows[at], weights, self.device):
            answers[part] = logits.cpu().numpy()
        return answers

    def unseen(self, fold: int) -> np.ndarray:
        """Logits of the images outside a fold, each by a head that has seen neither that fold nor its own.

        Returns:
            (n, n_classes) float32; NaN inside the fold.
        """
        logits = np.full((len(self.rows), self.n_classes), np.nan, np.float32)
        for other in sorted({*self.folds.tolist()} - {fold}):
            held = np.flatnonzero(self.folds == other)
            logits[held] = self.logits(self._without(frozenset({fold, other})), held)
        return logits

    def _without(self, left_out: frozenset[int]) -> np.ndarray:
        """Weights of the head that has not seen some folds; each is fitted once."""
        if left_out not in self._inner:
            training = self.plain(np.flatnonzero(~np.isin(self.folds, [*left_out])))
            standard = fit.without(self.parts, *left_out)
            self._inner[left_out] = self.raw_weights(self.fitted(training, standard), training, standard)
        return self._inner[left_out]


def head_answers_of(logits: np.ndarray, truth: np.ndarray) -> HeadAnswers:
    """What logits answer.

    Args:
        logits: (n, n_classes) float. truth: (n,) int, -1 where it is unknown.
    """
    shifted = logits - logits.max(1, keepdims=True)
    log_shares = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    at, predicted = np.arange(len(truth)), logits.argmax(1)
    losses = np.where(truth >= 0, -log_shares[at, truth], np.nan)
    return HeadAnswers(predicted, np.exp(log_shares[at, predicted]), losses)
