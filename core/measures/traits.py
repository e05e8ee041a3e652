"""Traits of images, as sparse pairs of an image and a trait; slices are made of them."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from core.measures import evaluate
from core.measures.evaluate import column_values, read_once, slice_columns
from core.measures.image_columns import NEAR_DUPLICATE
from core.measures.slice_features import count_firing_images, firing_blocks
from core.measures.slice_text import number_text
from core.study.reader import StudyReader

# Kinds of pictures by their own numbers: dark, blurred, small …, as traits that slices are made of.
#
# A column of numbers is cut at its lowest and its highest tenth over all images of a study.


OUTER = 0.1  # share of the images at either end
MOST = 0.2  # share that a cut may hold, where many have the same value
DIGITS = 3  # of a cut
_WRITTEN = tomllib.loads(Path(__file__).with_name("traits.toml").read_text(encoding="utf-8"))
LOW, HIGH = _WRITTEN["low"], _WRITTEN["high"]
MEASURE, TRUE = _WRITTEN["measure"], _WRITTEN["true"]


class Cut(NamedTuple):
    """Images whose value of a column lies in a range, both ends included."""

    column: str
    low: float
    high: float

    @property
    def text(self) -> str:
        """The range as a slice writes it."""
        ends = (None if np.isinf(end) else end for end in (self.low, self.high))
        return "..".join(map(number_text, ends))


def picture_cuts(study: StudyReader) -> list[Cut]:
    """The outer tenths of the columns of numbers that pictures have, of all images of the study."""
    return evaluate.made_once(study, "cuts of pictures", lambda: _cuts(study))


def _cuts(study: StudyReader) -> list[Cut]:
    cuts = []
    for column in dict.fromkeys([*LOW, *HIGH]):
        if evaluate.slice_columns(study).get(column) not in evaluate.OF_PICTURES:
            continue
        values = evaluate.column_values(study, column).to_numpy(np.float64, na_value=np.nan)
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        low, high = (float(f"{end:.{DIGITS}g}") for end in np.quantile(values, (OUTER, 1 - OUTER)))
        if column in LOW and 0 < (values <= low).mean() <= MOST:
            cuts.append(Cut(column, -np.inf, low))
        if column in HIGH and 0 < (values >= high).mean() <= MOST:
            cuts.append(Cut(column, high, np.inf))
    return cuts


def _picture_truths(study: StudyReader) -> list[str]:
    """The columns of pictures that hold or do not: turned by EXIF, a repetition of another picture."""
    columns = evaluate.slice_columns(study)
    of_pictures = {"turned": "pictures", NEAR_DUPLICATE: evaluate.REPEATED}
    return [column for column, table in of_pictures.items() if columns.get(column) == table]


def _picture_truth(study: StudyReader, column: str) -> np.ndarray:
    """(n_images,) bool: images of which a column of `_picture_truths` holds."""
    values = pd.Series(evaluate.column_values(study, column)).astype("boolean")
    return values.fillna(False).to_numpy(bool)


def picture_words(column: str, value: str) -> str:
    """What pictures are that have a value, or lie in an outer range of one, as clauses behind a noun.

    >>> picture_words("brightness", "..0.2"), picture_words("near_duplicate", "true")
    ('that are dark (brightness at most 0.2)', 'that repeat another image')
    >>> picture_words("nearest_train", "0.6..")
    'unlike any train image (cosine distance to the nearest at least 0.6)'
    """
    name = MEASURE.get(column, column.replace("_", " "))
    low, dots, high = value.partition("..")
    if dots and not low and column in LOW:
        return f"{LOW[column]} ({name} at most {high})"
    if dots and not high and column in HIGH:
        return f"{HIGH[column]} ({name} at least {low})"
    return TRUE.get(column, "") if value == "true" else ""


# Traits of images, as sparse pairs of an image and a trait: features that fire on it, words of the features
# that it highly activates, values of extra columns, and what the picture itself is (dark, blurred …). They
# serve to compare and find slices.


MOST_VALUES = 50  # a column with more values does not describe kinds of images
NONE = np.empty(0, np.int32)
FEATURE, CONCEPT, COLUMN, PICTURE = KINDS = ("feature", "concept", "column", "picture")


@dataclass(frozen=True)
class Traits:
    """Traits, identified by their indices.

    Attributes:
        kinds: one of KINDS for each trait.
        names: a feature number, a word, a value, or a range of a column of pictures.
        within: the column of a value or range; empty for features and concepts.
    """

    kinds: tuple[str, ...]
    names: tuple[str, ...]
    within: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Tokens(Traits):
    """Pair k: the image `rows[k]` of the study has the trait `ids[k]`. No pair occurs twice.

    Attributes:
        rows, ids: (n_pairs,) int32: a million images have many millions of pairs.
    """

    rows: np.ndarray
    ids: np.ndarray

    def of(self, mask: np.ndarray) -> "Tokens":
        """Keep the pairs of the images in a mask, (n_images,) bool; the list of traits does not change."""
        keep = mask[self.rows]
        return Tokens(self.kinds, self.names, self.within, self.rows[keep], self.ids[keep])


def tokens_of(study: StudyReader, mask: np.ndarray, kinds: Sequence[str] = KINDS) -> Tokens:
    """Collect the known traits (features, words, attributes) of the images in a mask, (n_images,) bool."""
    makers = {FEATURE: _features, CONCEPT: _concepts, COLUMN: _columns, PICTURE: _pictures}
    return _together([makers[kind](study, mask) for kind in kinds])


def count_traits(study: StudyReader, masks: Sequence[np.ndarray]) -> tuple[Traits, np.ndarray]:
    """Return all traits of images, and how many in each mask have them, (n_masks, n_traits) int64.

    Features are counted without listing the pairs: a million images have many millions of pairs.
    """
    others = tokens_of(study, np.logical_or.reduce(masks), (CONCEPT, COLUMN, PICTURE))
    counts = [np.bincount(others.ids[mask[others.rows]], minlength=len(others)) for mask in masks]
    if not study.has_firing:
        return others, np.stack(counts)
    firing = count_firing_images(study, masks)
    features = _made(NONE, NONE, FEATURE, [str(j) for j in range(firing.shape[1])])
    return _together([features, others]), np.concatenate([firing, np.stack(counts)], axis=1)


def _together(parts: list[Tokens]) -> Tokens:
    starts = np.cumsum([0, *(len(part) for part in parts)])
    shifted_ids = [part.ids + np.int32(start) for part, start in zip(parts, starts, strict=False)]
    kinds = tuple(chain.from_iterable(part.kinds for part in parts))
    names = tuple(chain.from_iterable(part.names for part in parts))
    within = tuple(chain.from_iterable(part.within for part in parts))
    rows = np.concatenate([part.rows for part in parts])
    return Tokens(kinds, names, within, rows, np.concatenate(shifted_ids))


def _made(rows: np.ndarray, ids: np.ndarray, kind: str, names: Sequence[str], within: str = "") -> Tokens:
    n = len(names)
    rows, ids = np.asarray(rows, np.int32), np.asarray(ids, np.int32)
    return Tokens((kind,) * n, tuple(names), (within,) * n, rows, ids)


def _none(kind: str) -> Tokens:
    return _made(NONE, NONE, kind, ())


def _features(study: StudyReader, mask: np.ndarray) -> Tokens:
    """Find the firing features from the index by feature, block by block."""
    if not study.has_firing:
        return _none(FEATURE)
    pointers = study.vector("firing_by_feature_ptr").astype(np.int64)
    rows, ids = [], []
    for start, block in firing_blocks(study):
        inside = np.flatnonzero(mask[block])
        rows.append(block[inside])
        ids.append((np.searchsorted(pointers, start + inside, "right") - 1).astype(np.int32))
    names = [str(number) for number in range(len(pointers) - 1)]
    return _made(np.concatenate([*rows, NONE]), np.concatenate([*ids, NONE]), FEATURE, names)


def _concepts(study: StudyReader, mask: np.ndarray) -> Tokens:
    """Collect the kept words of the features and groups that an image highly activates."""
    if not (study.has("concepts") and study.has("highly_activating")):
        return _none(CONCEPT)
    concepts = study.table("concepts", ["group", "word", "kept"])
    concepts = concepts.loc[concepts["kept"].to_numpy(bool)]
    groups_of_words = concepts.groupby("word")["group"].unique().sort_index()
    high = study.table("highly_activating", ["group", "image_id"])

    def look_up() -> np.ndarray:  # takes a second for a million images
        return study.image_index().get_indexer(pd.Index(high["image_id"]))

    rows = read_once(study, "rows of highly_activating", look_up)
    codes, groups = pd.factorize(high["group"].to_numpy(object))
    inside = np.flatnonzero((rows >= 0) & mask[rows])
    inside = inside[np.argsort(codes[inside], kind="stable")]
    ends = np.searchsorted(codes[inside], np.arange(len(groups) + 1))
    rows_of = {}
    for group, (start, end) in zip(groups, pairwise(ends), strict=True):
        rows_of[group] = rows[inside[start:end]]
    there = []  # word by word: its images in all its groups, joined at once for all words, take gigabytes
    for names in groups_of_words:
        has_word = np.zeros(len(mask), bool)
        for group in names:
            has_word[rows_of.get(group, NONE)] = True
        there.append(np.flatnonzero(has_word).astype(np.int32))
    ids = np.repeat(np.arange(len(there), dtype=np.int32), [len(part) for part in there])
    return _made(np.concatenate([*there, NONE]), ids, CONCEPT, groups_of_words.index.tolist())


def _columns(study: StudyReader, mask: np.ndarray) -> Tokens:
    """Collect the values of extra columns with few distinct texts, booleans or integers."""
    if not study.has("attributes"):
        return _none(COLUMN)
    sources = slice_columns(study)
    parts = [_none(COLUMN)]
    inside = np.flatnonzero(mask)
    for column in study.columns("attributes"):
        if sources.get(column) != "attributes" or column == "image_id":
            continue
        values = study.table("attributes", [column])[column]
        if len(values) != study.n_images or pd.api.types.is_float_dtype(values):
            continue
        values = values.iloc[inside]
        known_here = values.dropna()
        if len(known_here) and not isinstance(known_here.iloc[0], (str, bool, np.bool_, int, np.integer)):
            continue  # lists, dates, decimals are not traits, and lists cannot be counted
        codes, names = pd.factorize(values, use_na_sentinel=True, sort=False)
        if 2 <= len(names) <= MOST_VALUES:
            there = codes >= 0
            parts.append(_made(inside[there], codes[there], COLUMN, [_text(name) for name in names], column))
    return _together(parts)


def _pictures(study: StudyReader, mask: np.ndarray) -> Tokens:
    """Collect pictures that are dark, blurred, small … or that repeat others."""
    parts = [_none(PICTURE)]
    for column, low, high in picture_cuts(study):
        values = column_values(study, column).to_numpy(np.float64, na_value=np.nan)
        rows = np.flatnonzero((values >= low) & (values <= high) & mask)
        parts.append(_made(rows, np.zeros(len(rows)), PICTURE, [Cut(column, low, high).text], column))
    for column in _picture_truths(study):
        rows = np.flatnonzero(_picture_truth(study, column) & mask)
        parts.append(_made(rows, np.zeros(len(rows)), PICTURE, ["true"], column))
    return _together(parts)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, (bool, np.bool_)) else str(value)
