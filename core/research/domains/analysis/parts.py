"""The parts of a representation with a domain prefix, and images with classes and domains. No torch."""

from dataclasses import dataclass

import numpy as np

from core.common.dataframes import check_same_length
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


def follows(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether `one` has several values and is known from `other`, no value of which goes with two of `one`.

    >>> follows(np.array([0, 0, 1]), np.array([3, 2, 1])), follows(np.array([3, 2, 1]), np.array([0, 0, 1]))
    (True, False)
    """
    pairs = {*zip(one.tolist(), other.tolist(), strict=True)}
    return len(np.unique(one)) > 1 and len(pairs) == len(np.unique(other))


def confounded(column: str, classes: np.ndarray, domains: np.ndarray, *, both: str, domain: str) -> str:
    """Say in a line that class or domain follows from the other, and what of it; empty if neither does.

    Args:
        column: name of the domains in the sentence.
        classes, domains: (n,) codes of the same images.
        both: what follows where the domain gives the class away.
        domain: what follows where only the class gives the domain away (domains are groups of classes).
    """
    if follows(classes, domains):
        given = "is" if follows(domains, classes) else "gives away"
        return f"'{column}' {given} the class of every image: {both}"
    if follows(domains, classes):
        return f"the images of a class all have the same '{column}': {domain}"
    return ""


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
