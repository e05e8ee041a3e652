"""Parts of tables with their types, which pandas' own annotations leave open."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd


def rows_where(frame: pd.DataFrame, mask: Any) -> pd.DataFrame:
    """Return the rows of a bool mask, under their old index."""
    return cast(pd.DataFrame, frame[mask])


def column(frame: pd.DataFrame, name: str) -> pd.Series:
    return cast(pd.Series, frame[name])
