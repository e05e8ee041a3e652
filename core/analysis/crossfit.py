"""Class probabilities of each image by a linear probe that has not seen its unit (docs/method.md 2.9)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.analysis import linear_probe
from core.analysis.folds import assign_folds
from core.analysis.linear_probe import Curvature, TrainSet, fit_classes
from core.analysis.probe_penalty import until_worse
from core.common.moments import Moments
from core.study.chunked_array import ChunkedArray

PREDICTED_ROWS = 4096  # rows whose probabilities are held at once
# Largest entry of the gradient at the optimum, and at those that C is searched with: where C is 1,
# probabilities are off by .2 at 1e-4, by .02 at 1e-5 and by .002 at 1e-6.
TOLERANCE, TOLERANCE_OF_SEARCH = 1e-6, 1e-5


@dataclass(frozen=True)
class Labelled:
    """The images whose labels are checked.

    Attributes:
        rows: (n,) their rows in the study, ascending. codes: (n,) int, class of each, from 0 without gaps.
        units, folds: (n,) int.
    """

    array: ChunkedArray
    rows: np.ndarray
    codes: np.ndarray
    units: np.ndarray
    folds: np.ndarray

    @property
    def n_classes(self) -> int:
        return int(self.codes.max(initial=-1)) + 1

    def of(self, positions: np.ndarray, standard: linear_probe.Standard) -> TrainSet:
        """Those at some positions, to train on."""
        return TrainSet(self.array, self.rows[positions], self.codes[positions], standard)


def moments_by_part(array: ChunkedArray, rows: np.ndarray, parts: np.ndarray, n_parts: int) -> list[Moments]:
    """Moments of representations over each fold, for probes, in one pass. parts: (len(rows),) int."""
    part_of = np.full(len(array), -1)
    part_of[rows] = parts
    moments = [Moments.empty(array.shape[1]) for _ in range(n_parts)]
    for chunk, here in array.by_chunk(part_of):
        for part in np.unique(here[here >= 0]).tolist():
            moments[part] = moments[part].merge(Moments.of_rows(array.chunk(chunk)[here == part]))
    return moments


def without(parts: Sequence[Moments], *left_out: int) -> linear_probe.Standard:
    """The standardisation of a probe on all folds but some."""
    joined = Moments.empty(len(parts[0].mean))
    for number, moments in enumerate(parts):
        joined = joined if number in left_out else joined.merge(moments)
    return linear_probe.Standard.of(joined)


def search_strength(
    images: Labelled,
    strengths: Sequence[float],
    n_inner: int,
    most: int,
    seed: int,
    curvature: Curvature,
    device: torch.device | str,
    after_each: Callable[[], object] = lambda: None,
) -> dict[float, float]:
    """Mean log loss of probes with each strength C over inner folds of all folds but the first.

    The penalty of a fit of n images is 1 / (C n), so that one C is the same prior on the weights for any n,
    and the same C as scikit-learn's. Each starts at the optimum of the one before, and the search ends as in
    `until_worse`.

    Args:
        most: images that are drawn from the seed where there are more.
    """
    rows = np.flatnonzero(images.folds != 0)
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    inner = assign_folds(images.codes[rows], images.units[rows], n_inner, seed)
    parts = moments_by_part(images.array, images.rows[rows], inner, n_inner)
    fits = []
    for fold in range(n_inner):
        used = rows[inner != fold]
        held_out = rows[(inner == fold) & np.isin(images.codes[rows], images.codes[used])]
        if len(held_out):
            fits.append(_Fit(images, used, held_out, without(parts, fold), curvature, device, n_inner))
    losses: dict[float, float] = {}
    for strength in until_worse(strengths, losses) if fits else ():
        total = sum(fit.held_loss(strength) for fit in fits)
        losses[strength] = total / sum(len(fit.held) for fit in fits)
        after_each()
    return losses


class _Fit:
    """One inner fold, fitted with one penalty after the other, each from the optimum of the one before."""

    def __init__(
        self,
        images: Labelled,
        used: np.ndarray,
        held: np.ndarray,
        standard: linear_probe.Standard,
        curvature: Curvature,
        device: torch.device | str,
        n_fits: int,
    ):
        self.used, self.held, self.n_classes, self._curvature = used, held, images.n_classes, curvature
        memory = linear_probe.MEMORY_ENTRIES // n_fits
        self._train = images.of(used, standard).batches(device, memory_entries=memory)
        self._held = images.of(held, standard).batches(device, memory_entries=memory)
        self._optimum: Tensor | None = None

    def held_loss(self, strength: float) -> float:
        """The sum of the log losses of the held-out images."""
        penalty = 1 / (strength * len(self.used))
        self._optimum = fit_classes(
            self._train,
            self.n_classes,
            penalty,
            self._curvature,
            start=self._optimum,
            tolerance=TOLERANCE_OF_SEARCH,
        )
        fitted = linear_probe.Fit.of(self._optimum[None])
        loss = linear_probe.accuracy_and_loss(fitted, self._held, np.arange(len(self.held)))[1]
        return float(loss[0]) * len(self.held)


def fit_fold(
    images: Labelled,
    fold: int,
    strength: float,
    standard: linear_probe.Standard,
    curvature: Curvature,
    device: torch.device | str,
) -> np.ndarray:
    """Fit a probe to all folds but one: (n_classes, n_features + 1) float32 weights and bias for raw rows.

    It starts at 0, not at the optimum of another fold, which has seen the images of this one.
    """
    used = np.flatnonzero(images.folds != fold)
    rows = images.of(used, standard).batches(device)
    penalty = 1 / (strength * len(used))
    optimum = fit_classes(rows, images.n_classes, penalty, curvature, tolerance=TOLERANCE)
    weights, bias = standard.fold(optimum[:, :-1], optimum[:, -1])
    return torch.cat([weights, bias[:, None]], 1).float().cpu().numpy()


def logits_of(
    array: ChunkedArray, rows: np.ndarray, weights: np.ndarray, device: torch.device | str
) -> Iterator[tuple[slice, Tensor]]:
    """Yield (m, n_classes) float64 logits by a fold's probe of some rows, in parts, with their places."""
    both = torch.from_numpy(weights).to(device).double()
    for start in range(0, len(rows), PREDICTED_ROWS):
        part = slice(start, min(start + PREDICTED_ROWS, len(rows)))
        raw = torch.from_numpy(array.rows(rows[part])).to(device).double()
        yield part, raw @ both[:, :-1].T + both[:, -1]
