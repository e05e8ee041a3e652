"""Which slices of a ranked list show errors of their own, so that a short list shows a variety."""

from collections.abc import Sequence

import numpy as np

from core.reader import StudyReader
from core.slices.slice import Slice

NEW_SHARE = 0.5


def distinct_slices(study: StudyReader, wrong: np.ndarray, slices: Sequence[Slice]) -> np.ndarray:
    """Mark the slices of a list that show mostly errors of their own (see `distinct`): (n_slices,) bool.

    wrong: (n_images,) bool, the misclassified images.
    """
    return distinct([np.flatnonzero(where.mask(study) & wrong) for where in slices])


def distinct(errors: Sequence[np.ndarray], *, share: float = NEW_SHARE) -> np.ndarray:
    """Mark the slices whose errors are mostly their own: (n_slices,) bool.

    Slice s is marked when |E_s \\ U_s| >= share * |E_s| and E_s is not empty, with E_s its misclassified
    images and U_s those of all marked slices before it. So the first slice with errors is always marked.

    Args:
        errors: rows of the misclassified images of each slice, in the order of the list.
        share: of a slice's errors that no marked slice before it may hold, in [0, 1].
    """
    is_shown = np.zeros(1 + max((int(rows.max()) for rows in errors if rows.size), default=0), bool)
    marked = np.zeros(len(errors), bool)
    for at, rows in enumerate(errors):
        if rows.size and np.count_nonzero(~is_shown[rows]) >= share * rows.size:
            marked[at] = True
            is_shown[rows] = True
    return marked


def varied(wrong: np.ndarray, right: np.ndarray, taken: set[int], n: int) -> list[int]:
    """Choose `n` images of a slice: misclassified ones first, and of these the ones not taken yet.

    Args:
        wrong, right: rows of its misclassified and of its other images, in the order wanted.
        taken: rows that stand elsewhere already.
    """
    new = [row for row in wrong.tolist() if row not in taken]
    old = [row for row in wrong.tolist() if row in taken]
    return [*new, *old, *right.tolist()][:n]
