"""A table of which a row can be picked."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.state import session

HEAD, LINE = 38, 35  # pixels of the titles and of a row


def pick_row(
    frame: pd.DataFrame,
    columns: Mapping[str, Any],
    on_pick: Callable[[int], None],
    *,
    key: str,
    alt: str,
    height: int,
) -> None:
    """Show a table, at most `height` pixels of it; a click calls `on_pick` with the position of the row.

    columns: of `st.column_config`, by name.
    """

    def picked() -> None:
        if rows := session.selected_rows(key):
            on_pick(rows[0])

    st.dataframe(
        frame,
        key=key,
        hide_index=True,
        height=min(HEAD + LINE * len(frame), height),
        on_select=picked,
        selection_mode="single-row",
        alt=alt,
        column_config=columns,
    )
