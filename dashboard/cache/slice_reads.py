"""Cached reads of slices; the rules are those of `reader.py`."""

from collections import Counter
from typing import Literal

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.common.records import Record
from core.errors import PeregrineError, SliceError
from core.measures import facets, finder
from core.measures import slice_comparison as slice_compare
from core.measures.evaluate import OVERLAPS
from core.measures.finder import distinct_slices
from core.measures.plain_names import plain_name
from core.measures.slice import Slice
from core.measures.slice_comparison import compare_traits
from core.measures.slice_text import pieces
from core.measures.slice_words import worst_within
from core.store import Study
from dashboard.cache import heatmap_reads, reads
from dashboard.cache.reader import cached_read


def checked(study: Study, text: str) -> tuple[Slice, tuple[str, ...]]:
    """The slice of a text form without what this study does not have, and why that was left out."""
    asked, unread = _readable(text)
    valid, dropped = _checked(study, asked)
    return valid, unread + dropped


def _readable(text: str) -> tuple[Slice, tuple[str, ...]]:
    """The conditions of a text form that can be read, and what is wrong with the others."""
    try:
        return Slice.parse(text), ()
    except SliceError as error:
        whole = error.short
    read, reasons = [], []
    for piece in pieces(text):
        try:
            read += Slice.parse(piece).parts()
        except SliceError as error:
            reasons.append(error.short)
    return (Slice.joined(read), tuple(reasons) or (whole,)) if read else (Slice(), (whole,))


@cached_read(max_entries=256)
def _checked(study: Study, asked: Slice) -> tuple[Slice, tuple[str, ...]]:
    valid, dropped = [], []
    for part in asked.parts():
        try:
            reads.mask(study, part)
            valid.append(part)
        except SliceError as error:
            dropped.append(error.short)
    return Slice.joined(valid), tuple(dropped)


def count(study: Study, where: Slice) -> int:
    """How many images a slice holds."""
    return int(np.count_nonzero(reads.mask(study, where)))


@cached_read(max_entries=64, names_features=True)  # which may count tags, that people change as names
def facet(study: Study, where: Slice, name: str, search_rows: np.ndarray | None = None) -> dict[str, int]:
    """`facets.facet_counts` of a slice without its condition on the facet, or of rows of a search."""
    among = np.zeros(study.n_images, bool)
    among[slice(None) if search_rows is None else search_rows] = True
    here = facets.without_facet(where, name) if search_rows is None else where
    return facets.facet_counts(study, name, among & reads.mask(study, here))


further_facets = cached_read(max_entries=8, names_features=True)(facets.further_facets)


def tags(study: Study) -> tuple[list[str], bool]:
    """The tags of the images, and whether any label is marked as wrong; none where they cannot be read."""
    try:
        traces = reads.traces(study)
    except PeregrineError:
        return [], False
    return traces.image_tags, any(image.wrong_label for image in traces.images.values())


@cached_read(max_entries=128)
def bounds(study: Study, column: str) -> tuple[float, float] | None:
    """Smallest and largest value of a column of `images` or an overlap; None where all are equal."""
    images = reads.images(study)
    values = numbers(images if column in images else heatmap_reads.overlaps(study), column)
    values = values[np.isfinite(values)]
    if not values.size or not values.min() < values.max():
        return None
    return float(values.min()), float(values.max())


def overlap_columns(study: Study) -> list[str]:
    """`core_energy`, `spurious_paper` … as far as any image has one."""
    there = heatmap_reads.overlaps(study).columns
    return [column for column in OVERLAPS if column in there and bounds(study, column)]


@cached_read(max_entries=8, names_features=True)
def names_by_feature(study: Study) -> dict[int, str]:
    """What every feature is called, by number."""
    if not study.has("firing_by_feature_ptr"):
        return {}
    n_features = len(reads.vector(study, "firing_by_feature_ptr")) - 1
    return dict(enumerate(reads.feature_names(study, range(n_features))))


@cached_read(max_entries=8)
def concept_words(study: Study) -> list[str]:
    """The words that any feature kept, in the order of the alphabet."""
    if not (study.has("concepts") and study.has("highly_activating")):
        return []
    table = study.table("concepts", ["word", "kept"])
    return sorted(set(table["word"][table["kept"].to_numpy(bool)].astype(str)))


@cached_read(max_entries=32)
def too_few_errors(study: Study, where: Slice) -> Record | Literal[""]:
    """Why no slice of the images of a filter can be called worse; "" where it can, or nothing is known."""
    outcomes = finder.judged(study, reads.population(study, where)[0])
    return finder.too_few_errors(outcomes) if outcomes else ""


@cached_read(max_entries=16, spinner="Looking through all slices", names_features=True)
def worst(study: Study, where: Slice, min_images: int, against: str) -> pd.DataFrame:
    """`inspection.worst_within` of the images of a filter, with `name`, each in plain words."""
    among = reads.population(study, where)[0]
    table = worst_within(study, among, within=where, min_images=min_images, against=against)
    return table.assign(name=_plain_names(study, table))


@cached_read(max_entries=16, spinner="Looking through all slices")
def distinct(study: Study, slices: tuple[Slice, ...]) -> np.ndarray:
    """(n,) bool: which slices of a list show mostly errors of their own."""
    return distinct_slices(study, numbers(reads.images(study), "correct") == 0, slices)


def slice_name(study: Study, where: Slice) -> str:
    """What a slice is called in plain words."""
    return plain_name(where, reads.feature_words(study), study.feature_kind)


def _plain_names(study: Study, table: pd.DataFrame) -> list[str]:
    """What each slice is called; of two with the same name, each also says its trait."""
    words = reads.feature_words(study)
    names = [plain_name(Slice.parse(str(text)), words, study.feature_kind) for text in table["where"]]
    shared = {name for name, n in Counter(names).items() if n > 1}
    return [
        f"{name} ({trait})" if name in shared and trait else name
        for name, trait in zip(names, table["trait"], strict=True)
    ]


@cached_read(max_entries=64)
def metrics(study: Study, where: Slice, without: Slice | None = None) -> pd.DataFrame:
    """See `slice_compare.metrics`. `without`: the images of `where` that this slice does not hold."""
    images = reads.images(study)
    columns = [name for name in ("correct", *slice_compare.MEANS) if name in images]
    return slice_compare.metrics(
        mask_of(study, where, without), {name: numbers(images, name) for name in columns}, study.groups
    )


def mask_of(study: Study, where: Slice, without: Slice | None = None) -> np.ndarray:
    """(n_images,) bool: the images of a slice that another one does not hold."""
    mask = reads.mask(study, where)
    return mask if without is None else mask & ~reads.mask(study, without)


Side = tuple[Slice, Slice | None]


@cached_read(max_entries=32, spinner="Comparing", names_features=True)
def differences(study: Study, a: Side, b: Side) -> tuple[pd.DataFrame, int]:
    """`compare_traits` of two sides, and how many images both hold; see `Side`."""
    masks = mask_of(study, *a), mask_of(study, *b)
    table = compare_traits(study, masks, reads.feature_words(study))
    return table, int(np.count_nonzero(masks[0] & masks[1]))
