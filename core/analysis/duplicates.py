"""Which pictures are the same, pixel by pixel or nearly (docs/method.md 1.8), in bounded memory.

Two pictures are nearly the same where their perceptual hashes differ in at most 4 of 63 bits and the cosine
of their representations is at least .95. Only hashes that share one of four bands of 16 bits are compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.storage.chunked_array import ChunkedArray

MOST_BITS = 4  # in which the hashes of near duplicates differ
LEAST_COSINE = 0.95
BANDS = tuple(range(0, 64, 16))  # first bits
WINDOW = 2048  # hashes of a band that are compared with the one before them, at most
CANDIDATES = 16  # earlier pictures that are compared with a picture, at most
PAIRS_AT_ONCE = 1 << 22
ROWS_AT_ONCE = 1 << 12
NONE = -1


@dataclass(frozen=True)
class Duplicates:
    """Which picture repeats which, by row.

    Attributes:
        exact: (n,) int64, the first picture of the same pixels; -1 where the picture is itself that, or none.
        near: the same of nearly the same pictures, exact duplicates among them.
        n_cut: pictures that were compared with some of their candidates only.
    """

    exact: np.ndarray
    near: np.ndarray
    n_cut: int


def find_duplicates(prints: np.ndarray, has_picture: np.ndarray, representations: ChunkedArray) -> Duplicates:
    """Find exact and near duplicates.

    Args:
        prints: (n, 3) uint64: a checksum of the pixels in two halves, and the perceptual hash.
        has_picture: (n,) bool; the others repeat none. representations: (n, n_features), as they are stored.
    """
    rows = np.flatnonzero(has_picture)
    exact = np.full(len(prints), NONE)
    exact[rows] = _first_of_same(prints[rows, :2], rows)
    firsts = rows[exact[rows] == NONE]
    near = np.full(len(prints), NONE)
    candidates = _Candidates(prints[firsts, 2])
    near[firsts] = _first_alike(candidates, firsts, representations)
    repeats = np.flatnonzero(exact != NONE)
    of_first = near[exact[repeats]]
    near[repeats] = np.where(of_first != NONE, of_first, exact[repeats])
    return Duplicates(exact, near, candidates.n_cut)


def _first_of_same(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n,) the first row of each key, (n, k); -1 for that row itself."""
    _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    first_rows = rows[first][which.ravel()] if len(rows) else rows
    return np.where(first_rows == rows, NONE, first_rows)


class _Candidates:
    """Earlier pictures with a hash close to that of a picture, the first ones first.

    Args:
        hashes: (n,) uint64, in the order of the pictures.
    """

    def __init__(self, hashes: np.ndarray):
        self.unique, first, which = np.unique(hashes, return_index=True, return_inverse=True)
        self._which = which.ravel()
        order = np.argsort(self._which, kind="stable")
        self._members = order
        self._ends = np.searchsorted(self._which[order], np.arange(len(self.unique) + 1))
        self._is_cut = np.zeros(len(self.unique), bool)
        self._close = self._close_hashes(first)
        self._is_cut |= np.diff(self._ends) > CANDIDATES
        self.n_cut = int(self._is_cut[self._which].sum())

    def of(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (picture, an earlier one) of the pictures start … stop - 1, at most CANDIDATES a picture."""
        later = np.arange(start, stop)
        of_hash, close = self._close
        low, high = (
            np.searchsorted(of_hash, self._which[later]),
            np.searchsorted(of_hash, self._which[later], "right"),
        )
        pictures, places = _spread(later, low, high)
        hashes = close[places]
        ends = np.minimum(self._ends[hashes] + CANDIDATES, self._ends[hashes + 1])
        pictures, places = _spread(pictures, self._ends[hashes], ends)
        earlier = self._members[places]
        is_before = earlier < pictures
        return _first_few(pictures[is_before], earlier[is_before])

    def _close_hashes(self, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of places in `unique`, sorted, each hash with itself, and with the CANDIDATES whose first
        picture is earliest.

        Args:
            first: (n_unique,) the first picture of each hash.
        """
        same = np.arange(len(self.unique))
        parts, n_pairs = [(same, same)], 0
        for band in BANDS:
            for one, other in self._close_in_band(band):
                parts += [(one, other), (other, one)]
                n_pairs += len(one)
                if n_pairs > PAIRS_AT_ONCE:
                    parts, n_pairs = [self._earliest(parts, first)], 0
        return self._earliest(parts, first)

    def _close_in_band(self, band: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield pairs of hashes that share 16 bits and differ in few of the others."""
        shared = (self.unique >> np.uint64(band)) & np.uint64(0xFFFF)
        order = np.lexsort([self.unique, shared])
        shared, hashes = shared[order], self.unique[order]
        at = np.arange(len(order))
        for step in range(1, WINDOW + 1):
            at = at[at < len(order) - step]
            at = at[shared[at] == shared[at + step]]
            if not len(at):
                return
            is_close = np.bitwise_count(hashes[at] ^ hashes[at + step]) <= MOST_BITS
            yield order[at[is_close]], order[at[is_close] + step]
        self._is_cut[order[at]] = True

    def _earliest(
        self, parts: list[tuple[np.ndarray, np.ndarray]], first: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        one, other = (np.concatenate(pair) for pair in zip(*parts, strict=True))
        by_first = np.argsort(first, kind="stable")
        place = np.empty(len(first), np.int64)
        place[by_first] = np.arange(len(first))
        one, places = _first_few(one, place[other], self._is_cut)
        return one, by_first[places]


def _spread(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each value with each whole number from its low to its high - 1."""
    counts = high - low
    starts = np.cumsum(counts) - counts
    return np.repeat(values, counts), np.arange(counts.sum()) + np.repeat(low - starts, counts)


def _first_few(
    values: np.ndarray, others: np.ndarray, is_cut: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The distinct pairs, sorted, of each value the CANDIDATES lowest others.

    Args:
        is_cut: gets True at the values that have more.
    """
    order = np.lexsort([others, values])
    values, others = values[order], others[order]
    is_new = np.ones(len(values), bool)
    is_new[1:] = values[1:] != values[:-1]
    is_new[1:] |= others[1:] != others[:-1]
    values, others = values[is_new], others[is_new]
    nth = np.arange(len(values)) - np.searchsorted(values, values)
    if is_cut is not None:
        is_cut[values[nth >= CANDIDATES]] = True
    return values[nth < CANDIDATES], others[nth < CANDIDATES]


def _first_alike(candidates: _Candidates, rows: np.ndarray, representations: ChunkedArray) -> np.ndarray:
    """(n,) the first of the candidates of each of `rows` with a representation alike; -1 without one."""
    first = np.full(len(rows), NONE)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        pictures, earlier = candidates.of(start, min(start + ROWS_AT_ONCE, len(rows)))
        for part in np.array_split(np.arange(len(pictures)), len(pictures) // ROWS_AT_ONCE + 1):
            one, other = rows[pictures[part]], rows[earlier[part]]
            alike = part[_cosines(representations, one, other) >= LEAST_COSINE][::-1]
            fresh = alike[first[pictures[alike]] == NONE]
            first[pictures[fresh]] = rows[earlier[fresh]]  # the last assignment is the earliest picture
    return first


def _cosines(representations: ChunkedArray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) cosine of pairs of rows; NaN for a row of zeros."""
    first, second = (representations.rows(rows).astype(np.float64) for rows in (one, other))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    with np.errstate(invalid="ignore"):
        return np.einsum("ij,ij->i", first, second) / lengths
