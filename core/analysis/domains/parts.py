"""The parts of a representation with a domain prefix, and images with classes and domains. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.common.arrays import check_same_length
from core.errors import SettingsError

ALL, REST, PREFIX = "all", "rest", "prefix"
PARTS = (ALL, REST, PREFIX)


def part_columns(part: str, k: int, n_features: int) -> slice:
    """The columns of a part: all, the rest h^p after the prefix, or the prefix h^d of k features.

    >>> part_columns("rest", 2, 8), part_columns("prefix", 2, 8)
    (slice(2, 8, None), slice(0, 2, None))
    """
    if part not in PARTS:
        raise SettingsError(f"no part '{part}' of a representation. Parts: {', '.join(PARTS)}")
    return {ALL: slice(0, n_features), REST: slice(k, n_features), PREFIX: slice(0, k)}[part]


def part_slices(k: int | None, n_features: int) -> dict[str, slice]:
    """The parts by name; only "all" without a prefix."""
    names = PARTS if k else (ALL,)
    return {name: part_columns(name, k or 0, n_features) for name in names}


def is_one_to_one(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two codes of the same rows say the same: each value of one goes with one value of the other.

    >>> is_one_to_one(np.array([0, 0, 1]), np.array([3, 3, 2])), is_one_to_one(np.array([0, 1]), np.zeros(2))
    (True, False)
    """
    pairs = {*zip(one.tolist(), other.tolist(), strict=True)}
    return bool(pairs) and len(pairs) == len(np.unique(one)) == len(np.unique(other))


@dataclass(frozen=True)
class DomainImages:
    """Representations of images with their classes and domains.

    raw: (n, r) float, raw. classes, domains: (n,) int64 codes; -1: unlabelled. is_val: (n,) bool.
    """

    raw: np.ndarray
    classes: np.ndarray
    domains: np.ndarray
    is_val: np.ndarray
    class_names: tuple[str, ...]
    domain_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("classes", "domains", "is_val"):
            check_same_length("raw rows", len(self.raw), name, len(getattr(self, name)))
