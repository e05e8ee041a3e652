"""Which images repeat another one, and which evaluation images have a copy among the train images.

Read of the table `pictures` (docs/method.md 1.8). Near duplicates include exact ones.
"""

import numpy as np
import pandas as pd

from core.reader import StudyReader

DUPLICATE, NEAR_DUPLICATE, LEAK = REPEATS = ("duplicate", "near_duplicate", "leak")
NONE = -1


def repetition(study: StudyReader, column: str) -> np.ndarray:
    """(n_images,) bool: of DUPLICATE and NEAR_DUPLICATE, images that repeat an earlier one; of LEAK,
    evaluation images of which train has an exact or near duplicate."""
    if column == LEAK:
        return leaks(first_of_family(study), study.is_val)
    return _repeated(study, column).notna().to_numpy()


def _repeated(study: StudyReader, column: str) -> pd.Series:
    """(n_images,) the image that each one repeats. The study does not keep it: only what follows is asked for
    again, and is smaller."""
    name = f"{column}_of"
    return study.table("pictures", [name])[name]


def leaks(family: np.ndarray, is_val: np.ndarray) -> np.ndarray:
    """(n_images,) bool: evaluation images whose family has a train image.

    Args:
        family: (n_images,) as `first_of_family`.
    """
    has_train = np.zeros(len(family), bool)
    has_train[family[~is_val]] = True
    return is_val & has_train[family]


def first_of_family(study: StudyReader) -> np.ndarray:
    """(n_images,) int64: the first image of the set of near duplicates that an image is in; an image that is
    like no other is its own.

    An image is in the set of the image that it repeats, which may itself repeat another one.
    """
    first = np.arange(study.n_images)
    repeated = _repeated(study, NEAR_DUPLICATE)
    rows = np.flatnonzero(repeated.notna().to_numpy())
    names = repeated.iloc[rows]
    row_of = study.rows_held(names.unique().tolist())
    first[rows] = [row_of[name] for name in names]
    while (further := first[first] != first).any():
        first[further] = first[first[further]]
    return first


def leaked_pairs(study: StudyReader) -> np.ndarray:
    """(n, 2) rows of evaluation images with a duplicate in train, and of the first such train image."""
    family = first_of_family(study)
    val = np.flatnonzero(leaks(family, study.is_val))
    train = np.flatnonzero(~study.is_val)
    first_train = np.full(study.n_images, NONE)
    first_train[family[train][::-1]] = train[::-1]
    return np.column_stack([val, first_train[family[val]]])
