"""Cached reads of the map; the rules are those of `reader.py`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.common.dataframes import numbers
from core.figures import maps
from core.figures.maps import Colouring
from core.figures.theme import theme_named
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads
from dashboard.cache.reader import cached_read

MOST_POINTS = 100_000
SEED = 0


@dataclass(frozen=True)
class Said:
    """One line about each image: numbers (n,), NaN for none, or places in `words` (-1 for none)."""

    name: str
    values: np.ndarray
    words: tuple[str, ...] = ()


def kinds(study: Study) -> list[str]:
    """The maps that the study holds: pca, umap."""
    return [kind for kind in maps.AXES if study.has(f"map_{kind}")]


def places(study: Study, kind: str) -> np.ndarray:
    """(n_images, 2) float32, read-only."""
    return reads.vector(study, f"map_{kind}")


def drawn_rows(rows: np.ndarray) -> np.ndarray:
    """At most MOST_POINTS of some rows, a seeded sample in a seeded order, so that no class lies on top."""
    return np.random.default_rng(SEED).permutation(rows)[:MOST_POINTS]


def outlined(study: Study, kind: str, where: Slice, outline: tuple[tuple[float, float], ...]) -> np.ndarray:
    """(m,) int64: rows of a slice that lie within an outline, drawn or not."""
    inside = _inside(study, kind, outline)
    return np.flatnonzero(inside & reads.mask(study, where))


@cached_read(max_entries=8, spinner="Reading the feature on every image")
def activation(study: Study, feature: int) -> np.ndarray:
    """(n_images,) float32: a feature's activation on every image, of representations at length 1."""
    raw = study.array("representations")
    norms = reads.table(study, "row_stats", ("norm",))["norm"].to_numpy(np.float64)
    column = np.empty(len(raw), np.float32)
    for start, chunk in raw.chunks():
        norm = norms[start : start + len(chunk)]
        values = chunk[:, feature].astype(np.float64)
        column[start : start + len(chunk)] = np.divide(values, norm, out=np.zeros(len(chunk)), where=norm > 0)
    return column


@cached_read(max_entries=8, names_features=True)
def colouring(study: Study, by: str, theme: str, feature: int = 0) -> Colouring:
    """A colour for every image of the study: by label, predicted, split, correct, activation or a score."""
    look, images = theme_named(theme), reads.images(study)
    if by == "correct":
        return maps.by_verdict(numbers(images, "correct"), theme=look)
    if by == "activation":
        values = activation(study, feature)
        return maps.by_amount(values, title=reads.feature_name(study, feature), theme=look)
    if by in ("label", "predicted", "split"):
        title = {"label": "Class", "predicted": "Predicted class", "split": "Split"}[by]
        return maps.by_name(images[by].to_numpy(object), title=title, theme=look)
    return maps.score_colouring(numbers(images, by), by, look)


@cached_read(max_entries=4)
def said(study: Study) -> tuple[Said, ...]:
    """What the pointer says of each image of the study: class, answer of the probe, Q."""
    images = reads.images(study)
    lines = []
    for column, name in (("label", "Class"), ("predicted", "Predicted")):
        if column in images and bool(images[column].notna().any()):
            codes, words = images[column].factorize()
            lines.append(Said(name, codes.astype(np.int32), tuple(map(str, words))))
    if "q_score" in images:
        lines.append(Said("Q", numbers(images, "q_score").astype(np.float32)))
    return tuple(lines)


@cached_read(max_entries=16)
def _inside(study: Study, kind: str, outline: tuple[tuple[float, float], ...]) -> np.ndarray:
    return maps.inside_outline(places(study, kind), np.array(outline, np.float64).reshape(-1, 2))
