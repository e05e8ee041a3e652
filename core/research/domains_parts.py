"""The parts of a representation with a domain prefix, and scenes found again in another domain. No torch."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.dataframes import check_same_length, safe_divide, unit_rows
from core.errors import SettingsError
from core.measures.intervals import wilson

# The parts of a representation with a domain prefix, and images with classes and domains. No torch.


ALL, REST, PREFIX = "all", "rest", "prefix"
PARTS = (ALL, REST, PREFIX)


def part_columns(part: str, k: int, n_features: int) -> slice:
    """The columns of a part of representations in research on domains: all, the rest, or the prefix.

    >>> part_columns("rest", 2, 8), part_columns("prefix", 2, 8)
    (slice(2, 8, None), slice(0, 2, None))
    """
    if part not in PARTS:
        raise SettingsError(f"no part '{part}' of a representation. Parts: {', '.join(PARTS)}")
    return {ALL: slice(0, n_features), REST: slice(k, n_features), PREFIX: slice(0, k)}[part]


def part_slices(k: int | None, n_features: int) -> dict[str, slice]:
    """The parts of representations by name in research on domains; only "all" without a prefix."""
    names = PARTS if k else (ALL,)
    return {name: part_columns(name, k or 0, n_features) for name in names}


def _follows(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether a domain or class (research) of several values is known from the other.

    >>> _follows(np.array([0, 0, 1]), np.array([3, 2, 1])), _follows(np.array([3, 2, 1]), np.array([0, 0, 1]))
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
    if _follows(classes, domains):
        given = "is" if _follows(domains, classes) else "gives away"
        return f"'{column}' {given} the class of every image: {both}"
    if _follows(domains, classes):
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


# Scenes found again in another domain, and features that classes share (docs/method.md 14.3). No torch.


DEVIATIONS = 2.0
JACCARD_COLUMNS = ("part", "first", "second", "jaccard", "n_classes", "n_undefined")
AT_ONCE = 2048


def retrieved_first(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """(n,) bool: row i of the other domain (research) is the one most similar to query i; no ties.

    Args:
        queries, gallery: (n, d) float; row i of both is the same scene. A zero row is similar to none.
    Raises:
        ShapeError: other numbers of rows.
    """
    check_same_length("queries", len(queries), "gallery", len(gallery))
    queries, gallery = unit_rows(queries), unit_rows(gallery)
    first = np.zeros(len(queries), bool)
    for start in range(0, len(queries), AT_ONCE):
        part = np.arange(start, min(start + AT_ONCE, len(queries)))
        similar = queries[part] @ gallery.T
        twin_cosine = similar[np.arange(len(part)), part].copy()
        similar[np.arange(len(part)), part] = -np.inf
        first[part] = twin_cosine > similar.max(1, initial=-np.inf)
    return first


def twin_retrieval(raw: Mapping[str, np.ndarray], k: int | None) -> pd.DataFrame:
    """Retrieval of the same scenes between each ordered pair of domains, by each part.

    Args:
        raw: (n, r) raw representations of the same n scenes in each domain.
    Returns:
        part, query, gallery, r1 with low and high (95 % Wilson), chance = 1 / n, n.
    """
    rows = []
    n_features = next(iter(raw.values())).shape[1]
    for part, columns in part_slices(k, n_features).items():
        for query, gallery in itertools.permutations(raw, 2):
            first = retrieved_first(raw[query][:, columns], raw[gallery][:, columns])
            low, high = wilson(first.sum(), len(first))
            row = {"r1": float(first.mean()), "low": float(low), "high": float(high)}
            ends = {"part": part, "query": query, "gallery": gallery}
            rows.append({**ends, **row, "chance": 1 / len(first), "n": len(first)})
    return pd.DataFrame(rows)


def standing_out(mean: np.ndarray, deviations: float = DEVIATIONS) -> np.ndarray:
    """(d,) bool: features j of a class mean in a domain (research) with |m_j - mean of m| > 2 std of m."""
    return np.abs(mean - mean.mean()) > deviations * mean.std()


def feature_jaccard(images: DomainImages, k: int | None) -> pd.DataFrame:
    """How far a class has the same outstanding features in two domains (research).

    Kalibhat, dissertation, Fig. 2.3 as a number.

    For each class with images in both domains, J = |A & B| / |A | B| of the sets `standing_out` of its mean
    L2-normalised columns of the part; the mean over classes. A class with two empty sets is undefined, left
    out and counted. Evaluation images only, or all where there are none.

    Returns:
        part, first, second, jaccard (NaN without a defined class), n_classes, n_undefined; no rows for one
        domain.
    """
    rows, evaluated = [], images.is_val if images.is_val.any() else ~images.is_val
    for part, columns in part_slices(k, images.raw.shape[1]).items():
        h = unit_rows(images.raw[:, columns])
        for first, second in itertools.combinations(range(len(images.domain_names)), 2):
            values, n_undefined = [], 0
            for code in range(len(images.class_names)):
                of_class = evaluated & (images.classes == code)
                sides = [of_class & (images.domains == side) for side in (first, second)]
                if not all(side.any() for side in sides):
                    continue
                one, other = (standing_out(h[side].mean(0)) for side in sides)
                either = int((one | other).sum())
                n_undefined += either == 0
                values += [int((one & other).sum()) / either] if either else []
            names = {"first": images.domain_names[first], "second": images.domain_names[second]}
            row = {"jaccard": float(np.mean(values)) if values else np.nan, "n_classes": len(values)}
            rows.append({"part": part, **names, **row, "n_undefined": n_undefined})
    return pd.DataFrame(rows, columns=list(JACCARD_COLUMNS))


def domain_purity(
    pointers: np.ndarray, firing_rows: np.ndarray, domains: np.ndarray, names: tuple[str, ...], k: int | None
) -> pd.DataFrame:
    """Which domain fires a feature: the largest share of a domain among the images on which it fires.

    Args:
        pointers: (r + 1,), firing_rows: rows of images, feature after feature. domains: (n,) codes; -1 is
            left out.
    Returns:
        feature, part, domain_purity (NaN where it fires on no image with a domain), top_domain, n_firing.
    """
    n_features, codes = len(pointers) - 1, domains[firing_rows]
    of = np.repeat(np.arange(n_features), np.diff(pointers))
    counts = np.zeros((n_features, len(names)), np.int64)
    np.add.at(counts, (of[codes >= 0], codes[codes >= 0]), 1)
    total = counts.sum(1)
    top = np.array([*names, None], dtype=object)[np.where(total > 0, counts.argmax(1), -1)]
    part = np.where(np.arange(n_features) < (k or 0), "prefix", "rest") if k else "all"
    parts = pd.array(np.broadcast_to(part, n_features).tolist(), dtype="str")
    purity = safe_divide(counts.max(1), total)
    return pd.DataFrame(
        {
            "feature": np.arange(n_features),
            "part": parts,
            "domain_purity": purity,
            "top_domain": pd.array(top.tolist(), dtype="str"),
            "n_firing": total,
        }
    )
