"""Cached reads of the map; the rules are those of `reader.py`."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.charts import maps
from core.charts.maps import Colouring
from core.charts.theme import theme_named
from core.common.captions import with_class_names
from core.common.dataframes import numbers
from core.common.score_names import NUMBERS, score_label
from core.measures.evaluate import OF_PICTURES as TABLES_OF_PICTURES
from core.measures.evaluate import class_column, column_values, slice_columns
from core.measures.feature_rates import feature_differences
from core.measures.image_columns import REPEATS
from core.measures.map_clusters import Cluster, named_clusters
from core.measures.slice import Slice
from core.measures.slice_comparison import split_of
from core.measures.slice_words import different_words, slice_words
from core.store import Study
from dashboard.cache import reads
from dashboard.cache.reader import cached_read

MOST_POINTS = 100_000
MOST_NAMES = 100  # different values of a column that colours a map
ATTRIBUTE = "attribute:"  # before the name of a further column of the images
PICTURE = "picture:"  # before that of a column of numbers of the pictures themselves
OF_PICTURES = ("turned", *REPEATS)  # truths of the pictures themselves
AMOUNTS = (*NUMBERS, "nearest_train")
TITLES = {"label": "Class", "predicted": "Predicted class"}
TRUTHS = {"true": "yes", "false": "no"}  # as a filter writes them, and in words
SEED = 0
SIGNIFICANT = 0.05  # q of a feature or a word that sets a selection apart
LEANING = 5  # features that are listed where none is significantly more common


@dataclass(frozen=True)
class Said:
    """One line about each image: numbers (n,), NaN for none, or places in `words` (-1 for none)."""

    name: str
    values: np.ndarray
    words: tuple[str, ...] = ()


PARTS = ("rest_umap", "rest", "prefix_umap", "prefix")  # maps of the parts of a representation


def kinds(study: Study) -> list[str]:
    """The maps that the study holds, UMAP first: it shows groups that PCA draws on top of one another."""
    columns = study.columns("domain_map") if study.has("domain_map") else ()
    whole = [kind for kind in ("umap", "pca") if study.has(f"map_{kind}")]
    return whole + [part for part in PARTS if f"x_{part}" in columns]


def places(study: Study, kind: str) -> np.ndarray:
    """(n_images, 2) float32, read-only."""
    return _part_places(study, kind) if kind in PARTS else reads.vector(study, f"map_{kind}")


@cached_read(max_entries=4)
def _part_places(study: Study, part: str) -> np.ndarray:
    table = reads.table(study, "domain_map", (f"x_{part}", f"y_{part}"))
    return table.to_numpy(np.float32)


def drawn_rows(study: Study, where: Slice, by: str) -> tuple[np.ndarray, np.ndarray]:
    """Which images are drawn, from the lowest to the topmost, and which of these are in the slice.

    The images of the slice are drawn over the others of its split, which are dimmed. At most MOST_POINTS are
    drawn, those of the slice first: a seeded sample in a seeded order, so that no class lies on top. The
    misclassified images, which are few, lie above the others where the verdict gives the colour.
    """
    inside = reads.mask(study, where)
    order = np.random.default_rng(SEED).permutation(study.n_images)
    topmost = order[inside[order]][:MOST_POINTS]
    others = order[(split_of(study, where) & ~inside)[order]][: MOST_POINTS - len(topmost)]
    if by == "correct":
        wrong = numbers(reads.images(study), "correct")[topmost] == 0
        topmost = topmost[np.argsort(wrong, kind="stable")]
    return np.concatenate([others, topmost]), np.arange(len(others) + len(topmost)) >= len(others)


@cached_read(max_entries=16, names_features=True)
def clusters(study: Study, kind: str, split: str | None) -> tuple[Cluster, ...]:
    """The clusters of a map among the images of a split (None: all) that have a name, the largest first."""
    return tuple(named_clusters(study, places(study, kind), reads.mask(study, Slice(split=split))))


@cached_read(max_entries=8)
def attributes(study: Study) -> list[str]:
    """The further columns of the images that can colour a map: few different names, truths or numbers."""
    columns = []
    for column, table in slice_columns(study).items():
        if table == "attributes":
            values = pd.Series(study.table("attributes", [column])[column]).dropna()
            plain = len(values) > 0 and isinstance(values.iloc[0], str | bool | np.bool_ | int | np.integer)
            if column != "image_id" and plain and 2 <= values.nunique() <= MOST_NAMES:
                columns.append(column)
        elif column in OF_PICTURES and pd.Series(column_values(study, column)).nunique() == 2:
            columns.append(column)
    return columns


@cached_read(max_entries=8)
def amounts(study: Study) -> list[str]:
    """The columns of numbers that pictures have and that differ between them."""
    there = [column for column in AMOUNTS if slice_columns(study).get(column) in TABLES_OF_PICTURES]
    return [column for column in there if column_values(study, column).nunique() > 1]


def names_by(study: Study, by: str) -> np.ndarray | None:
    """(n_images,) object: the value of each image that gives its colour; None where `by` gives no names."""
    if by in TITLES:
        return reads.images(study)[by].to_numpy(object)
    if not by.startswith(ATTRIBUTE):
        return None
    column = by.removeprefix(ATTRIBUTE)
    return _attribute(study, column) if column in attributes(study) else None


@cached_read(max_entries=32)
def classes_tell(study: Study) -> bool:
    """See `maps.names_tell`: of the classes of all images."""
    labels = class_column(study, "label")
    return maps.names_tell(labels[labels >= 0])


@cached_read(max_entries=16)
def _attribute(study: Study, column: str) -> np.ndarray:
    values = column_values(study, column)
    texts = [None if pd.isna(value) else _text(value) for value in values]
    return np.array(texts, object)


def _text(value: object) -> str:
    return TRUTHS[str(value).lower()] if isinstance(value, bool | np.bool_) else str(value)


def filter_values(study: Study, column: str) -> dict[str, str]:
    """What a filter calls the values of a further column, by what the map calls them."""
    if column not in attributes(study):
        return {}
    values = column_values(study, column).dropna()
    truths = len(values) and isinstance(values.iloc[0], bool | np.bool_)
    names = {name for name in _attribute(study, column) if name is not None}
    return {TRUTHS[name]: name for name in TRUTHS} if truths else {name: name for name in names}


def outlined(study: Study, kind: str, where: Slice, outline: tuple[tuple[float, float], ...]) -> np.ndarray:
    """(m,) int64: rows of a slice that lie within an outline, drawn or not."""
    inside = _inside(study, kind, outline)
    return np.flatnonzero(inside & reads.mask(study, where))


@cached_read(max_entries=16)
def set_apart(
    study: Study, kind: str, where: Slice, outline: tuple[tuple[float, float], ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The features and the words that are significantly more common on the images of a slice within an
    outline than on its others, the largest difference first: see `feature_differences` and `slice_words`.
    Where no feature is, the LEANING that are more common by the largest difference, which could be chance.
    """
    inside = _inside(study, kind, outline) & reads.mask(study, where)
    others = reads.mask(study, where) & ~inside
    tables = feature_differences(study, inside, others), pd.DataFrame({"difference": [], "q": []})
    if study.has("concepts"):
        tables = tables[0], slice_words(study, inside, others)
    more = tables[0].loc[tables[0]["difference"] > 0]
    features, words = (table.loc[(table["difference"] > 0) & (table["q"] <= SIGNIFICANT)] for table in tables)
    features = more.head(LEANING) if features.empty else features
    return features, words.loc[words["word"].isin(different_words(words["word"]))] if len(words) else words


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
    """A colour for every image of the study: by a name (see `names_by`), correct, activation or a score."""
    look, images = theme_named(theme), reads.images(study)
    if by == "correct":
        return maps.by_verdict(numbers(images, "correct"), theme=look)
    if by == "activation":
        values = activation(study, feature)
        return maps.by_amount(values, title=reads.feature_name(study, feature), theme=look)
    if (names := names_by(study, by)) is not None:
        return maps.by_name(names, title=TITLES.get(by, by.removeprefix(ATTRIBUTE)), theme=look)
    if by.startswith(PICTURE):
        column = by.removeprefix(PICTURE)
        values = column_values(study, column).to_numpy(np.float64, na_value=np.nan)
        return maps.by_amount(values, title=column.replace("_", " ").capitalize(), theme=look)
    return maps.by_amount(numbers(images, by), title=score_label(by), theme=look)


@cached_read(max_entries=4)
def said(study: Study) -> tuple[Said, ...]:
    """What the pointer says of each image of the study: class, answer of the probe, Q."""
    images = reads.images(study)
    lines = []
    for column, name in (("label", "Class"), ("predicted", "Predicted")):
        if images.has_values(column):
            codes, words = images[column].factorize()
            lines.append(
                Said(name, codes.astype(np.int32), tuple(with_class_names(str(word)) for word in words))
            )
    if "q_score" in images:
        lines.append(Said("Q", numbers(images, "q_score").astype(np.float32)))
    return tuple(lines)


@cached_read(max_entries=16)
def _inside(study: Study, kind: str, outline: tuple[tuple[float, float], ...]) -> np.ndarray:
    return maps.inside_outline(places(study, kind), np.array(outline, np.float64).reshape(-1, 2))
