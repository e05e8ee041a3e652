"""Read table columns as plain arrays: an absent column is undefined everywhere, not an error."""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pandas as pd

from core.common.captions import with_class_names


def numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    """(n_rows,) float64 values of a column; NaN where missing, and everywhere when the column is absent."""
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    return cast(pd.Series, frame[column]).to_numpy(dtype=np.float64, na_value=np.nan)


def words(frame: pd.DataFrame, column: str) -> list[str]:
    """Return the texts of a column; empty where missing, and everywhere when the column is absent."""
    if column not in frame.columns:
        return [""] * len(frame)
    column_values = cast(pd.Series, frame[column])
    texts = column_values.to_numpy(dtype=object)
    return np.where(column_values.isna().to_numpy(), "", texts).astype(str).tolist()


def as_text(name: str) -> str:
    """Escape a name so that plotly draws it as is: plotly interprets tags and entities in every text.

    A WordNet id is drawn as its name.
    """
    return with_class_names(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def where(frame: pd.DataFrame, mask: np.ndarray) -> pd.DataFrame:
    """Return the rows of a bool mask, in order, with a new index from 0."""
    return frame.take(np.flatnonzero(mask)).reset_index(drop=True)


def equals(frame: pd.DataFrame, column: str, value: str) -> np.ndarray:
    """(n_rows,) bool: True where the column's text is `value`."""
    if column not in frame.columns:
        return np.zeros(len(frame), bool)
    texts = cast(pd.Series, frame[column]).to_numpy(dtype=object, na_value="")
    return np.asarray(texts == value, dtype=bool)


def select(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return these columns of a table that holds them all."""
    return cast(pd.DataFrame, frame[names])


def by_values(frame: pd.DataFrame, names: list[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Yield each combination of values of some columns, as they first appear, with its rows.

    >>> table = pd.DataFrame({"kind": ["b", "a", "b"], "n": [1, 2, 3]})
    >>> [(values, rows["n"].tolist()) for values, rows in by_values(table, ["kind"])]
    [(('b',), [1, 3]), (('a',), [2])]
    """
    for values, rows in frame.groupby(names, sort=False):
        yield values if isinstance(values, tuple) else (values,), rows


def columns(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """List those of `names` that are columns of the table and hold any value, in the order of `names`."""
    with_values = [
        name for name in names if name in frame.columns and bool(np.any(~pd.isna(frame[name].to_numpy())))
    ]
    return cast(pd.DataFrame, frame[with_values])
