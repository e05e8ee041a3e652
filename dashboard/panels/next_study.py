"""Studies that were made of one study: with its corrected labels, or with the head of a remedy."""

from collections.abc import Callable, Iterable
from functools import partial

import streamlit as st

from core.store import Study
from dashboard.components import widgets
from dashboard.components.page_link import link
from dashboard.state import session

Comparison = Callable[[str], tuple[Study, dict[str, str]]]


def open_made(names: Iterable[str], started: str, comparison: Comparison, *, key: str) -> bool:
    """Draw for each study that was made a button that opens it and a link that compares it; return whether
    there is any, so that making one more is no longer the first thing to do.

    Args:
        names: of those whose images are read. started: the one that this session started; "" for none.
        comparison: the study, and parts of the address of *Compare*, where one is compared with this one.
    """
    made = list(names)
    for name in dict.fromkeys([*made, *filter(None, [started])]):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                f"Open {widgets.plain(name)}",
                key=f"{key}_open_{name}",
                type="primary",
                icon=":material/arrow_forward:",
                on_click=partial(session.go_to_study, name),
            )
            if name in made:
                of, query = comparison(name)
                link("compare", "Compare", of, icon="difference", **query)
    return bool(made or started)
