"""Choose epsilon: count the train images at each candidate, and select one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.analysis.caveats import AUTO_NOTES
from core.analysis.chunk_scan import ChunkRows, check_finite_squares
from core.analysis.definitions import percentile_bounds, within_percentiles
from core.analysis.kernels import count_levels
from core.config import EPSILON_CANDIDATES
from core.errors import NoDiscriminativeFeatures


class EpsilonCounts:
    """Counts of train images at each epsilon, from one pass. The order of chunks and merges does not change
    the counts.

    Attributes:
        epsilons: (k,) float64, ascending. n_images: train images counted.
        firing_images: (k,) int64 number of images with nonempty L_i.
        firing: (k, n_features) int64 number of images on which each feature fires.
    """

    def __init__(self, n_features: int, epsilons: Sequence[float] = EPSILON_CANDIDATES):
        self.epsilons = np.array(sorted(set(epsilons)), np.float64)
        self.n_images = 0
        self._highest_image = np.zeros(len(self.epsilons), np.int64)  # by the highest epsilon exceeded
        self._highest = np.zeros((len(self.epsilons), n_features), np.int64)

    @property
    def firing_images(self) -> np.ndarray:
        return self._highest_image[::-1].cumsum()[::-1]

    @property
    def firing(self) -> np.ndarray:
        return self._highest[::-1].cumsum(0)[::-1]

    def update(self, chunk: ChunkRows, train: np.ndarray) -> None:
        """Add one chunk.

        Args:
            chunk: n raw rows. train: (n,) bool, the rows to count.
        Raises:
            StudyError: a row holds NaN or infinity.
        """
        deviations, train = np.empty(len(chunk)), np.ascontiguousarray(train, bool)
        for here, x in chunk.blocks():
            begin = chunk.begin[here.start : here.stop + 1]
            count_levels(
                x, begin, chunk.columns, train[here], self.epsilons, deviations[here],
                self._highest_image, self._highest,
            )  # fmt: skip
        check_finite_squares(deviations)
        self.n_images += int(np.count_nonzero(train))

    def merge(self, other: "EpsilonCounts") -> None:
        """Add the counts of `other`, for the same epsilons."""
        self.n_images += other.n_images
        self._highest_image += other._highest_image
        self._highest += other._highest

    def outcomes(self, *, low: float = 50.0, high: float = 95.0) -> "list[Outcome]":
        """Return the outcome of each epsilon, largest first. Raises SettingsError as `percentile_bounds`."""
        per_epsilon = []
        for epsilon, images, firing in zip(self.epsilons, self.firing_images, self.firing, strict=True):
            rate = 100.0 * firing / max(self.n_images, 1)
            bottom, _ = percentile_bounds(rate, low=low, high=high)
            discriminative = within_percentiles(rate, low=low, high=high).numpy() & (rate > 0)
            half = self.n_images > 0 and bool(2 * images >= self.n_images)
            per_epsilon.append(Outcome(float(epsilon), half, bottom > 0, bool(discriminative.any())))
        return per_epsilon[::-1]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one epsilon on the train images (docs/method.md 1.3)."""

    epsilon: float
    half_fire: bool  # at least half of the images have a nonempty L_i
    low_positive: bool  # P_low(A) > 0
    discriminative: bool  # D is not empty


@dataclass(frozen=True)
class Choice:
    """An epsilon, and a note on unmet conditions; empty if it meets all conditions of docs/method.md 1.3."""

    epsilon: float
    note: str = ""


def choose_epsilon(outcomes: Sequence[Outcome]) -> Choice:
    """Return the largest firing threshold epsilon with half of the images firing and D not empty.

    That is: P_low(A) > 0 (docs/method.md 1.3).

    If there is none, the condition P_low(A) > 0 is dropped first. If D is always empty while half of the
    images fire, the smallest epsilon with a nonempty D is used, at which the most images fire.

    Raises:
        NoDiscriminativeFeatures: D is empty at every epsilon.
    """
    usable = [outcome for outcome in outcomes if outcome.discriminative]
    if not usable:
        ends = [outcome.epsilon for outcome in outcomes]
        raise NoDiscriminativeFeatures(
            f"no feature is discriminative at any epsilon from {max(ends):g} to {min(ends):g}, so 'auto' has "
            "nothing to choose. Check that the features of an image differ (the weights, the input size), "
            "`resume` with --epsilon below that, or use more images"
        )
    halves = [one for one in usable if one.half_fire]
    full = [half for half in halves if half.low_positive]
    if full:
        return Choice(max(one.epsilon for one in full))
    if halves:
        return Choice(max(half.epsilon for half in halves), AUTO_NOTES["silent"])
    return Choice(min(one.epsilon for one in usable), AUTO_NOTES["few"])


def next_smaller(outcomes: Sequence[Outcome], epsilon: float) -> float | None:
    """For the step `features`: the largest firing threshold below `epsilon` with nonempty D, or None."""
    below = [outcome.epsilon for outcome in outcomes if outcome.discriminative and outcome.epsilon < epsilon]
    return max(below, default=None)
