"""The table `principal_scores`: scores from principal components of the train images (docs/method.md 2.7)."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.quality.label_free.principal import (
    SHARE,
    Principal,
    RandomFeatures,
    axes_of_covariance,
    components_for,
    kpca_error,
    pca_residual,
    whitened_norm,
)
from core.common.dataframes import unit_rows
from core.common.statistics.covariance import Covariance
from core.jobs.progress import Bar
from core.storage.chunked_array import ChunkedArray
from core.storage.writer import StepWriter
from core.store import Study

MOST_FEATURES = 4096  # beyond, a covariance no longer fits in little memory
MOST_RANDOM = 1024  # random features of the kernel


def write_principal_scores(
    study: Study, step: StepWriter, against: np.ndarray, *, seed: int, bar: Bar
) -> dict[str, Any]:
    """Write the table `principal_scores`: image_id, pca_residual, whitened_norm of all images, kpca_error of
    the evaluation images (NaN on train). Reads the rows twice, and the evaluation rows once more.

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
    covariance = train_covariance(array, in_train, bar)
    axes = axes_of_covariance(covariance)
    kernel = _kernel(covariance, seed)
    of_kernel, scores = Covariance.empty(len(kernel.phases)), []
    for chunk, in_train_here in array.by_chunk(in_train):
        of_chunk, *here = _scores(array, axes, kernel, chunk, in_train_here)
        of_kernel = of_kernel.merge(of_chunk)
        scores.append(here)
        bar.update(1)
    residual, whitened = map(np.concatenate, zip(*scores, strict=True))
    errors = partial(_kernel_errors, array, kernel, axes_of_covariance(of_kernel))
    table = {
        "image_id": study.images["image_id"],
        "pca_residual": residual,
        "whitened_norm": whitened,
        "kpca_error": np.concatenate([errors(*chunk) for chunk in array.by_chunk(study.is_val)]),
    }
    step.table("principal_scores", pd.DataFrame(table))
    return {"n_components": components_for(axes.variance, SHARE), "component_share": SHARE}


def train_covariance(array: ChunkedArray, in_train: np.ndarray, bar: Bar) -> Covariance:
    """Covariance of the normalised rows of a mask, in one pass; holds few chunks and matrices."""
    covariance = Covariance.empty(array.shape[1])
    for chunk, mask in array.by_chunk(in_train):
        covariance = covariance.merge(_covariance(array, chunk, mask))
        bar.update(1)
    return covariance


def _covariance(array: ChunkedArray, chunk: int, mask: np.ndarray) -> Covariance:
    return Covariance.of_rows(unit_rows(np.asarray(array.chunk(chunk)))[mask])


def _scores(
    array: ChunkedArray, axes: Principal, kernel: RandomFeatures, chunk: int, in_train: np.ndarray
) -> tuple[Covariance, np.ndarray, np.ndarray]:
    h = unit_rows(np.asarray(array.chunk(chunk)))
    return Covariance.of_rows(kernel.of(h[in_train])), pca_residual(h, axes), whitened_norm(h, axes)


def _kernel(covariance: Covariance, seed: int) -> RandomFeatures:
    """Draw the features of the kernel whose width is the mean squared distance of two train images.

    E ||a - b||^2 = 2 tr(covariance), gamma = 1 / E ||a - b||^2
    """
    n_features, spread = len(covariance.mean), 2.0 * float(np.trace(covariance.matrix))
    gamma = 1.0 / spread if spread > 0 else 1.0
    return RandomFeatures.draw(n_features, min(2 * n_features, MOST_RANDOM), gamma=gamma, seed=seed)


def _kernel_errors(
    array: ChunkedArray, kernel: RandomFeatures, axes: Principal, chunk: int, is_val: np.ndarray
) -> np.ndarray:
    scores = np.full(len(is_val), np.nan)
    if is_val.any():
        scores[is_val] = kpca_error(kernel.of(unit_rows(np.asarray(array.chunk(chunk)[is_val]))), axes)
    return scores
