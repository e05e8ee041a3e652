"""Groups of features that fire together on the same images (Kalibhat 2023, Algorithm 1)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.common.group_names import group_name
from core.concepts.falcon import MIN_IMAGES
from core.errors import ShapeError

HASH_SEED = 20230  # arbitrary: equal rows hash alike, and every class is checked for collisions
WORD_BYTES = 8


@dataclass(frozen=True)
class Group:
    """Features (ascending) and the images (ascending) that highly activate exactly these features."""

    features: tuple[int, ...]
    rows: np.ndarray

    @property
    def name(self) -> str:
        """
        >>> Group((12, 40), np.empty(0)).name
        '12+40'
        """
        return group_name(self.features)


@dataclass(frozen=True)
class Groups:
    """All groups, by descending number of images, then by their first image.

    Attributes:
        bits: (n_groups, n_bytes) uint8, the features of each group as packed bits.
        starts: (n_groups + 1,) int64: group g has the images order[starts[g] : starts[g + 1]], ascending.
        order: (n_grouped,) int64 rows of the images that have any feature.
    """

    bits: np.ndarray
    starts: np.ndarray
    order: np.ndarray
    n_features: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def sizes(self) -> np.ndarray:
        """(n_groups,) number of images in each."""
        return np.diff(self.starts)

    @property
    def n_members(self) -> np.ndarray:
        """(n_groups,) number of features in each."""
        return np.bitwise_count(self.bits).sum(1, dtype=np.int64)

    def __getitem__(self, group: int) -> Group:
        features = np.flatnonzero(np.unpackbits(self.bits[group], count=self.n_features))
        rows = self.order[self.starts[group] : self.starts[group + 1]]
        return Group(tuple(features.tolist()), rows)

    def __iter__(self) -> Iterator[Group]:
        return (self[group] for group in range(len(self)))

    def larger_than(self, n_images: int = MIN_IMAGES) -> list[Group]:
        """Return the groups with more than `n_images` images."""
        return [self[int(group)] for group in np.flatnonzero(self.sizes > n_images)]


def pack_pairs(rows: np.ndarray, features: np.ndarray, n_images: int, n_features: int) -> np.ndarray:
    """Pack which features highly activate on which images: (n_images, ceil(n_features / 8)) uint8 bits.

    The first feature is in the highest bit; each pair (row, feature) occurs once.
    """
    bits = np.zeros((n_images, -(-n_features // 8)), np.uint8)
    np.bitwise_or.at(bits, (rows, features >> 3), np.uint8(128) >> (features & 7).astype(np.uint8))
    return bits


def find_groups(bits: np.ndarray, n_features: int) -> Groups:
    """Find groups of features: every image's non-empty set {j : h_qj > alpha} is one (Algorithm 1).

    Its images are those with exactly that set, so groups have no images in common.

    Args:
        bits: (n_images, ceil(n_features / 8)) uint8, packed rows of highly activating features.
    Raises:
        ShapeError: the shapes do not match.
    """
    if bits.ndim != 2 or bits.shape[1] != -(-n_features // 8):
        raise ShapeError(f"bits of {n_features} features are (n, {-(-n_features // 8)}), got {bits.shape}")
    words = _as_words(bits)
    first, code, sizes = _classes(words)
    sizes = np.where(words[first].any(1), sizes, 0)  # images without any feature are in no group
    rank = np.lexsort([first, -sizes])  # order of the groups in the result
    position = np.empty_like(rank)
    position[rank] = np.arange(len(rank))
    order = np.argsort(position[code], kind="stable")
    rank = rank[: np.count_nonzero(sizes)]
    starts = np.concatenate([[0], np.cumsum(sizes[rank])]).astype(np.int64)
    return Groups(bits[first[rank]], starts, order[: starts[-1]], n_features)


def _as_words(bits: np.ndarray) -> np.ndarray:
    """Convert packed rows of features' bits to (n, w) uint64, padded with zeros."""
    if bits.shape[1] and bits.shape[1] % WORD_BYTES == 0:
        return np.ascontiguousarray(bits).view(np.uint64)
    n_words = -(-max(bits.shape[1], 1) // WORD_BYTES)
    padded = np.zeros((len(bits), n_words * WORD_BYTES), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return padded.view(np.uint64)


def _classes(words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find equal rows: index of the first row of each class, class of each row, size of each class.

    Rows are compared by a 64-bit hash, then each with the first row of its class; so the result is exact.
    """
    keys = np.random.default_rng(HASH_SEED).integers(0, 2**64, words.shape[1], np.uint64, endpoint=False)
    mixed = words >> np.uint64(29)  # moves high bits down, where products preserve them
    mixed ^= words
    hashes = mixed @ (keys | np.uint64(1))
    _, first, code, sizes = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    if len(words) and not np.array_equal(words, np.take(words, first[code], axis=0)):
        _, first, code, sizes = np.unique(
            words, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
    return first, code.reshape(-1), sizes


def cosine_from_sum(total: np.ndarray, n: int, *, diagonal: bool = False) -> float:
    """Mean CLIP cosine over all pairs of a group's crops, from the sum of n unit rows.

    (||sum_q e_q||^2 - n) / (n (n - 1)); with the diagonal, as in the authors' code, ||sum_q e_q||^2 / n^2.

    Returns:
        float in [-1, 1]; NaN without rows, and for one row without the diagonal.
    """
    square = float(np.dot(total, total))
    if diagonal:
        return square / n**2 if n else float("nan")
    return (square - n) / (n * (n - 1)) if n > 1 else float("nan")


def is_interpretable(
    n_images: int, cosine: float, *, gamma: float = 0.8, min_images: int = MIN_IMAGES
) -> bool:
    """True for a group of more than `min_images` images and a mean CLIP cosine above gamma (Algorithm 1)."""
    return bool(n_images > min_images and cosine > gamma)
