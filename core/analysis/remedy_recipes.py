"""What each remedy changes of what a head is fitted to (docs/method.md 3.7), and heads fitted so."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.analysis import crossfit
from core.analysis.linear_probe import Curvature, Standard, TrainSet, fit_classes
from core.analysis.remedies import (
    BALANCED,
    CORRECTED,
    FEATURES_OFF,
    SLICES,
    TEMPERATURE,
    WITHOUT_WRONG,
    HeadAnswers,
)
from core.common.moments import Moments
from core.measures.confident_learning import OutOfFold, likely_wrong
from core.measures.finder import SIGNIFICANT, find
from core.measures.traits import Tokens
from core.study.chunked_array import ChunkedArray

# The temperature of a softmax, by the log loss (Guo et al. 2017). numpy only.


HALVINGS = 60
RANGE = -6.0, 6.0  # of log(1 / T)


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T, a remedy, of the least mean log loss of softmax(z / T), from exp(-6) to exp(6).

    The loss is convex in b = 1 / T, with the slope mean(sum_c p_c z_c - z_y) for p = softmax(b z), so that
    its zero is found by bisection.

    Args:
        logits: (n, n_classes) float, finite. labels: (n,) int.
    Returns:
        1 where there are no images.
    """
    if not len(labels):
        return 1.0
    shifted = logits - logits.max(1, keepdims=True)
    of_label = shifted[np.arange(len(labels)), labels]
    low, high = RANGE
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        weights = np.exp(np.exp(middle) * shifted)
        slope = ((weights * shifted).sum(1) / weights.sum(1) - of_label).mean()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2))


# Heads that are fitted to some images under a remedy, and what they answer on others.


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
        return crossfit.without(
            crossfit.moments_by_part(self.array, self.rows[at], np.zeros(len(at), int), 1)
        )

    def fitted(self, training: Training, standard: Standard, start: Tensor | None = None) -> Tensor:
        """(n_classes, n_features + 1) the optimum on the standardised features; see `fit_classes`.

        Args:
            start: the optimum of another head that was fitted to the same images.
        """
        scaled = Standard(standard.mean, standard.scale * torch.from_numpy(training.scale))
        rows = TrainSet(self.array, self.rows[training.at], training.codes, scaled).batches(self.device)
        counts = None if (training.counts == training.counts[:1]).all() else training.counts
        penalty = 1 / (self.strength * len(training.at))
        options = {"start": start, "counts": counts, "tolerance": crossfit.TOLERANCE}
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
        for part, logits in crossfit.logits_of(self.array, self.rows[at], weights, self.device):
            answers[part] = logits.cpu().numpy()
        return answers

    def unseen(self, fold: int) -> np.ndarray:
        """Logits of the images outside a fold, each by a head that has seen neither that fold nor its own.

        Returns:
            (n, n_classes) float32; NaN inside the fold.
        """
        logits = np.full((len(self.rows), self.n_classes), np.nan, np.float32)
        for other in sorted({*self.folds.tolist()} - {fold}):
            held_out = np.flatnonzero(self.folds == other)
            logits[held_out] = self.logits(self._without(frozenset({fold, other})), held_out)
        return logits

    def _without(self, left_out: frozenset[int]) -> np.ndarray:
        """Weights of the head that has not seen some folds; each is fitted once."""
        if left_out not in self._inner:
            training = self.plain(np.flatnonzero(~np.isin(self.folds, [*left_out])))
            standard = crossfit.without(self.parts, *left_out)
            self._inner[left_out] = self.raw_weights(self.fitted(training, standard), training, standard)
        return self._inner[left_out]


def head_answers_of(logits: np.ndarray, truth: np.ndarray) -> HeadAnswers:
    """Return what a head refitted under a remedy answers, from its logits.

    Args:
        logits: (n, n_classes) float. truth: (n,) int, -1 where it is unknown.
    """
    shifted = logits - logits.max(1, keepdims=True)
    log_shares = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    at, predicted = np.arange(len(truth)), logits.argmax(1)
    losses = np.where(truth >= 0, -log_shares[at, truth], np.nan)
    return HeadAnswers(predicted, np.exp(log_shares[at, predicted]), losses)


# What each remedy changes of what a head is fitted to (docs/method.md 3.7).
#
# Whatever it has to know of labels and errors is read off images outside the fold that the head then
# answers, by heads that have not seen them; only what people decided may be of any image.


KEPT = 20  # likeliest classes of an image that confident learning reads
MOST_SLICES = 5
MOST_WEIGHT = 4.0


@dataclass(frozen=True)
class ImageFacts:
    """What is known of the images that are judged, and does not depend on a fold.

    Attributes:
        rows: (n,) int, rows in the study. labels, truth: (n,) int, codes as they are given, and as people
            corrected them, -1 where they say that the label is wrong without a better one.
        stays: (n,) bool, of whose label people say that it is right.
        tokens: traits of the images; None: no slices. study_labels: (n_images,) int, given labels by row of
            the study, for the names of slices. spurious: features that are switched off.
        feature_scale: what is left of them.
    """

    rows: np.ndarray
    labels: np.ndarray
    truth: np.ndarray
    stays: np.ndarray
    tokens: Tokens | None
    study_labels: np.ndarray
    spurious: np.ndarray
    feature_scale: float = 0.0


@dataclass(frozen=True)
class Pool:
    """The images outside a fold. at: (m,) their positions. logits: (m, n_classes), of heads that have not
    seen them."""

    facts: ImageFacts
    at: np.ndarray
    logits: np.ndarray

    def of(self, training: Training) -> np.ndarray:
        """(len(training.at),) the places in this pool of the images of a training."""
        return np.searchsorted(self.at, training.at)


Remedy = Callable[[Training, Pool], Training]


def with_corrections(training: Training, pool: Pool) -> Training:
    """The remedy of training the head on labels as people corrected them; others are left out."""
    truth = pool.facts.truth[training.at]
    return replace(training, codes=truth).only(truth >= 0)


def without_wrong_labels(training: Training, pool: Pool) -> Training:
    """The remedy of leaving out labels that are likely wrong, but for those that people decided on."""
    facts = pool.facts
    wrong = np.zeros(len(facts.rows), bool)
    wrong[pool.at] = _wrong_labels(pool.logits, facts.labels[pool.at])
    decided = facts.stays[training.at] | (training.codes != facts.labels[training.at])
    return training.only(~wrong[training.at] | decided)


def _wrong_labels(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(m,) bool: the labels that are likely wrong, which a remedy leaves out; see `likely_wrong`.

    Args:
        logits: (m, n_classes) by heads that have not seen the images. Only classes with a label count.
    """
    present, codes = np.unique(labels, return_inverse=True)
    shown = logits[:, present]
    shares = np.exp(shown - shown.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    best = np.argsort(-shares, axis=1, kind="stable")[:, :KEPT]
    of_label = shares[np.arange(len(codes)), codes]
    return likely_wrong(OutOfFold(best, np.take_along_axis(shares, best, 1), of_label, codes, len(present)))


def with_weighted_slices(training: Training, pool: Pool) -> Training:
    """The remedy of letting the worst slices together count as much as all other images."""
    inside = _in_worst_slices(pool)[pool.of(training)]
    n_inside = np.count_nonzero(inside)
    if not n_inside:
        return training
    weight = np.clip(np.count_nonzero(~inside) / n_inside, 1.0, MOST_WEIGHT)
    return replace(training, counts=np.where(inside, weight, 1.0) * training.counts)


def _in_worst_slices(pool: Pool) -> np.ndarray:
    """Find the train images of the worst slices, which a remedy weights.

    (m,) bool: the images of the MOST_SLICES slices that do significantly worse, by the highest lower bound
    of their error rates."""
    facts, inside = pool.facts, np.zeros(len(pool.at), bool)
    if facts.tokens is None:
        return inside
    n_images = len(facts.study_labels)
    mask, wrong = np.zeros(n_images, bool), np.zeros(n_images, bool)
    rows = facts.rows[pool.at]
    mask[rows] = True
    wrong[rows] = pool.logits.argmax(1) != facts.labels[pool.at]
    tokens = facts.tokens.of(mask)
    candidates = find(tokens, wrong, facts.study_labels, mask)
    worst = candidates.loc[(candidates["q"] <= SIGNIFICANT).to_numpy(bool)]
    order = np.lexsort((worst["trait"], worst["label"], -worst["low"].to_numpy(float)))[:MOST_SLICES]
    members = np.zeros(n_images, bool)
    for label, trait in worst.iloc[order][["label", "trait"]].itertuples(index=False):
        members |= slice_members(tokens, facts.study_labels, mask, int(label), int(trait))
    return members[rows]


def slice_members(tokens: Tokens, labels: np.ndarray, mask: np.ndarray, label: int, trait: int) -> np.ndarray:
    """(n_images,) bool: the images of a slice that a remedy may weight: a label and a trait, -1 for any."""
    members = mask.copy()
    if trait >= 0:
        members = np.zeros(len(mask), bool)
        members[tokens.rows[tokens.ids == trait]] = True
    return members & mask & ((label < 0) | (labels == label))


def worst_candidate(
    tokens: Tokens, wrong: np.ndarray, labels: np.ndarray, mask: np.ndarray
) -> dict[str, Any] | None:
    """The slice that does worst, for a remedy: significant ones first, then by the error rate's low end."""
    candidates = find(tokens, wrong, labels, mask)
    if candidates.empty:
        return None
    far = candidates["q"].to_numpy(float) <= SIGNIFICANT
    order = np.lexsort((candidates["trait"], candidates["label"], -candidates["low"].to_numpy(float), ~far))
    return candidates.iloc[int(order[0])].to_dict()


def with_equal_classes(training: Training, pool: Pool) -> Training:
    """The remedy of letting all images of each class together count as much as any other class."""
    sizes = np.bincount(training.codes)
    present = np.count_nonzero(sizes)
    weights = len(training.codes) / (present * np.maximum(sizes, 1))
    return replace(training, counts=weights[training.codes] * training.counts)


def without_spurious_features(training: Training, pool: Pool) -> Training:
    """The remedy of scaling the features named as spurious, to 0 by default, which switches them off."""
    scale = training.scale.copy()
    scale[pool.facts.spurious] *= pool.facts.feature_scale
    return replace(training, scale=scale)


def _with_temperature(training: Training, pool: Pool) -> Training:
    """The remedy of dividing a head's logits by the temperature of the least log loss."""
    labels = pool.facts.labels[pool.at]
    return replace(training, temperature=best_temperature(pool.logits, labels))


# In the order in which two of them are applied.
RECIPES: dict[str, Remedy] = {
    CORRECTED: with_corrections,
    WITHOUT_WRONG: without_wrong_labels,
    SLICES: with_weighted_slices,
    BALANCED: with_equal_classes,
    FEATURES_OFF: without_spurious_features,
    TEMPERATURE: _with_temperature,
}


def prepared(names: tuple[str, ...], plain: Training, pool: Pool) -> Training:
    """Prepare what a head is fitted to under some remedies: images, labels, weights, features."""
    for name, recipe in RECIPES.items():
        plain = recipe(plain, pool) if name in names else plain
    return plain
