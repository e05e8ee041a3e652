"""Read table columns as plain arrays: an absent column is undefined everywhere, not an error."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import pandas as pd

from core.common.captions import with_class_names


class LazyTable:
    """A table of which a column is read when it is asked for: of a million images, all would be 300 MB.

    It does a part of what a data frame does: `table[name]`, `name in table`, `len(table)`, `table.columns`.
    """

    def __init__(
        self, names: Sequence[str], read: Callable[[str], pd.Series], has_values: Callable[[str], bool]
    ):
        """has_values: tells of a column whether it holds any value, without reading it."""
        self.columns, self._read, self._has_values = list(names), read, has_values

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __len__(self) -> int:
        return len(self._read(self.columns[0]))

    def __getitem__(self, name: str) -> pd.Series:
        if name not in self.columns:
            raise KeyError(name)
        return self._read(name).copy(deep=False)

    def has_values(self, name: str) -> bool:
        """Return True for a column of the table that holds any value."""
        return name in self.columns and self._has_values(name)

    def frame(self, names: Sequence[str] | None = None) -> pd.DataFrame:
        """Return some columns, or all, as a data frame that shares their memory."""
        return pd.DataFrame({name: self[name] for name in names or self.columns}, copy=False)


def has_values(frame: pd.DataFrame | LazyTable, column: str) -> bool:
    """Return True for a column of the table that holds any value."""
    if isinstance(frame, LazyTable):
        return frame.has_values(column)
    return column in frame.columns and bool(cast(pd.Series, frame[column]).notna().any())


def numbers(frame: pd.DataFrame | LazyTable, column: str) -> np.ndarray:
    """(n_rows,) float64 values of a column; NaN where missing, and everywhere when the column is absent."""
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    return cast(pd.Series, frame[column]).to_numpy(dtype=np.float64, na_value=np.nan)


def words(frame: pd.DataFrame | LazyTable, column: str) -> list[str]:
    """Return the texts of a column; empty where missing, and everywhere when the column is absent."""
    if column not in frame.columns:
        return [""] * len(frame)
    column_values = cast(pd.Series, frame[column])
    texts = column_values.to_numpy(dtype=object)
    return np.where(column_values.isna().to_numpy(), "", texts).astype(str).tolist()


def as_text(name: str) -> str:
    """Escape a name so that plotly draws it as it is; a WordNet id is drawn as its name."""
    return with_class_names(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def columns(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """List those of `names` that are columns of the table and hold any value, in the order of `names`."""
    return frame.loc[:, [name for name in names if has_values(frame, name)]]
