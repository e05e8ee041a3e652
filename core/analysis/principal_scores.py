"""Scores of an image's place among the principal components of the train images (docs/method.md 2.7)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk  # pyright: ignore[reportAttributeAccessIssue]  (compiled)

from core.common.dataframes import check_same_length, safe_divide, unit_rows
from core.common.moments import BLOCK_ROWS
from core.store import Study
from core.study.chunked_array import ChunkedArray
from core.study.progress import Bar
from core.study.writer import StepWriter

# Mean and covariance of columns, joined from parts of the rows.


@dataclass(frozen=True)
class Covariance:
    """Count, mean and scatter matrix of the columns; merging is exact (Chan et al. 1979)."""

    n: int
    mean: np.ndarray  # (n_features,) float64
    scatter: np.ndarray  # (n_features, n_features) float64, sum of outer products of centred rows

    @classmethod
    def empty(cls, n_features: int) -> "Covariance":
        return cls(0, np.zeros(n_features), np.zeros((n_features, n_features)))

    @classmethod
    def of_rows(cls, rows: np.ndarray) -> "Covariance":
        """Compute mean and scatter of `rows` (n, n_features), in one pass around the mean of the first."""
        if not len(rows):
            return cls.empty(rows.shape[1])
        near, n_features = rows[:BLOCK_ROWS].mean(0, dtype=np.float64), rows.shape[1]
        sums, upper = np.zeros(n_features), np.zeros((n_features, n_features), order="F")
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS] - near
            sums += block.sum(0)
            upper = dsyrk(1.0, block.T, beta=1.0, c=upper, overwrite_c=True)
        gap = sums / len(rows)
        upper = dsyrk(-len(rows), gap[:, None], beta=1.0, c=upper, overwrite_c=True)
        return cls(len(rows), near + gap, upper + np.triu(upper, 1).T)

    def merge(self, other: "Covariance") -> "Covariance":
        """Combine two sets of rows. Overwrites the scatter of `other`, so that no third matrix is held."""
        n = self.n + other.n
        if not n:
            return self
        gap = other.mean - self.mean
        scatter = other.scatter
        scatter += self.scatter
        scatter += np.outer(gap, gap * (self.n * other.n / n))
        return Covariance(n, self.mean + gap * (other.n / n), scatter)

    @property
    def matrix(self) -> np.ndarray:
        """Population covariance (ddof 0); NaN without rows."""
        return self.scatter / self.n if self.n else np.full_like(self.scatter, np.nan)


# Scores of an image's place among the principal components of the train images (docs/method.md 2.7).


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
    """Decompose the covariance of representations for scores; components that are rounding are left out."""
    n_features = len(covariance.mean)
    if covariance.n < 2 or not np.trace(covariance.scatter) > 0:
        return Principal(covariance.mean, np.empty(0), np.empty((n_features, 0)))
    variance, axes = eigh(covariance.matrix, overwrite_a=True, driver="evd")
    variance, axes = variance[::-1], axes[:, ::-1]
    real = variance > ROUNDING * variance.sum()
    return Principal(covariance.mean, variance[real], axes[:, real])


def components_for(variance: np.ndarray, share: float = SHARE) -> int:
    """Smallest number of leading components that explain `share` of representations' variance; 0 without.

    >>> components_for(np.array([6.0, 3.0, 0.5, 0.5]))
    2
    """
    if not len(variance):
        return 0
    explained = np.cumsum(variance) / variance.sum()
    return int(np.searchsorted(explained, share - 1e-12) + 1)  # rounding decides nothing


def pca_residual(h: np.ndarray, train: Principal, *, share: float = SHARE) -> np.ndarray:
    """Score of an image: share of its deviation from the train mean outside the leading components.

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
    """Score of representations: the norm in the first k principal components, each of variance 1 on train.

    sqrt(sum_{c <= k} ((h_i - m) v_c)^2 / lambda_c)

    Returns:
        (n_images,) float64 >= 0; fewer components where fewer vary, NaN if none does.
    """
    k = min(k, len(train.variance))
    if not k:
        return np.full(len(h), np.nan)
    _, inside = train.coordinates(h, k)
    return np.sqrt((np.square(inside) / train.variance[:k]).sum(1))


# The table `principal_scores`: scores from principal components of the train images (docs/method.md 2.7).


MOST_FEATURES = 4096  # beyond, a covariance no longer fits in little memory


def write_principal_scores(
    study: Study, step: StepWriter, against: np.ndarray, *, bar: Bar
) -> dict[str, Any]:
    """Write the table `principal_scores`: image_id, pca_residual, whitened_norm of all images. Reads the rows
    twice.

    Args:
        against: train rows whose components are taken.
    Returns:
        for the summary: number of components, or why there are none.
    """
    array = study.array("representations")
    if array.shape[1] > MOST_FEATURES:
        return {"no_components": f"more than {MOST_FEATURES:,} features"}
    if len(against) < 2:
        return {"no_components": "fewer than two train images"}
    in_train = np.zeros(len(array), bool)
    in_train[against] = True
    covariance = _train_covariance(array, in_train, bar)
    axes = axes_of_covariance(covariance)
    scores = []
    for chunk in range(array.n_chunks):
        scores.append(_scores(array, axes, chunk))
        bar.update(1)
    residual, whitened = map(np.concatenate, zip(*scores, strict=True))
    columns = {"image_id": study.images["image_id"], "pca_residual": residual, "whitened_norm": whitened}
    step.table("principal_scores", pd.DataFrame(columns))
    return {"n_components": components_for(axes.variance, SHARE), "component_share": SHARE}


def _train_covariance(array: ChunkedArray, in_train: np.ndarray, bar: Bar) -> Covariance:
    """Covariance of the normalised representations of a mask, in one pass, for scores."""
    covariance = Covariance.empty(array.shape[1])
    for chunk, mask in array.by_chunk(in_train):
        covariance = covariance.merge(_covariance(array, chunk, mask))
        bar.update(1)
    return covariance


def _covariance(array: ChunkedArray, chunk: int, mask: np.ndarray) -> Covariance:
    return Covariance.of_rows(unit_rows(np.asarray(array.chunk(chunk)))[mask])


def _scores(array: ChunkedArray, axes: Principal, chunk: int) -> tuple[np.ndarray, np.ndarray]:
    h = unit_rows(np.asarray(array.chunk(chunk)))
    return pca_residual(h, axes), whitened_norm(h, axes)
