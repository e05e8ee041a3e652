"""One of a few options, as a row of buttons whose choice is part of the link."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import streamlit as st

from dashboard.state import session


def choose_one(
    label: str,
    options: Iterable[str],
    *,
    key: str,
    default: str | None = None,
    on_change: Callable[..., None] | None = None,
    args: tuple[Any, ...] | None = None,
) -> str:
    """Draw the row and return the chosen option.

    A link that names another one gives a note and the default.

    Args:
        label: read by screen readers; not shown.
        key: of the widget, and its part of the link.
        default: what is chosen where the link names nothing; None: the first option.
    """
    among = list(options)
    session.drop_unknown(key, among)
    first = among[0] if default is None else default
    choice = st.segmented_control(
        label,
        among,
        default=first,
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
        on_change=on_change,
        args=args,
    )
    return choice or first
