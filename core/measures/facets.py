"""Numbers of images of a slice by class, prediction, correctness and split, and by any other column.

A column of numbers is counted in ranges, which are written as in a slice: `0.1..0.2`.
"""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd

from core.measures import evaluate
from core.measures.slice import Slice
from core.measures.slice_text import number_text
from core.study.reader import StudyReader
from core.study.traces import read_traces

LABEL, PREDICTED, CORRECT, SPLIT = FACETS = ("label", "predicted", "correct", "split")
MOST_RANGES = 6
MOST_VALUES = 1000  # of a column of texts that is a facet; one with more, such as a path, is none
FIRST = 1000  # values that tell most columns of many numbers from those of few
FEW_NUMBERS = 6  # a column of so many different numbers is counted by number


def without_facet(where: Slice, facet: str) -> Slice:
    """Return a slice without its condition on a facet, to count what its other values would give."""
    if facet == LABEL:
        return replace(where, labels=())
    if facet == PREDICTED:
        return replace(where, predicted=())
    if facet in (CORRECT, SPLIT):
        return replace(where, **{facet: None})
    ranges = {column: ends for column, ends in where.ranges.items() if column != facet}
    extras = {column: names for column, names in where.extras.items() if column != facet}
    return replace(where, ranges=ranges, extras=extras)


def further_facets(study: StudyReader) -> list[str]:
    """The columns by which images of a slice can be counted besides the usual: of several values."""
    return [
        column
        for column in evaluate.slice_columns(study)
        if column not in FACETS and _is_facet(study, column)
    ]


def _is_facet(study: StudyReader, column: str) -> bool:
    table = evaluate.slice_columns(study)[column]
    if table == evaluate.TRACES:
        left = read_traces(study.path).images.values()
        return any(one.tags if column == evaluate.TAG else one.wrong_label for one in left)
    if table == evaluate.REPEATED:
        return bool(evaluate.column_values(study, column).any())
    if table not in evaluate.TABLES:
        return False
    ends = study.value_range(table, column)
    if ends is None or isinstance(ends[0], int | float):
        return ends is not None and ends[0] != ends[1]
    values = study.table(table, [column])[column].dropna()  # not kept: a page shows few of these columns
    if pd.api.types.is_numeric_dtype(values) and ranges_of(study, column):
        return True
    if values.iloc[: 2 * MOST_VALUES].astype(str).nunique() >= MOST_VALUES:
        return False
    return bool(1 < values.astype(str).nunique() < min(MOST_VALUES, study.n_images))


def ranges_of(study: StudyReader, column: str) -> list[str]:
    """The ranges in which images of a slice are counted by a column of numbers.

    At most MOST_RANGES that hold all of its values; [] for other columns, and for one of few different
    numbers.

    Their ends are round numbers: multiples of 1, 2 or 5 times a power of ten. Whole numbers are in one range
    only; another number that is an end is in both.
    """
    if evaluate.slice_columns(study).get(column) == evaluate.TRACES:
        return []
    series = evaluate.column_values(study, column)
    if pd.api.types.is_bool_dtype(series) or not pd.api.types.is_numeric_dtype(series):
        return []
    values = series.to_numpy(np.float64, na_value=np.nan)
    values = values[np.isfinite(values)]
    if len(np.unique(values[:FIRST])) <= FEW_NUMBERS and len(np.unique(values)) <= FEW_NUMBERS:
        return []
    low, high = float(values.min()), float(values.max())
    whole = bool(np.all(values == np.round(values)))
    digits = -math.floor(math.log10(high / MOST_RANGES - low / MOST_RANGES))
    power = 10.0**-digits
    for step in (power * factor for factor in (1, 2, 5, 10, 20, 50)):
        first = math.floor(low / step)
        last = math.ceil(high / step) + (whole and high % step == 0)
        if last - first <= MOST_RANGES and (step >= 1 or not whole):
            break
    ranges = []
    for at in range(first, last):  # pyright: ignore[reportPossiblyUnboundVariable]
        start, end = round(at * step, digits), round((at + 1) * step, digits)
        ranges.append(range_text(column, (start, end - whole)))
    return ranges


def range_text(column: str, ends: tuple[float, float]) -> str:
    """Write a range of a column of numbers as the text form of a slice has it."""
    return str(Slice(ranges={column: ends})).rpartition("=")[2]


def range_in(column: str, text: str) -> tuple[float, float]:
    """Read a range of a column of numbers that `range_text` has written for a slice."""
    return Slice.parse(f"x={text}").ranges["x"]


def facet_counts(study: StudyReader, facet: str, among: np.ndarray) -> dict[str, int]:
    """Count the images of a slice by each value of a facet, the most common value first.

    Then in order of the alphabet; ranges in their own order.

    Args:
        facet: one of FACETS, or a column of `further_facets`. among: (n_images,) bool: the images that count.
    Returns:
        number of images by value: names of classes, 'true' and 'false' for `correct`, 'val' and 'train',
        texts and ranges. A value without images is left out; images without a value are in no count.
    """
    if ranges := ranges_of(study, facet) if facet not in FACETS else []:
        masks = {text: evaluate.mask(Slice(ranges={facet: range_in(facet, text)}), study) for text in ranges}
        return {text: n for text, inside in masks.items() if (n := int(np.count_nonzero(inside & among)))}
    if facet == SPLIT:
        n_val = int(np.count_nonzero(study.is_val & among))
        counts = {"val": n_val, "train": int(np.count_nonzero(among)) - n_val}
    elif facet == CORRECT:
        correct = evaluate.result_column(study, "correct")[among]
        counts = {"true": int(np.sum(correct == 1)), "false": int(np.sum(correct == 0))}
    elif facet not in FACETS:
        counts = _value_counts(study, facet, among)
    else:
        codes = evaluate.class_column(study, facet)
        n = np.bincount(codes[among & (codes >= 0)], minlength=len(study.class_names))
        counts = dict(zip(study.class_names, n.tolist(), strict=True))
        if facet in evaluate.slice_columns(study):  # an output may be no label
            values = evaluate.column_values(study, facet).to_numpy(object)[among & (codes < 0)]
            counts |= Counter(value for value in values if isinstance(value, str))
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {value: n for value, n in ranked if n}


def _value_counts(study: StudyReader, column: str, among: np.ndarray) -> dict[str, int]:
    if evaluate.slice_columns(study)[column] != evaluate.TRACES:
        values = evaluate.column_values(study, column).to_numpy(object)[among]
        return dict(Counter(_text(value) for value in values if not pd.isna(value)))
    left = read_traces(study.path).images
    of = [left[name] for name in study.column("images", "image_id")[among] if name in left]
    if column == evaluate.WRONG_LABEL:
        n = sum(bool(one.wrong_label) for one in of)
        return {"true": n, "false": int(np.count_nonzero(among)) - n}
    return dict(Counter(tag for one in of for tag in one.tags))


def _text(value: object) -> str:
    """A value as a slice writes it."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return number_text(float(value)) if isinstance(value, float | np.floating) else str(value)
