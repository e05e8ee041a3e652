"""The address of a page as a saved view keeps it: of any study, so without its name and basis."""

from urllib.parse import parse_qs, urlencode

import streamlit as st

from dashboard.state import session


def address() -> str:
    """The page as it is now: its name and its query."""
    kept = {
        name: st.query_params.get_all(name)
        for name in st.query_params
        if name not in (session.STUDY, session.BASIS)
    }
    page, query = session.here()[0], urlencode(kept, doseq=True)
    return f"{page}?{query}" if query else page


def go_to(kept: str) -> None:
    """Go to an address of `address` in the present study, before the next run. Meant for callbacks."""
    page, _, query = kept.partition("?")
    session.go(page, **({session.WHERE: ""} | parse_qs(query)))
