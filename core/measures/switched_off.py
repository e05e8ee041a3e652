"""What an answer says of the images of a slice once some features are switched off (docs/method.md 6.8).

Beside it stand random features of the same number and of about the same activation: what they do as well is
owed to taking features away, not to these features.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.statistics.intervals import share_intervals
from core.measures.removal import logits_without, random_alike
from core.slices.features.class_logits import Classifier

DRAWS = 20  # sets of random features
AS_IT_IS, WITHOUT, AT_RANDOM = "as it is", "without these features", "without random features"


@dataclass(frozen=True)
class SwitchedOff:
    """Predictions of n images, as codes of what can be predicted.

    Attributes:
        before, after: (n,) with all features, and without those switched off. random: (DRAWS, n) without
            random ones instead. true: (n,) float, NaN where the class is not known.
    """

    before: np.ndarray
    after: np.ndarray
    random: np.ndarray
    true: np.ndarray

    @property
    def flipped(self) -> np.ndarray:
        """(n,) bool: the images whose prediction changes."""
        return self.before != self.after


def switched_off(
    chunks: Iterable[tuple[np.ndarray, np.ndarray]],
    classifier: Classifier,
    means: np.ndarray,
    codes_of: Callable[[np.ndarray], np.ndarray],
    features: Sequence[int],
    true: np.ndarray,
    average: np.ndarray,
    *,
    seed: int = 0,
) -> SwitchedOff:
    """Predict images again with some features at their means.

    Args:
        chunks: raw representations (m, n_features) and (m, n_units), a part of the images at a time; the same
            but in a basis (see `Classifier.start_of`). means: (n_features,) what a feature is when it is off.
        codes_of: what logits predict. true: (n,). average: (n_features,) mean activation of these images, by
            which random features are about as active.
    """
    off = np.unique(np.asarray(features, np.int64))[None]
    rng = np.random.default_rng(seed)
    sets = [off, *(random_alike(average[None], off, rng) for _ in range(DRAWS))]
    before: list[np.ndarray] = []
    after: list[list[np.ndarray]] = [[] for _ in sets]
    for raw, units in chunks:
        started = classifier.start_of(raw, units)
        before.append(codes_of(classifier.finish(started)))
        for mine, one in zip(after, sets, strict=True):
            removed = np.repeat(one, len(raw), axis=0)
            mine.append(codes_of(logits_without(classifier, started, raw, means, removed)))
    named, *random = (np.concatenate(one) if one else np.empty(0, int) for one in after)
    return SwitchedOff(np.concatenate(before) if before else np.empty(0, int), named, np.stack(random), true)


def switched_off_table(made: SwitchedOff) -> pd.DataFrame:
    """Accuracy and changed predictions: one row as it is, one without the features, one without random ones.

    Returns:
        features, n (images), n_judged (of a known class), accuracy, accuracy_low, accuracy_high, flipped,
        flipped_low, flipped_high (shares with Wilson's 95 % intervals; accuracy NaN where no class is
        known), fixed (wrong before and right now) and broken, numbers of images; of random features means.
    """
    has_truth = np.isfinite(made.true)
    rows = []
    for name, codes in ((AS_IT_IS, made.before[None]), (WITHOUT, made.after[None]), (AT_RANDOM, made.random)):
        right, was = codes == made.true, made.before == made.true
        share_right = np.where(has_truth, right.mean(0), np.nan)
        share_changed = (codes != made.before).mean(0)
        values = np.stack([share_right, share_changed], axis=1)
        mean, low, high, _ = share_intervals(values)
        fixed = (right & ~was & has_truth).sum(1)
        broken = (~right & was & has_truth).sum(1)
        row = {"features": name, "n": len(has_truth), "n_judged": int(has_truth.sum())}
        row |= {"accuracy": mean[0], "accuracy_low": low[0], "accuracy_high": high[0]}
        row |= {"flipped": mean[1], "flipped_low": low[1], "flipped_high": high[1]}
        row |= {"fixed": float(fixed.mean()), "broken": float(broken.mean())}
        rows.append(row)
    return pd.DataFrame(rows)
