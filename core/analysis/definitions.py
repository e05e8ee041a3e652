"""Definitions: firing features, their activation rates, and D (Kalibhat et al. 2024, "Q")."""

import numpy as np
import torch
from torch import Tensor

from core.analysis.tensors import TIE, as_tensor, check_matrix, row_moments
from core.common.dataframes import LEAST_NORM, safe_divide
from core.errors import NoDiscriminativeFeatures, SettingsError

LOWER, MIDDLE, UPPER = "lower", "middle", "upper"
Array = Tensor | np.ndarray


def normalise_rows(raw: Array) -> Tensor:
    """Scale representations to unit length: h_i = raw_i / max(||raw_i||, 1e-12); a zero row stays zero.

    Args:
        raw: (n_images, n_features) float.
    Returns:
        same shape and dtype, differentiable.
    """
    raw = as_tensor(raw)
    check_matrix("raw", raw)
    norm = torch.linalg.vector_norm(raw.double(), dim=1, keepdim=True)
    return (raw / norm.clamp(min=LEAST_NORM)).to(raw.dtype)


def highly_activating(h: Array, *, epsilon: float = 4.0) -> Tensor:
    """Find the features that fire on each image, epsilon standard deviations above its mean.

    L_i = {j : h_ij > mu_i + eps sigma_i}, mu_i and sigma_i the mean and population standard deviation of
    row i (Kalibhat 2024, section 3). Invariant to the scale of a row, so raw rows give the same sets.

    Args:
        h: (n_images, n_features) float.
        epsilon: firing threshold in standard deviations.
    Returns:
        (n_images, n_features) bool. A flat row (sigma 0) fires nothing, and neither does a value within
        1e-12 (relative) of its threshold: it equals the threshold up to rounding.
    """
    h = as_tensor(h).detach()
    check_matrix("h", h)
    mean, std = row_moments(h)
    return h.double() - mean > epsilon * std + TIE * (mean.abs() + std)


def percentile_bounds(rate: Array, *, low: float = 50.0, high: float = 95.0) -> tuple[float, float]:
    """P_low and P_high of the features' activation rates, linear-interpolated, in percent, for D.

    Raises:
        SettingsError: not 0 <= low <= high <= 100.
    """
    if not 0 <= low <= high <= 100:
        raise SettingsError(f"percentiles {low:g} and {high:g}: expected 0 <= low <= high <= 100")
    bounds = np.percentile(as_tensor(rate).detach().cpu().numpy().astype(np.float64), [low, high])
    return float(bounds[0]), float(bounds[1])


def within_percentiles(rate: Array, *, low: float = 50.0, high: float = 95.0) -> Tensor:
    """(n_features,) bool by firing rates: P_low(A) <= A_j <= P_high(A), ties included, even silent ones."""
    rate = as_tensor(rate).double()
    bottom, top = percentile_bounds(rate, low=low, high=high)
    return (rate >= bottom) & (rate <= top)


def discriminative_features(rate: Array, *, low: float = 50.0, high: float = 95.0) -> Tensor:
    """Find the discriminative features D: those that fire neither rarely nor on most images.

    D = {j : P_low(A) <= A_j <= P_high(A), A_j > 0}
    (Kalibhat 2024, section 3; the condition A_j > 0 is added here)

    Args:
        rate: (n_features,) activation rates A_j in percent.
        low, high: percentiles, ties included.
    Returns:
        (n_features,) bool, at least one True.
    Raises:
        NoDiscriminativeFeatures: D is empty.
    """
    discriminative = within_percentiles(rate, low=low, high=high) & (as_tensor(rate) > 0)
    if not bool(discriminative.any()):
        n_active = int((as_tensor(rate) > 0).sum())
        raise NoDiscriminativeFeatures(
            f"none of {len(discriminative)} features is discriminative: {n_active} ever fire, "
            f"and none of them lies between the {low:g}th and {high:g}th percentile of the activation rate. "
            "Try a smaller --epsilon (auto picks one)"
        )
    return discriminative


def tails(rate: Array, *, low: float = 50.0, high: float = 95.0) -> np.ndarray:
    """Classify each feature in the step `features` by its rate: `lower` (rare), `middle`, `upper` (general).

    Classify each feature as `lower` (rare, image-specific), `middle` or `upper` (general).

    Returns:
        (n_features,) object array of str; a feature that never fires is `lower`.
    """
    bottom, top = percentile_bounds(rate, low=low, high=high)
    values = as_tensor(rate).detach().cpu().numpy()
    names = np.where(values > top, UPPER, np.where(values < bottom, LOWER, MIDDLE))
    return np.where(values > 0, names, LOWER).astype(object)


def class_purity(counts: Array) -> tuple[np.ndarray, np.ndarray]:
    """Measure in the step `features` how much each feature belongs to a single class (docs/method.md 1.4).

    purity_j = max_c n_jc / sum_c n_jc, n_jc = images of class c on which feature j fires

    Args:
        counts: (n_features, n_classes) firing counts on the train split.
    Returns:
        purity (n_features,) float64 in (0, 1], NaN if the feature never fires, and the most common class
        (n_features,) int64 (the first on ties), -1 if it never fires or there are no classes.
    """
    counts = as_tensor(counts).cpu().numpy()
    check_matrix("counts", counts)
    if not counts.shape[1]:
        return np.full(len(counts), np.nan), np.full(len(counts), -1)
    total = counts.sum(1)
    return safe_divide(counts.max(1), total), np.where(total > 0, counts.argmax(1), -1)
