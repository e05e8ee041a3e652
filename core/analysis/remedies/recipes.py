"""What each remedy changes of what a head is fitted to (docs/method.md 3.7).

Whatever it has to know of labels and errors is read off images outside the fold that the head then answers,
by heads that have not seen them; only what people decided may be of any image.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from core.analysis.remedies.heads import Training
from core.measures.confident_learning import OutOfFold, likely_wrong
from core.measures.remedies import BALANCED, CORRECTED, FEATURES_OFF, SLICES, TEMPERATURE, WITHOUT_WRONG
from core.measures.temperature import best_temperature
from core.slices.finder import SIGNIFICANT, find
from core.slices.traits import Tokens

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
    """Labels as people corrected them; images that have none any more are left out."""
    truth = pool.facts.truth[training.at]
    return replace(training, codes=truth).only(truth >= 0)


def without_wrong_labels(training: Training, pool: Pool) -> Training:
    """Leave out the labels that confident learning takes for wrong, but for those that people decided on."""
    facts = pool.facts
    wrong = np.zeros(len(facts.rows), bool)
    wrong[pool.at] = wrong_labels(pool.logits, facts.labels[pool.at])
    decided = facts.stays[training.at] | (training.codes != facts.labels[training.at])
    return training.only(~wrong[training.at] | decided)


def wrong_labels(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(m,) bool: the labels that are likely wrong; see `likely_wrong`.

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
    """Let the images of the worst slices together count as much as all others, each at most MOST_WEIGHT."""
    inside = in_worst_slices(pool)[pool.of(training)]
    n_inside = np.count_nonzero(inside)
    if not n_inside:
        return training
    weight = np.clip(np.count_nonzero(~inside) / n_inside, 1.0, MOST_WEIGHT)
    return replace(training, counts=np.where(inside, weight, 1.0) * training.counts)


def in_worst_slices(pool: Pool) -> np.ndarray:
    """(m,) bool: the images of the MOST_SLICES slices that do significantly worse, by the highest lower bound
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
    """(n_images,) bool: the images of a candidate of `find`; -1 stands for any label, or any trait."""
    members = mask.copy()
    if trait >= 0:
        members = np.zeros(len(mask), bool)
        members[tokens.rows[tokens.ids == trait]] = True
    return members & mask & ((label < 0) | (labels == label))


def worst_candidate(
    tokens: Tokens, wrong: np.ndarray, labels: np.ndarray, mask: np.ndarray
) -> pd.Series | None:
    """The slice that does worst: significant ones first, then by the lower bound of the error rate."""
    candidates = find(tokens, wrong, labels, mask)
    if candidates.empty:
        return None
    far = candidates["q"].to_numpy(float) <= SIGNIFICANT
    order = np.lexsort((candidates["trait"], candidates["label"], -candidates["low"].to_numpy(float), ~far))
    return candidates.iloc[int(order[0])]


def with_equal_classes(training: Training, pool: Pool) -> Training:
    """Let all images of each class together count as much as those of any other."""
    sizes = np.bincount(training.codes)
    present = np.count_nonzero(sizes)
    weights = len(training.codes) / (present * np.maximum(sizes, 1))
    return replace(training, counts=weights[training.codes] * training.counts)


def without_spurious_features(training: Training, pool: Pool) -> Training:
    """Scale the features that are named as spurious, to 0 by default, which switches them off."""
    scale = training.scale.copy()
    scale[pool.facts.spurious] *= pool.facts.feature_scale
    return replace(training, scale=scale)


def with_temperature(training: Training, pool: Pool) -> Training:
    """Divide logits by the temperature of the least log loss."""
    labels = pool.facts.labels[pool.at]
    return replace(training, temperature=best_temperature(pool.logits, labels))


# In the order in which two of them are applied.
RECIPES: dict[str, Remedy] = {
    CORRECTED: with_corrections,
    WITHOUT_WRONG: without_wrong_labels,
    SLICES: with_weighted_slices,
    BALANCED: with_equal_classes,
    FEATURES_OFF: without_spurious_features,
    TEMPERATURE: with_temperature,
}


def prepared(names: tuple[str, ...], plain: Training, pool: Pool) -> Training:
    """What a head is fitted to under some remedies."""
    for name, recipe in RECIPES.items():
        plain = recipe(plain, pool) if name in names else plain
    return plain
