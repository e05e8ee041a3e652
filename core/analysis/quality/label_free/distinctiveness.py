"""How far an image stands out from the average train image: scores without labels (docs/method.md 2.7).

Standard scores z_ij = (h_ij - m_j) / s_j of the features with s_j > LEAST_STD; m and s over the train images,
ddof 0. Undefined (NaN) where no feature varies.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from core.analysis.features.rows import ChunkRows
from core.analysis.quality.kernels import score_deviations
from core.common.dataframes import LEAST_NORM, safe_divide
from core.common.statistics.moments import Moments
from core.common.threads import map_in_order
from core.storage.chunked_array import ChunkedArray
from core.store import Study

LEAST_STD = 1e-12  # a feature that varies less over the train images is left out
BEYOND = 1.0  # standard deviations from which soft Q counts
NAMES = ("distinctiveness", "raw_distinctiveness", "soft_q")


def deviation_scores(study: Study, *, threshold: float = BEYOND) -> dict[str, np.ndarray]:
    """Compute the three scores (n_images,) float64 from the moments over the train images.

    Several threads and processes read a chunk each; a row's scores depend on no other row. They have the
    digits of float32, as the rows have.
    """
    array, table = study.array("representations"), study.table("features", ["mean", "std"])
    inverse, shift = scaling(*(table[name].to_numpy(np.float64) for name in ("mean", "std")))
    raw_inverse, raw_shift = scaling(*raw_moments(study, array))
    norm = study.table("row_stats", ["norm"])["norm"].to_numpy(np.float32)
    scale = np.float32(1.0) / np.maximum(norm, np.float32(LEAST_NORM))

    moments = (inverse, shift, raw_inverse, raw_shift)
    deviations = partial(_deviations, array, moments, np.float32(threshold))
    parts = map_in_order(deviations, array.by_chunk(scale))
    sums = np.concatenate([np.empty((3, 0)), *parts], 1)
    n_varying, n_raw = np.count_nonzero(inverse), np.count_nonzero(raw_inverse)
    means = (safe_divide(part, n) for part, n in zip(sums, (n_varying, n_raw, n_varying), strict=True))
    return dict(zip(NAMES, means, strict=True))


def _deviations(
    array: ChunkedArray, moments: Sequence[np.ndarray], threshold: np.float32, chunk: int, scale: np.ndarray
) -> np.ndarray:
    scores = np.empty((3, len(scale)))
    for here, x in ChunkRows.of_chunk(array, chunk).blocks():
        score_deviations(x, scale[here], *moments, threshold, scores[:, here])
    return scores


def raw_moments(study: Study, array: ChunkedArray) -> np.ndarray:
    """(2, n_features) float64: mean and standard deviation of raw features on train images, maybe stored."""
    if study.has("raw_moments"):
        return study.vector("raw_moments")
    moments = Moments.empty(array.shape[1])
    for start, chunk in array.chunks():
        in_train = ~study.is_val[start : start + len(chunk)]
        moments = moments.merge(Moments.of_rows(np.asarray(chunk[in_train])))
    return np.stack([moments.mean, moments.std])


def scaling(mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 / std and mean / std in float32; 0 and 0 for a feature without spread, which so adds nothing."""
    varies = std > LEAST_STD
    inverse = np.where(varies, 1.0 / np.where(varies, std, 1.0), 0.0)
    return inverse.astype(np.float32), (mean * inverse).astype(np.float32)
