"""Images near an embedding that is moved as implicit feature modification moves it. No torch."""

from collections.abc import Sequence

import numpy as np

from core.common.dataframes import check_same_length, safe_divide
from core.concepts.search import most_alike
from core.errors import SettingsError, StudyError
from core.store import Study

# Images near a perturbed embedding: what implicit feature modification does to meaning (IFM paper, 3.1).
#
# The move that makes a pair hardest takes the positive v+ to v+ - epsilon v, and a negative v- to v- +
# epsilon v, v the anchor. The image nearest to the moved point shows what it has become. numpy only.


POSITIVE, NEGATIVE = "positive", "negative"
SIGNS = {POSITIVE: -1.0, NEGATIVE: 1.0}
VECTORS, VIEWS = "head_vectors", "head_views"  # arrays of a study: each image, and one random view of it
AT_ONCE = 1 << 24  # cosines held at a time


def moved(points: np.ndarray, anchors: np.ndarray, *, epsilon: float, kind: str) -> np.ndarray:
    """Move unit rows against their anchors, as IFM of research does: v+ - epsilon v, or v- + epsilon v.

    Args:
        points, anchors: (n, d) float, unit rows. epsilon: >= 0. kind: "positive" or "negative".
    Returns:
        (n, d) float32, not normalised.
    Raises:
        ShapeError: another number of rows. SettingsError: epsilon below 0 or infinite.
    """
    check_same_length("points", len(points), "anchors", len(anchors))
    check_epsilon(epsilon)
    return (points + SIGNS[kind] * epsilon * anchors).astype(np.float32)


def check_epsilon(epsilon: float) -> None:
    """Raise SettingsError for a move of embeddings (IFM, research) of no size."""
    if not 0 <= epsilon < float("inf"):
        raise SettingsError(f"epsilon {epsilon:g} must be 0 or more")


def perturbed_neighbours(
    points: np.ndarray, anchors: np.ndarray, bank: np.ndarray, *, epsilon: float, kind: str, k: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k rows of a bank with the largest cosine to each moved point (IFM, research), exactly.

    Args:
        points, anchors: (n, d) unit rows. bank: (m, d) unit rows; a zero row has cosine 0.
    Returns:
        positions (n, k) int64 and cosines (n, k) float32, descending; the first row wins a tie. With m < k
        fewer columns. A point that the move takes to 0 has no direction: position -1, cosine NaN.
    """
    query = moved(points, anchors, epsilon=epsilon, kind=kind)
    length = np.linalg.norm(query, axis=1, keepdims=True)
    query = safe_divide(query, np.where(length > 1e-6, length, 0.0)).astype(np.float32)  # NaN without one
    k, step = min(k, len(bank)), max(1, AT_ONCE // max(len(bank), 1))
    where = np.empty((len(query), k), np.int64)
    nearest_cosines = np.empty((len(query), k), np.float32)
    for start in range(0, len(query), step):
        cosines = query[start : start + step] @ bank.T  # (step, m)
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :k] if k > 1 else _largest(cosines)
        where[start : start + step] = order
        nearest_cosines[start : start + step] = np.take_along_axis(cosines, order, axis=1)
    where[~np.isfinite(nearest_cosines)] = -1
    return where, nearest_cosines


def _largest(cosines: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(cosines), -np.inf, cosines).argmax(1)[:, None]


def draw_pairs(rows: np.ndarray, n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw n anchors of `rows`, and another image for each (IFM, research); none twice if there are enough.

    Returns:
        anchors and others, (n,) int64 each; no anchor is its own other.
    Raises:
        SettingsError: fewer than two rows.
    """
    if len(rows) < 2:
        raise SettingsError("a pair needs two images of the train split")
    rng = np.random.default_rng(seed)
    places = rng.choice(len(rows), n, replace=n > len(rows))
    shift = rng.integers(1, len(rows), n)
    return rows[places], rows[(places + shift) % len(rows)]


def kept_share(values: Sequence[object], anchors: np.ndarray, neighbours: np.ndarray) -> tuple[float, int]:
    """Share of neighbours of moved points (research) with the anchor's value of a factor, and of how many.

    Args:
        values: of every image, None or NaN where it has none. neighbours: -1 where there is none.
    """
    given = np.asarray(values, dtype=object)
    is_given = np.array([value is not None and value == value for value in given])
    counted = (neighbours >= 0) & is_given[anchors] & is_given[neighbours]
    if not counted.any():
        return float("nan"), 0
    same = given[anchors[counted]] == given[neighbours[counted]]
    return float(np.mean(same.astype(bool))), int(counted.sum())


# Images nearest to an embedding that is moved as implicit feature modification moves it. No torch.


def has_moved(study: Study) -> bool:
    """Return True when the command `perturbed` has stored what `near_moved` reads (research)."""
    return study.has(VECTORS) and study.has(VIEWS)


def partner_of(row: int, n: int) -> int:
    """Return another image to move an image's embedding by (IFM, research), always the same one.

    >>> partner_of(3, 10) != 3, partner_of(3, 10) == partner_of(3, 10)
    (True, True)
    """
    return int((row + np.random.default_rng([17, row]).integers(1, n)) % n)


def near_moved(study: Study, row: int, k: int, *, epsilon: float, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Find the images nearest to a point that is moved against or towards a view v of an image (research).

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
