"""Which images are one unit of data: of one patient or sequence, or copies of one picture. No torch."""

import numpy as np
import pandas as pd

from core.common.picture_names import DUPLICATE_OF, NEAR_DUPLICATE_OF
from core.reader import StudyReader


def unit_codes(study: StudyReader) -> np.ndarray:
    """Number the units of a study: images of one group, and those that repeat each other, are one.

    Groups are those of `StudyReader.groups`; exact and near duplicates are those of the table `pictures`,
    where the study holds it. Images that a chain of these joins are one unit, too.

    Returns:
        (n_images,) int32, from 0, in order of first appearance.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = study.n_images
    pairs = [pair for pair in (_of_groups(study), *_of_copies(study)) if len(pair[0])]
    ends = np.concatenate(pairs, 1) if pairs else np.empty((2, 0), np.int64)
    edges = np.ones(ends.shape[1], bool)
    graph = coo_array((edges, (ends[0], ends[1])), shape=(n, n))
    components = connected_components(graph, directed=False)[1]
    return pd.factorize(components)[0].astype(np.int32)


def _of_groups(study: StudyReader) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows: each image with the first one of its group."""
    rows = np.arange(study.n_images)
    if study.groups is None:
        return rows[:0], rows[:0]
    first, codes = np.unique(study.groups, return_index=True, return_inverse=True)[1:]
    return rows, first[codes]


def _of_copies(study: StudyReader) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows: each image with the one that it repeats."""
    if not study.has("pictures"):
        return []
    rows_of = pd.Index(study.column("images", "image_id"))
    pairs = []
    for column in (DUPLICATE_OF, NEAR_DUPLICATE_OF):
        if column in study.columns("pictures"):
            rows = rows_of.get_indexer(pd.Index(study.column("pictures", column).to_numpy(object)))
            pairs.append((np.flatnonzero(rows >= 0), rows[rows >= 0]))
    return pairs
