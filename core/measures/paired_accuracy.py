"""Two answers on the same images: how often they agree, and which of them is right more often. No torch."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.measures.choice import mcnemar
from core.measures.design_effect import groups_among, of_mean
from core.measures.intervals import share_bounds, wilson

CLASS_COLUMNS = ["label", "study", "n", "accuracy", "difference", "difference_low", "difference_high"]


@dataclass(frozen=True)
class PairedAccuracy:
    """Two answers on n images with a verdict of both.

    Attributes:
        only_first, only_second: images on which one of them alone is right.
        difference: accuracy of the second minus that of the first, with its interval.
        p: of McNemar's exact test that both are right equally often; NaN without images.
        agreement: share of images that both give the same class, with its interval.
    """

    n: int
    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    difference: float
    low: float
    high: float
    p: float
    agreement: float
    agreement_low: float
    agreement_high: float

    @property
    def n_right(self) -> tuple[int, int]:
        return self.both_right + self.only_first, self.both_right + self.only_second


def paired_accuracy(
    correct: np.ndarray, predicted: np.ndarray, groups: np.ndarray | None = None
) -> PairedAccuracy:
    """Compare the accuracies of two answers on the images on which both have a verdict.

    Args:
        correct: (2, n) 1, 0 or NaN. predicted: (2, n) class names. groups: (n,) codes of patients, lesions
            or sequences; intervals and the test are then of the effective number of images. None: of all.
    """
    in_all = np.asarray(np.isfinite(correct).all(0))
    first, second = correct[:, in_all] == 1
    masks = (first & second, first & ~second, ~first & second)
    both, only_first, only_second = (int(np.sum(mask)) for mask in masks)
    n = int(in_all.sum())
    agrees = np.asarray(predicted[0, in_all] == predicted[1, in_all], bool)
    paired_groups = groups_among(groups, in_all)
    effect = of_mean(second.astype(float) - first, paired_groups)
    low, high = difference_interval(both / effect, only_first / effect, only_second / effect, n / effect)
    share_low, share_high = share_bounds(agrees, paired_groups)
    discordant = round(only_first / effect), round(only_second / effect)
    both_wrong = n - both - only_first - only_second
    difference = (only_second - only_first) / n if n else np.nan
    p = mcnemar(*discordant) if n else np.nan
    agreement = int(agrees.sum()) / n if n else np.nan
    return PairedAccuracy(
        n,
        both,
        only_first,
        only_second,
        both_wrong=both_wrong,
        difference=difference,
        low=low,
        high=high,
        p=p,
        agreement=agreement,
        agreement_low=share_low,
        agreement_high=share_high,
    )


def difference_interval(both: float, only_first: float, only_second: float, n: float) -> tuple[float, float]:
    """Compute the interval of the difference of two answers' accuracies on the same images.

    Bounds of the interval of p_2 - p_1 of paired samples (Newcombe 1998, method 10), in [-1, 1].

    With e, f, g, h images right by both, the first, the second, none; Wilson's bounds l, u of each share p:
    p_2 - p_1 - sqrt((p_2 - l_2)^2 - 2 phi (p_2 - l_2) (u_1 - p_1) + (u_1 - p_1)^2), likewise above, and
    phi = (e h - f g) / sqrt((e + f) (g + h) (e + g) (f + h)), its numerator, where it is positive, less n / 2
    and at least 0; phi = 0 where the root is 0. NaN for n = 0.
    """
    if not n:
        return np.nan, np.nan
    neither = n - both - only_first - only_second
    right = both + only_first, both + only_second
    shares = [one / n for one in right]
    ends = [wilson(one, n) for one in right]
    below = [share - float(low) for share, (low, _) in zip(shares, ends, strict=True)]
    above = [float(high) - share for share, (_, high) in zip(shares, ends, strict=True)]
    product = both * neither - only_first * only_second
    product = max(product - n / 2, 0.0) if product > 0 else product
    right_first, right_second = right
    root = np.sqrt(float(right_first) * (n - right_first) * float(right_second) * (n - right_second))
    phi = product / root if root else 0.0
    apart = shares[1] - shares[0]
    below_second, above_first = below[1], above[0]
    down = np.sqrt(max(below_second**2 - 2 * phi * below_second * above_first + above_first**2, 0.0))
    above_second, below_first = above[1], below[0]
    up = np.sqrt(max(above_second**2 - 2 * phi * above_second * below_first + below_first**2, 0.0))
    return float(apart - down), float(apart + up)


def accuracy_by_class(
    correct: np.ndarray, labels: np.ndarray, names: tuple[str, str], groups: np.ndarray | None = None
) -> pd.DataFrame:
    """From verdicts of two answers, the accuracy on each class, and the difference with its interval.

    Columns CLASS_COLUMNS, by class name.
    """
    rows, in_all = [], np.isfinite(correct).all(0)
    labelled = pd.Series(labels, dtype=object).where(in_all)
    codes, classes = pd.factorize(labelled, sort=True)  # -1 without a label
    for code, label in enumerate(classes):
        here = correct[:, codes == code]
        class_groups = groups_among(groups, codes == code)
        pair = paired_accuracy(here, np.empty(here.shape, object), class_groups)
        first, second = (right / pair.n for right in pair.n_right)
        rows.append([label, names[0], pair.n, first, np.nan, np.nan, np.nan])
        rows.append([label, names[1], pair.n, second, pair.difference, pair.low, pair.high])
    return pd.DataFrame(rows, columns=pd.Index(CLASS_COLUMNS))
