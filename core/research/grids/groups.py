"""Rows of a table by values of some columns."""

from collections.abc import Iterator
from typing import Any

import pandas as pd


def by_values(frame: pd.DataFrame, names: list[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Yield each combination of values of some columns, as they first appear, with its rows.

    >>> table = pd.DataFrame({"kind": ["b", "a", "b"], "n": [1, 2, 3]})
    >>> [(values, rows["n"].tolist()) for values, rows in by_values(table, ["kind"])]
    [(('b',), [1, 3]), (('a',), [2])]
    """
    for values, rows in frame.groupby(names, sort=False):
        yield values if isinstance(values, tuple) else (values,), rows
