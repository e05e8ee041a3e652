"""How strong the penalty of a probe is: chosen by the log loss on held-out rows (docs/method.md 3.1)."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from core.analysis import linear_probe
from core.analysis.folds import assign_folds
from core.analysis.linear_probe import TOLERANCE, Curvature, fit_classes

PER_CLASS = 100  # train rows of a class that the strength is chosen on
N_FOLDS = 5  # of those rows; each is held out once
ENOUGH_HELD = 10_000  # rows held out, after which no further fold is: the standard error is half a point
OF_A_CLASS = 0.01  # largest entry of the gradient times the classes: where all weights are 0, it is about 1
PATIENCE = 2  # strengths in a row with no smaller loss, after which larger ones are not tried


@dataclass(frozen=True)
class Searched:
    """The strengths C that were tried, and where the fit on all rows may begin.

    Attributes:
        accuracies, losses: held-out accuracy and mean log loss by C, the strongest penalty first. best: C of
            the smallest loss. start: (n_classes, n_features + 1) an optimum of it.
    """

    accuracies: dict[float, float]
    losses: dict[float, float]
    best: float
    start: Tensor


def until_worse(strengths: Sequence[float], losses: Mapping[float, float]) -> Iterator[float]:
    """Yield strengths C of a probe, the strongest penalty first, until two in a row have no smaller loss.

    Args:
        losses: of each strength that was yielded, once the next is asked for.
    """
    least, n_worse = math.inf, 0
    for strength in sorted(strengths):
        yield strength
        n_worse = 0 if losses[strength] < least else n_worse + 1
        least = min(least, losses[strength])
        if n_worse == PATIENCE:
            return


def best_strength(losses: Mapping[float, float], strengths: Sequence[float]) -> float:
    """Return the strength C with the smallest held-out log loss of a probe, of equal ones the smallest C.

    Accuracy would be decided by one image where few are held out, and leaves the confidence open: over
    strengths that are right on the same images it goes from hardly above chance to 1.

    Args:
        losses: by strength, of those that were tried. strengths: all; the smallest where none was tried.
    """
    return min(sorted(losses), key=lambda loss: losses[loss]) if losses else min(strengths)


def draw_per_class(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Draw at most `most` images of each class from the seed to choose a probe's penalty; ascending.

    Args:
        labels: (n,) int class codes.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    classes, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    rank = np.arange(len(labels)) - np.repeat(first, counts)
    return np.sort(order[rank < most])


def search_penalty(
    rows: linear_probe.ShuffledRows,
    n_classes: int,
    strengths: Sequence[float],
    curvature: Curvature,
    seed: int,
    after_each: Callable[[], object] = lambda: None,
    groups: np.ndarray | None = None,
) -> Searched:
    """Try the strengths C of a probe, penalty 1 / (C n), on out-of-fold rows, the strongest first.

    Each fit starts at the optimum of the one before, and the search ends as in `until_worse`. One C is the
    same prior on the weights for any n.

    Args:
        rows: those that the strength is chosen on. groups: (n,) rows that stay in one fold; None: each alone.
    """
    tolerance = min(TOLERANCE, OF_A_CLASS / n_classes)
    parts = _folds(rows.labels.cpu().numpy(), groups, seed)
    optima: list[Tensor | None] = [None] * len(parts)
    n_held = sum(len(held_out) for _, held_out in parts)
    accuracies: dict[float, float] = {}
    losses: dict[float, float] = {}
    start = None
    for strength in until_worse(strengths, losses):
        accuracy = loss = 0.0
        for number, (used, held_out) in enumerate(parts):
            penalty, before = 1 / (strength * len(used)), optima[number]
            options = {"used": used, "start": before, "tolerance": tolerance}
            fitted = fit_classes(rows, n_classes, penalty, curvature, **options)
            optima[number] = fitted
            shares, means = linear_probe.accuracy_and_loss(linear_probe.Fit.of(fitted[None]), rows, held_out)
            accuracy += float(shares[0]) * len(held_out) / n_held
            loss += float(means[0]) * len(held_out) / n_held
        accuracies[strength], losses[strength] = accuracy, loss
        after_each()
        if best_strength(losses, strengths) == strength:
            start = optima[0]
    assert start is not None  # there is a strength
    return Searched(accuracies, losses, best_strength(losses, strengths), start)


def _folds(labels: np.ndarray, groups: np.ndarray | None, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions to fit to and to evaluate on, the latter of classes that are fitted; else all and all."""
    units = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    folds = assign_folds(labels, units, N_FOLDS, seed)
    parts, n_held = [], 0
    for fold in range(N_FOLDS):
        used = np.flatnonzero(folds != fold)
        held_out = np.flatnonzero((folds == fold) & np.isin(labels, labels[used]))
        if len(held_out) and n_held < ENOUGH_HELD:
            parts.append((used, held_out))
            n_held += len(held_out)
    everything = np.arange(len(labels))
    return parts or [(everything, everything)]
