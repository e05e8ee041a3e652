"""Images nearest to an embedding that is moved as implicit feature modification moves it. No torch."""

import numpy as np

from core.errors import StudyError
from core.research.changed_inputs.analysis.moved import POSITIVE, VECTORS, VIEWS, moved
from core.search.search import most_alike
from core.store import Study


def has_moved(study: Study) -> bool:
    """Return True when the command `perturbed` has stored what `near_moved` reads."""
    return study.has(VECTORS) and study.has(VIEWS)


def partner_of(row: int, n: int) -> int:
    """Another image for an image, always the same one.

    >>> partner_of(3, 10) != 3, partner_of(3, 10) == partner_of(3, 10)
    (True, True)
    """
    return int((row + np.random.default_rng([17, row]).integers(1, n)) % n)


def near_moved(study: Study, row: int, k: int, *, epsilon: float, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Find the images nearest to a point that is moved against or towards a view v of an image.

    Args:
        row: the image whose random view is v. epsilon: size of the move, >= 0.
        kind: "positive" moves the image itself, v+ - epsilon v; "negative" its `partner_of`, v- + epsilon v.
    Returns:
        rows (m,) int64 and cosines (m,) float32, descending; the point's own image may be among them.
    Raises:
        StudyError: the command `perturbed` has not been run. SettingsError: epsilon below 0. ShapeError: the
        move leads to a point without direction.
    """
    if (missing := study.why_missing(VECTORS)) is not None:
        raise StudyError(f"'{study.path}': the command '{missing.step}' is {missing}")
    vectors, views = study.array(VECTORS), study.array(VIEWS)
    start = row if kind == POSITIVE else partner_of(row, len(vectors))
    query = moved(vectors.rows([start]), views.rows([row]), epsilon=epsilon, kind=kind)[0]
    return most_alike(vectors, query, k)
