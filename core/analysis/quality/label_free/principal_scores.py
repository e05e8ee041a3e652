"""The table `principal_scores`: scores from principal components of the train images (docs/method.md 2.7)."""

from typing import Any

import numpy as np
import pandas as pd

from core.analysis.quality.label_free.principal import (
    SHARE,
    Principal,
    axes_of_covariance,
    components_for,
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
    covariance = train_covariance(array, in_train, bar)
    axes = axes_of_covariance(covariance)
    scores = []
    for chunk in range(array.n_chunks):
        scores.append(_scores(array, axes, chunk))
        bar.update(1)
    residual, whitened = map(np.concatenate, zip(*scores, strict=True))
    columns = {"image_id": study.images["image_id"], "pca_residual": residual, "whitened_norm": whitened}
    step.table("principal_scores", pd.DataFrame(columns))
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


def _scores(array: ChunkedArray, axes: Principal, chunk: int) -> tuple[np.ndarray, np.ndarray]:
    h = unit_rows(np.asarray(array.chunk(chunk)))
    return pca_residual(h, axes), whitened_norm(h, axes)
