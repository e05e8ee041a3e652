"""Detectors of other papers as predictors of errors, on stored vectors; higher = better (docs/method.md 2.2).

All of them use labels, through the probe or by themselves.
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh
from scipy.special import softmax

from core.common.dataframes import check_same_length, safe_divide

ROUNDING = 1e-12  # eigenvalues with less of the sum are rounding


def gen(logits: np.ndarray, *, gamma: float = 0.1, top: int = 100) -> np.ndarray:
    """Generalised entropy, negated (Liu, Lochman and Zach, CVPR 2023).

    - sum over the `top` largest probabilities of p^gamma (1 - p)^gamma

    Args:
        logits: (n_images, n_classes) of the probe.
    Returns:
        (n_images,) float64 <= 0.
    """
    p = np.sort(softmax(np.asarray(logits, np.float64), 1), 1)[:, ::-1]
    others = 1.0 - p
    others[:, 0] = p[:, 1:].sum(1)  # near certainty, 1 - p has no digits left
    return -((p * np.maximum(others, 0.0))[:, :top] ** gamma).sum(1)


def fdbd(logits: np.ndarray, weights: np.ndarray, raw: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Mean distance to the decision boundaries, relative to the distance from the train mean (Liu and Qin,
    ICML 2024).

    1 / (C - 1) sum_{c != f} (z_f - z_c) / ||w_f - w_c||, divided by ||raw_i - mean||
    (f is the predicted class)

    Args:
        logits: (n_images, n_classes). weights: (n_classes, n_features) of the probe. raw: (n_images,
        n_features). mean: (n_features,) of the raw train rows.
    Returns:
        (n_images,) float64 >= 0; NaN for the mean itself; classes with equal weights are left out.
    """
    check_same_length("raw rows", len(raw), "logits", len(logits))
    z, w = np.asarray(logits, np.float64), np.asarray(weights, np.float64)
    square = np.square(w).sum(1)
    apart = np.sqrt(np.maximum(square[:, None] + square - 2.0 * (w @ w.T), 0.0))  # (classes, classes)
    first = z.argmax(1)
    distance = safe_divide(z.max(1, keepdims=True) - z, apart[first])  # NaN for the class itself
    is_defined = np.isfinite(distance) & (np.arange(z.shape[1]) != first[:, None])
    boundary = safe_divide(np.where(is_defined, distance, 0.0).sum(1), is_defined.sum(1))
    return safe_divide(boundary, np.linalg.norm(np.asarray(raw, np.float64) - mean, axis=1))


def nnguide(energy: np.ndarray, guidance: np.ndarray) -> np.ndarray:
    """Energy guided by train images that are near and of high energy (Park, Jung and Teoh, ICCV 2023).

    E_i (1 / k) sum over the k train images t with the largest E_t cos(h_i, h_t) of E_t cos(h_i, h_t)

    Args:
        energy: (n_images,) log-sum-exp of the probe's logits. guidance: (n_images, k) these k products.
    Returns:
        (n_images,) float64; NaN where there are fewer than k train images.
    """
    check_same_length("energies", len(energy), "guidance", len(guidance))
    return np.asarray(energy, np.float64) * np.asarray(guidance, np.float64).mean(1)


def she(raw: np.ndarray, predicted: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Simplified Hopfield energy: inner product with the pattern of the predicted class (Zhang et al., ICLR
    2023).

    Args:
        raw: (n_images, n_features). predicted: (n_images,) class codes. patterns: (n_classes, n_features)
        mean raw row of each class over its correctly classified train images; NaN without any.
    Returns:
        (n_images,) float64; NaN for a class without a pattern.
    """
    check_same_length("raw rows", len(raw), "predictions", len(predicted))
    return np.einsum("ij,ij->i", np.asarray(raw, np.float64), patterns[predicted])


OF_LOGITS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"gen": gen}  # scores that need nothing else


def vim_origin(weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The point whose logits are as near to 0 as they can be, o = - pinv(W) b, (n_features,) float64."""
    return -np.linalg.pinv(np.asarray(weights, np.float64)) @ np.asarray(bias, np.float64)


def outside_axes(second: np.ndarray, *, kept: int) -> np.ndarray:
    """All but the `kept` leading eigenvectors of X^T X, (n_features, n_features - kept) float64.

    Where X spans fewer directions, all but those: the order of the others is rounding.

    Args:
        second: (n_features, n_features) X^T X or a multiple of it, X = raw train rows - `vim_origin`.
    """
    values, axes = eigh(second)  # ascending
    spanned = int(np.count_nonzero(values > ROUNDING * values.sum()))
    return axes[:, : len(second) - min(kept, spanned)]


def vim_residual(raw: np.ndarray, origin: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Norm outside the principal subspace around ViM's origin, negated (Wang et al., CVPR 2022).

    - ||R^T (raw_i - o)||, R = `outside_axes` of the train images, o = `vim_origin`

    Args:
        raw: (n_images, n_features). origin: (n_features,). outside: (n_features, m), orthonormal columns.
    Returns:
        (n_images,) float64 <= 0.
    """
    return -np.linalg.norm((np.asarray(raw, np.float64) - origin) @ outside, axis=1)
