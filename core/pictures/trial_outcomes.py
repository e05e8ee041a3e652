"""When a trial explains an error: its gain against its controls (docs/method.md 9.3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.common.dataframes import check_same_length
from core.measures.causes import HOLDS, LEAST_ALIKE, NOT_TRIED, REFERENCE, REFUTED, TOO_FEW, n_alike

PERCENTILE = 0.95
NEAREST = 3  # of an image that is named, so many times the right images of like gap are tried
BLOCK = 1 << 22  # differences of gaps held at once


@dataclass(frozen=True)
class Trial:
    """What a trial did to n images, errors and right images alike.

    Attributes:
        gain: (n,) float, g' - g, in logits or in the trial's own unit; NaN where it was not tried.
        answered: (n,) bool, the answer becomes the target.
        control: (n,) float, the largest gain of the neutral changes of the same image; -inf without any.
        lead: (n,) float, by how much it gains more than others of its kind, which has to be as
            unusual as the gain; None where there are no others.
        evidence: columns of table `causes`, (n,) each: what was found of the image.
    """

    gain: np.ndarray
    answered: np.ndarray
    control: np.ndarray
    lead: np.ndarray | None = None
    evidence: Mapping[str, np.ndarray] = field(default_factory=dict)


def n_compared(n_reference: int) -> int:
    """Return how many right images are tried with an image that is named, to find why it is wrong.

    >>> n_compared(9), n_compared(100), n_compared(2001)
    (9, 90, 603)
    """
    return min(n_reference, NEAREST * n_alike(n_reference))


def usual_bound(values: np.ndarray, gaps: np.ndarray, at: np.ndarray, n: int) -> np.ndarray:
    """Compute the 95th percentile of a trial's value over the right images whose gap is like an error's.

    Of the n images whose |gap| is nearest to |at| (ties by their order), by Weibull's definition: the value
    at place .95 (n + 1) in ascending order, between its neighbours in proportion. One more value of the same
    distribution lies above it with a chance of .05, however few they are.

    Args:
        values, gaps: (m,) float of the right images. at: (k,) float.
    Returns:
        (k,) float64; NaN with fewer than LEAST_ALIKE images.
    Raises:
        ShapeError: values and gaps disagree.
    """
    check_same_length("values", len(values), "gaps", len(gaps))
    bounds = np.full(len(at), np.nan)
    if len(values) < LEAST_ALIKE:
        return bounds
    n, sizes = min(n, len(values)), np.abs(gaps)
    step = max(1, BLOCK // len(values))
    for start in range(0, len(at), step):
        distance = np.abs(sizes[None] - np.abs(at[start : start + step, None]))
        nearest = np.argsort(distance, axis=1, kind="stable")[:, :n]
        bounds[start : start + step] = np.quantile(values[nearest], PERCENTILE, axis=1, method="weibull")
    return bounds


def trial_outcomes(
    trial: Trial, gaps: np.ndarray, is_reference: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Say of each misclassified image whether a trial explains its answer.

    It does where (1) the answer becomes the target, (2) the gain is larger than that of each neutral change,
    and (3) larger than `usual_bound` over the reference, as the lead over others of its kind is.

    Args:
        gaps: (n_images,) g < 0. is_reference: (n_images,) bool, the right images that bounds are made of, on
            which the trial was tried. n: how many of them are of like gap.
    Returns:
        the outcome (n_images,) of HOLDS, REFUTED, TOO_FEW (it passes (1) and (2), and fewer than LEAST_ALIKE
        images can be compared with), NOT_TRIED and REFERENCE; the bound of the gain (n_images,), NaN for the
        reference and where there is none.
    """
    tried = np.isfinite(trial.gain)
    of, among = np.flatnonzero(tried & ~is_reference), np.flatnonzero(tried & is_reference)
    bound = np.full(len(gaps), np.nan)
    bound[of] = usual_bound(trial.gain[among], gaps[among], gaps[of], n)
    passes = tried & trial.answered & (trial.gain > trial.control)
    above = trial.gain > bound
    if trial.lead is not None:
        leads = np.full(len(gaps), np.nan)
        leads[of] = usual_bound(trial.lead[among], gaps[among], gaps[of], n)
        above &= trial.lead > leads
    outcome_if_passed = np.where(np.isnan(bound), TOO_FEW, np.where(above, HOLDS, REFUTED))
    outcome = np.where(passes, outcome_if_passed, REFUTED).astype(object)
    outcome[~tried] = NOT_TRIED
    outcome[is_reference] = REFERENCE
    return outcome, bound
