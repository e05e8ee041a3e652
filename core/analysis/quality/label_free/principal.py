"""Scores of an image's place among the principal components of the train images (docs/method.md 2.7)."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from core.common.dataframes import check_same_length, safe_divide
from core.common.statistics.covariance import Covariance

SHARE = 0.9  # of the train variance that the kept components explain
WHITENED = 9  # leading components of the whitened norm
ROUNDING = 1e-12  # components with less of the total variance are rounding


@dataclass(frozen=True)
class Principal:
    """Mean of the rows, their variance along each principal axis (descending), and the axes.

    Attributes:
        mean: (n_features,) float64. variance: (k,) float64, above rounding. axes: (n_features, k) float64,
            orthonormal columns.
    """

    mean: np.ndarray
    variance: np.ndarray
    axes: np.ndarray

    def coordinates(self, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Centred rows (n, n_features), and their coordinates on the first k axes (n, k), float64."""
        check_same_length("row columns", rows.shape[1], "train features", len(self.mean))
        centred = rows.astype(np.float64) - self.mean
        return centred, centred @ self.axes[:, :k]


def axes_of_covariance(covariance: Covariance) -> Principal:
    """Decompose a covariance; components that are rounding are left out."""
    n_features = len(covariance.mean)
    if covariance.n < 2 or not np.trace(covariance.scatter) > 0:
        return Principal(covariance.mean, np.empty(0), np.empty((n_features, 0)))
    variance, axes = eigh(covariance.matrix, overwrite_a=True, driver="evd")
    variance, axes = variance[::-1], axes[:, ::-1]
    real = variance > ROUNDING * variance.sum()
    return Principal(covariance.mean, variance[real], axes[:, real])


def components_for(variance: np.ndarray, share: float = SHARE) -> int:
    """Smallest number of leading components that explain at least `share` of the variance; 0 without any.

    >>> components_for(np.array([6.0, 3.0, 0.5, 0.5]))
    2
    """
    if not len(variance):
        return 0
    explained = np.cumsum(variance) / variance.sum()
    return int(np.searchsorted(explained, share - 1e-12) + 1)  # rounding decides nothing


def pca_residual(h: np.ndarray, train: Principal, *, share: float = SHARE) -> np.ndarray:
    """Share of an image's deviation from the train mean that lies outside the leading components.

    1 - sum_{c <= k} ((h_i - m) v_c)^2 / ||h_i - m||^2,  k = `components_for(share)`

    Args:
        h: (n_images, n_features) float, L2-normalised rows. train: of the normalised train rows.
    Returns:
        (n_images,) float64 in [0, 1]; NaN for the mean itself, and if nothing varies on train.
    """
    k = components_for(train.variance, share)
    if not k:
        return np.full(len(h), np.nan)
    centred, inside = train.coordinates(h, k)
    explained = safe_divide(np.square(inside).sum(1), np.square(centred).sum(1))
    return 1.0 - np.minimum(explained, 1.0)


def whitened_norm(h: np.ndarray, train: Principal, *, k: int = WHITENED) -> np.ndarray:
    """Norm of an image in the first k principal components, each scaled to variance 1 on train.

    sqrt(sum_{c <= k} ((h_i - m) v_c)^2 / lambda_c)

    Returns:
        (n_images,) float64 >= 0; fewer components where fewer vary, NaN if none does.
    """
    k = min(k, len(train.variance))
    if not k:
        return np.full(len(h), np.nan)
    _, inside = train.coordinates(h, k)
    return np.sqrt((np.square(inside) / train.variance[:k]).sum(1))
