"""The address of a page as a saved view keeps it: of any study, so without its name and basis."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

import streamlit as st

from dashboard.state import session

_QUERY = "_query_asked"


def address() -> str:
    """The page as it is now: its name and its query."""
    parameters = {
        name: st.query_params.get_all(name)
        for name in st.query_params
        if name not in (session.STUDY, session.BASIS)
    }
    page, query = session.here()[0], urlencode(parameters, doseq=True)
    return f"{page}?{query}" if query else page


def go_to(kept: str) -> None:
    """Go to an address of `address` in the present study, before the next run. Meant for callbacks."""
    page, _, text = kept.partition("?")
    query = parse_qs(text)
    if page != session.here()[0]:
        return session.go(page, None, **({session.WHERE: ""} | query))
    # Only the browser can put widgets that it holds back to what they are where an address leaves them out.
    study = session.link_query(session.recall(session.STUDY), "")
    st.session_state[_QUERY] = urlencode(study | query, doseq=True)


def take_query() -> str:
    """The query of the present page that the browser is to go to, once; "" for none. For the sidebar."""
    return st.session_state.pop(_QUERY, "")


def told_to_widgets(query: Mapping[str, Any]) -> dict[str, Any]:
    """Set the widgets of the present page that a query names, and reset those that it leaves out; return the
    other parts. Streamlit refuses these in an address that a script writes. Meant for before a page is drawn.
    """
    rest = dict(query)
    for name in {*rest, *st.query_params} - session.OWN:
        if name in st.session_state and name in rest:
            st.session_state[name] = _value(st.session_state[name], rest.pop(name))
        elif name in st.session_state:
            del st.session_state[name]
    return rest


def _value(present: Any, asked: str | list[str]) -> Any:
    """What an address asks for, of the type of the widget's present value; that value where it cannot be."""
    texts = [asked] if isinstance(asked, str) else asked
    if isinstance(present, list | tuple):
        return texts
    if isinstance(present, bool):
        return texts[-1] == "true"
    if not isinstance(present, int | float):
        return texts[-1]
    try:
        return type(present)(texts[-1])
    except ValueError:
        return present
