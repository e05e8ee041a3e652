"""Retrieval: share of nearest images of the same class (Kalibhat's dissertation, Fig. 5.4). No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.common.dataframes import check_same_length, known_mean, unit_rows
from core.errors import SettingsError, ShapeError

KS = (1, 4)
AT_ONCE = 1 << 24  # similarities held at a time


@dataclass(frozen=True)
class Retrieval:
    """How well each image finds others of its group among all others.

    Attributes:
        precision: {k: (n,) share of the k nearest images that are of its group}. average_precision: (n,).
            Both are NaN for an image without a group or without any partner in it. n_undefined: how many.
        chance: expected precision of a random order, over the images that count; NaN without any.
    """

    precision: dict[int, np.ndarray]
    average_precision: np.ndarray
    n_undefined: int
    chance: float

    def row(self) -> dict[str, float]:
        """Return precision_K for each k and map: means over the images that count, NaN without any."""
        means = {f"precision_{k}": known_mean(values) for k, values in self.precision.items()}
        return {**means, "map": known_mean(self.average_precision)}


def precision_at_k(raw: np.ndarray, groups: np.ndarray, *, ks: Sequence[int] = KS) -> Retrieval:
    """Rank all other images by cosine for each image, and compare their groups with its own.

    precision_k(i) = |{j among the k nearest: g_j = g_i}| / k
    AP(i) = mean over the ranks r of the images of i's group of (images of i's group up to r) / r

    An image itself is never among its results. Equal cosines: the lower row first. A zero row has cosine 0.

    Args:
        raw: (n, n_features) representations. groups: (n,) int codes of a class, background or style, -1 for
            none; images of group -1 can be found, and are always wrong.
        ks: numbers of results, each below n.
    Raises:
        ShapeError: the two disagree on n. SettingsError: a k that is below 1, or not below n.
    """
    raw, groups = np.asarray(raw, np.float64), np.asarray(groups)
    if raw.ndim != 2:
        raise ShapeError(f"raw has shape {raw.shape}; expected (n_images, n_features)")
    check_same_length("raw rows", len(raw), "groups", len(groups))
    n = len(raw)
    for k in ks:
        if not 1 <= k < n:
            raise SettingsError(f"k = {k} must lie between 1 and {n - 1}: there are {n} images")
    h = unit_rows(raw)
    partners = np.array([(groups == code).sum() - 1 if code >= 0 else 0 for code in groups], np.int64)
    precision = {k: np.full(n, np.nan) for k in ks}
    average = np.full(n, np.nan)
    for start in range(0, n, max(1, AT_ONCE // max(n, 1))):
        rows = np.arange(start, min(start + max(1, AT_ONCE // n), n))
        same = _ranked(h, groups, rows)
        n_matches = same.cumsum(1)
        some = partners[rows] > 0
        for k in ks:
            precision[k][rows[some]] = n_matches[some, k - 1] / k
        ranks = np.arange(1, n)
        gained = (same * (n_matches / ranks)).sum(1)
        average[rows[some]] = gained[some] / partners[rows[some]]
    counted = partners > 0
    chance = float((partners[counted] / (n - 1)).mean()) if counted.any() else float("nan")
    return Retrieval(precision, average, int((~counted).sum()), chance)


def _ranked(h: np.ndarray, groups: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(len(rows), n - 1) bool: whether the nearest, second nearest … other image is of the row's group."""
    cosine = np.round(h[rows] @ h.T, 12)  # rounding must not decide ties
    cosine[np.arange(len(rows)), rows] = -np.inf
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :-1]
    return (groups[order] == groups[rows][:, None]) & (groups[rows] >= 0)[:, None]
