"""A link to a page of the dashboard, with the study, the filter and what else its address says."""

import streamlit as st

from core.measures.slice import Slice
from core.store import Study
from dashboard.state import session


def link(
    page: str,
    label: str,
    study: Study,
    *,
    icon: str | None = None,
    icon_right: str | None = None,
    where: Slice | str | None = None,
    **query: str,
) -> None:
    """Draw the link.

    Args:
        page: a name in `dashboard.state.pages`. icon: of Material; icon_right: one behind the label.
        where: the filter there; None: the present one. query: further parts of the address.
    """
    symbol = icon or icon_right
    st.page_link(
        f"views/{page}.py",
        label=label,
        icon=None if symbol is None else f":material/{symbol}:",
        icon_position="right" if icon_right else "left",
        query_params=session.page_query(page, study, None if where is None else str(where), query),
    )
