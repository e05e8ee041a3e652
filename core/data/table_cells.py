"""Cells of a table as labels, which may be several in one, and as further columns."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd

from core.common.arrow_tables import BATCH, n_different, texts_of_codes
from core.common.label_match import plain
from core.common.records import Record
from core.common.score_names import SCORES
from core.data.columns import ONES, PLACES, ColumnChoice, is_localised, say_of_columns, texts_or_empty

# Labels that are several in one cell: `rust|scab`, `16 0`, `['copd', 'edema']`; none need stand alone.


SURE = ("|", ";")
MARKS = (*SURE, ",", "+", "&")
BLANK = " "
MOST = 0.5  # share of the parts that come again
NEARLY_ALL = 2 / 3  # of the parts, where a column is called as one of several labels is
PLURALS = frozenset(("labels", "tags", "classes", "categories", "attributes", "findings", "genres"))
FEWEST = 3  # joined names, where blanks are the only evidence


def _labels_in_cell(name: str, mark: str) -> list[str]:
    """Return the several labels in one cell of a user's table of images.

    >>> _labels_in_cell("['copd', 'edema']", ","), _labels_in_cell(" a  b ", " ")
    (['copd', 'edema'], ['a', 'b'])
    """
    words = _unlisted(name).split(None if mark == BLANK else mark)
    return [part for word in words if (part := word.strip(" '\""))]


def _unlisted(name: str) -> str:
    """Return a cell of a user's label table without brackets and quotes of a list as Python writes it.

    >>> _unlisted("['normal']"), _unlisted("[0, 1]"), _unlisted("cat [1]")
    ('normal', '0, 1', 'cat [1]')
    """
    is_list = name.startswith("[") and name.endswith("]")
    inner = name[1:-1].strip() if is_list else name
    return inner.strip("'\"") if is_list and "," not in inner else inner


def _joining_mark(names: Collection[str], column: str = "") -> tuple[str, list[str]] | None:
    """Return what stands between several labels in one cell, and the names with several; else None.

    A bar and a semicolon always do, and the comma of a list in brackets. Another mark does where the parts
    come again, alone or in other names; a blank also between numbers, and in names whose words are joined by
    underscores, and where the column is called so (`tags`) and most parts come again.
    """
    lists = [name for name in names if name.startswith("[") and name.endswith("]") and "," in name]
    if lists and 2 * len(lists) >= sum(name.startswith("[") for name in names):
        return ",", lists
    for mark in (*MARKS, BLANK):
        parts = {name: labels for name in names if len(labels := _labels_in_cell(name, mark)) > 1}
        of_several = mark == BLANK and column.lower() in PLURALS
        if parts and _are_labels(mark, parts, set(names), of_several=of_several):
            return mark, list(parts)
    return None


def _are_labels(
    mark: str, parts: Mapping[str, Sequence[str]], names: Collection[str], *, of_several: bool
) -> bool:
    if mark in SURE:
        return True
    words = {word for labels in parts.values() for word in labels}
    if mark == BLANK and len(parts) > 1 and all(word.isdecimal() for word in words):
        return True
    joined_words = mark == BLANK and any("_" in word for word in words)
    if len(parts) < 2:
        n_alone = sum(word in names for word in words)
        return n_alone > 0 if joined_words else 2 * n_alone > len(words) and mark != BLANK
    n_names = Counter(word for labels in parts.values() for word in set(labels))
    again = [word in names or n_names[word] > 1 for labels in parts.values() for word in labels]
    if mark != BLANK or joined_words:
        return sum(again) > MOST * len(again)
    if of_several and all(word.isalpha() for word in words):
        return sum(again) > NEARLY_ALL * len(again)
    return all(again) and (len(parts) >= FEWEST or words <= set(names))


# Cells of a table as labels and as further columns: text stays text where numbers would make one of two.


WHOLE, LONG = r"[+-]?\d+", r"[+-]?\d{16,}"  # the latter a float may round
WHOLE_FLOAT = r"[+-]?\d+\.0+"
LEADING_ZERO = r"[+-]?0\d"
OWN = frozenset(  # columns of the tables of a study, beside which one of the same name is not seen
    ("predicted", "confidence", "margin", "energy", "correct", "top5_correct", "true", *SCORES)
)
SHOWN = 2  # names of several labels


def one_hot_labels(frame: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Return for each row of a user's label table the name of the first column that is 1."""
    codes = np.zeros(len(frame), np.int32)
    for code in range(len(names) - 1, -1, -1):
        codes[texts_or_empty(cast(pd.Series, frame[names[code]])).isin(ONES)] = code
    return texts_of_codes(codes, names)


def labels_of_cells(labels: pd.Series) -> tuple[pd.Series, list[Record]]:
    """Return labels with whole numbers for 1.0, 2.0 …, and notes on several labels in one cell."""
    filled = cast(pd.Series, labels.dropna())
    notes: list[Record] = []
    column = str(labels.name)
    if len(filled) and filled.str.fullmatch(WHOLE_FLOAT).all():
        labels = labels.str.replace(r"\.0+$", "", regex=True)
        notes.append(say_of_columns("whole_numbers"))
    if is_localised(filled):
        labels = cast(pd.Series, labels.str.partition(" ")[0])
        filled = cast(pd.Series, labels.dropna())
        notes.append(say_of_columns("localised", what=column))
    counts = filled.value_counts()
    notes += _written_twice(map(str, counts.index))
    if (joined := _joining_mark(list(map(str, counts.index)), column)) is not None:
        mark, several = joined
        n = int(counts[several].sum())
        names = tuple(f"'{name}'" for name in several[:SHOWN])
        notes.append(say_of_columns("several_labels", n=n, of=len(labels), what=mark, names=names))
    return labels, notes


def _written_twice(names: Iterable[str]) -> list[Record]:
    """Name the classes that differ only in case, spaces and underscores: they stay two."""
    written: dict[str, list[str]] = defaultdict(list)
    for name in names:
        written[plain(name)].append(name)
    twice = [name for alike in written.values() if len(alike) > 1 for name in sorted(alike)]
    return [say_of_columns("same_class", names=tuple(twice[:6]), n=len(twice))] if twice else []


def unhidden(extras: pd.DataFrame | None) -> tuple[pd.DataFrame | None, list[Record]]:
    """Rename columns of a user's table called as a study's answers and scores, which they would hide."""
    names = [] if extras is None else [str(name) for name in extras if str(name) in OWN]
    if extras is None or not names:
        return extras, []
    renamed = {name: f"table_{name}" for name in names if f"table_{name}" not in extras}
    note = say_of_columns("renamed", names=tuple(renamed), what=renamed[names[0]] if renamed else names[0])
    return extras.rename(columns=renamed), [note]


def with_places(
    frame: pd.DataFrame, extras: pd.DataFrame | None, decision: ColumnChoice
) -> tuple[pd.DataFrame | None, list[Record]]:
    """Add the groups of group-DRO's tables, y and place of an image in one column, where a table has both."""
    label = decision.columns.get("label", "")
    place_column = next((name for name in PLACES if extras is not None and name in extras), None)
    if label != "y" or place_column is None or extras is None or "y_x_place" in extras:
        return extras, []
    of_label, of_place = (texts_or_empty(cast(pd.Series, frame[name])) for name in (label, place_column))
    both = of_label + " x " + of_place
    return extras.assign(y_x_place=both.astype("str")), [say_of_columns("groups", what=place_column)]


def text_column(column: pd.Series) -> pd.Series:
    """Convert a column of a user's table to text, missing where empty; whole numbers stay whole."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    text = column.astype("str")
    is_filled = column.notna() & (text != "")
    return text if is_filled.all() else text.where(is_filled)


def further_columns(frame: pd.DataFrame, *, plain: bool = False) -> pd.DataFrame | None:
    """Return the columns of a user's table without a role, missing where empty; None if there are none.

    Args:
        plain: the file has only text: columns whose cells are all numbers become numbers. A file with types
            says itself what is text.
    """
    if frame.columns.empty:
        return None
    columns = {name: cast(pd.Series, frame[name]) for name in frame.columns}
    texts = {name: column for name, column in columns.items() if pd.api.types.is_string_dtype(column)}
    filled = {name: text_column(text) for name, text in texts.items()}
    if plain:
        filled = {name: _as_numbers(one) for name, one in filled.items()}
    return pd.DataFrame(columns | filled)


def _numbers_of(filled: pd.Series) -> pd.Series | None:
    """The numbers of a column, some rows at a time; None where a cell that is filled is none."""
    parts = []
    for start in range(0, len(filled), BATCH):
        part = filled.iloc[start : start + BATCH]
        numbers = cast(pd.Series, pd.to_numeric(part, errors="coerce"))
        if not (numbers.notna() == part.notna()).all():
            return None
        parts.append(numbers)
    return cast(pd.Series, pd.concat(parts)) if parts else None


def _as_numbers(filled: pd.Series) -> pd.Series:
    """A column as numbers, whole ones also beside gaps; as text where numbers would make one of two cells."""
    numbers = _numbers_of(filled)
    if numbers is None or not numbers.notna().any():
        return filled
    if filled.str.match(LEADING_ZERO).any() or numbers.nunique() < n_different(filled.dropna()):
        return filled  # "01" and "1", "1.10" and "1.1" are different patients, versions, places
    if not pd.api.types.is_float_dtype(numbers):
        return numbers
    if filled.str.fullmatch(LONG).any():
        return filled  # ids beside missing ones: rounded, they would be others
    is_whole = filled.str.fullmatch(WHOLE) | filled.isna()
    return numbers.astype("Int64") if is_whole.all() else numbers
