"""The images of a population on which each feature is largest."""

import numpy as np

from core.common.dataframes import unit_rows
from core.storage.chunked_array import ChunkedArray

MOST_TOP = 64  # images of a feature, as the step `features` stores


def top_images(array: ChunkedArray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the images of a mask on which each feature is largest, best first, and the values of h.

    Args:
        array: (n_images, n_features) raw representations. mask: (n_images,) bool.
    Returns:
        (n_features, 64) int64, -1 where the mask holds fewer images, and float64, NaN there.
    """
    rows = np.full((0, array.shape[1]), -1)
    values = np.empty((0, array.shape[1]))
    for number in range(array.n_chunks):
        start = array.chunk_start(number)
        inside = np.flatnonzero(mask[start : array.chunk_start(number + 1)])
        if not len(inside):
            continue
        h = unit_rows(array.chunk(number)[inside])
        values = np.concatenate([values, h])
        rows = np.concatenate([rows, np.broadcast_to((start + inside)[:, None], h.shape)])
        order = np.argsort(-values, axis=0, kind="stable")[:MOST_TOP]  # ties in the order of the images
        rows, values = (np.take_along_axis(part, order, axis=0) for part in (rows, values))
    missing = ((0, MOST_TOP - len(rows)), (0, 0))
    return np.pad(rows, missing, constant_values=-1).T, np.pad(values, missing, constant_values=np.nan).T
