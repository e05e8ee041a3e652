"""Cached reads of slices; the same rules as in `loaders.py`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.common.dataframes import numbers
from core.errors import SliceError
from core.slices import compare as slice_compare
from core.slices import finder as slice_finder
from core.slices import saved_slices
from core.slices.evaluate import OVERLAPS
from core.slices.slice import Slice
from core.slices.traits import FEATURE, count_traits
from core.store import Study
from dashboard.cache import heatmap_reads, reads


def checked(study: Study, text: str) -> tuple[Slice, tuple[str, ...]]:
    """The slice of a text form without what this study does not have, and why that was left out."""
    return _checked(study.key, text, _saved_stamp(study, text), _study=study)


def count(study: Study, chosen: Slice) -> int:
    """How many images a slice holds."""
    return int(np.count_nonzero(reads.mask(study, chosen)))


def saved(study: Study) -> dict[str, str]:
    """The saved slices by name, in text form. Raises SliceError where the file is damaged."""
    return saved_slices.texts(study.path)


def bounds(study: Study, column: str) -> tuple[float, float] | None:
    """Smallest and largest value of a column of `loaders.images` or of an overlap; None where all are equal
    or none is known.
    """
    return _bounds(study.key, column, _study=study)


def overlap_columns(study: Study) -> list[str]:
    """`core_energy`, `spurious_paper` … as far as any image has one."""
    there = heatmap_reads.overlaps(study).columns
    return [column for column in OVERLAPS if column in there and bounds(study, column)]


def names_by_feature(study: Study) -> dict[int, str]:
    """What every feature is called, by number."""
    return _names_by_feature(study.key, _study=study)


def concept_words(study: Study) -> list[str]:
    """The words that any feature kept, in the order of the alphabet."""
    return _concept_words(study.key, _study=study)


def worst(study: Study, min_images: int, against: str) -> pd.DataFrame:
    """See `slice_finder.worst_slices`."""
    return _worst(study.key, min_images, against, _study=study).copy(deep=False)


def errors(study: Study) -> tuple[float, int, str | None] | None:
    """Error rate of all judged images, their number and their split; None where nothing is judged."""
    return _errors(study.key, _study=study)


def metrics(study: Study, chosen: Slice, *, without: Slice | None = None) -> pd.DataFrame:
    """See `slice_compare.metrics`. `without`: the images of `chosen` that this slice does not hold."""
    keys = tuple(None if part is None else part.to_json() for part in (chosen, without))
    stamp = saved_slices.stamp(study.path)
    return _metrics(study.key, keys, stamp, _study=study, _side=(chosen, without)).copy(deep=False)


def mask_of(study: Study, chosen: Slice, without: Slice | None = None) -> np.ndarray:
    """(n_images,) bool: the images of a slice that another one does not hold."""
    mask = reads.mask(study, chosen)
    return mask if without is None else mask & ~reads.mask(study, without)


Side = tuple[Slice, Slice | None]


def differences(study: Study, a: Side, b: Side) -> tuple[pd.DataFrame, int]:
    """See `slice_compare.differences`, with `title`, what a trait is called; and how many images both sides
    hold. A side is a slice, and one whose images are taken out of it.
    """
    keys = tuple(None if part is None else part.to_json() for part in (*a, *b))
    stamp = saved_slices.stamp(study.path)
    return _differences(study.key, keys, stamp, _study=study, _a=a, _b=b)


def _saved_stamp(study: Study, text: str) -> tuple[int, int]:
    return saved_slices.stamp(study.path) if "@" in text else (0, 0)


@st.cache_resource(max_entries=256, show_spinner=False)
def _checked(key: str, text: str, stamp: tuple[int, int], *, _study: Study) -> tuple[Slice, tuple[str, ...]]:
    try:
        wanted = Slice.parse(text)
    except SliceError as error:
        return Slice(), (str(error),)
    kept, dropped = [], []
    for part in wanted.parts():
        try:
            reads.mask(_study, part)
            kept.append(part)
        except SliceError as error:
            dropped.append(str(error))
    return Slice.joined(kept), tuple(dropped)


@st.cache_resource(max_entries=128, show_spinner=False)
def _bounds(key: str, column: str, *, _study: Study) -> tuple[float, float] | None:
    images = reads.images(_study)
    values = numbers(images if column in images else heatmap_reads.overlaps(_study), column)
    values = values[np.isfinite(values)]
    if not values.size or not values.min() < values.max():
        return None
    return float(values.min()), float(values.max())


@st.cache_resource(max_entries=8, show_spinner=False)
def _names_by_feature(key: str, *, _study: Study) -> dict[int, str]:
    if not _study.has("firing_by_feature_ptr"):
        return {}
    n_features = len(reads.vector(_study, "firing_by_feature_ptr")) - 1
    return dict(enumerate(reads.feature_names(_study, range(n_features))))


@st.cache_resource(max_entries=8, show_spinner=False)
def _concept_words(key: str, *, _study: Study) -> list[str]:
    if not (_study.has("concepts") and _study.has("highly_activating")):
        return []
    table = _study.table("concepts", ["word", "kept"])
    return sorted(set(table["word"][table["kept"].to_numpy(bool)].astype(str)))


@st.cache_resource(max_entries=16, show_spinner="Looking through all slices")
def _worst(key: str, min_images: int, against: str, *, _study: Study) -> pd.DataFrame:
    return slice_finder.worst_slices(_study, min_images=min_images, against=against)


@st.cache_resource(max_entries=32, show_spinner="Comparing")
def _differences(
    key: str, keys: tuple[str | None, ...], stamp: tuple[int, int], *, _study: Study, _a: Side, _b: Side
) -> tuple[pd.DataFrame, int]:
    whole = mask_of(_study, *_a), mask_of(_study, *_b)
    a, b = slice_compare.separate(*whole)
    traits, counts = count_traits(_study, (a, b))
    sizes = int(np.count_nonzero(a)), int(np.count_nonzero(b))
    table = slice_compare.trait_differences(traits, counts, sizes)
    said = zip(table["kind"], table["within"], table["name"], strict=True)
    table["title"] = [_title(_study, kind, within, name) for kind, within, name in said]
    return table, int(np.count_nonzero(whole[0] & whole[1]))


def _title(study: Study, kind: str, within: str, name: str) -> str:
    if kind == FEATURE:
        return reads.feature_name(study, int(name))
    return f"{within}: {name}" if within else name


@st.cache_resource(max_entries=64, show_spinner=False)
def _metrics(
    key: str, keys: tuple[str | None, ...], stamp: tuple[int, int], *, _study: Study, _side: Side
) -> pd.DataFrame:
    images = reads.images(_study)
    known = [name for name in ("correct", *slice_compare.MEANS) if name in images]
    return slice_compare.metrics(mask_of(_study, *_side), {name: numbers(images, name) for name in known})


@st.cache_resource(max_entries=8, show_spinner=False)
def _errors(key: str, *, _study: Study) -> tuple[float, int, str | None] | None:
    population = slice_finder.judged(_study)
    if population is None:
        return None
    n = int(np.count_nonzero(population.mask))
    return float(population.wrong[population.mask].mean()), n, population.split
