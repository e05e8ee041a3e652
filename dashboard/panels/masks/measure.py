"""Which definition of the overlap the charts below the scale use."""

from __future__ import annotations

import streamlit as st

from core.charts.overlap_rows import VARIANTS
from dashboard.state import session


def choose_variant() -> str:
    """Draw the choice; return a key of VARIANTS."""
    titles = {title: name for name, title in VARIANTS.items()}
    session.drop_unknown("overlap_variant", titles)
    title = st.selectbox(
        "Measured by",
        list(titles),
        key="overlap_variant",
        bind="query-params",
        width=290,
        label_visibility="collapsed",
    )
    return titles[title]
