"""The images that are marked in a gallery: in this session all, in the link the first."""

from collections.abc import Sequence

import streamlit as st

from core.store import Study
from dashboard.state import session

MAX_PICKED = 60  # more would make a URL nobody can paste
_PICKED = "_picked"  # all marked images


def picked_rows(study: Study) -> list[int]:
    """Rows of the images marked in a gallery; ids that this study does not hold are left out."""
    linked = st.query_params.get_all(session.PICKED)
    marked = st.session_state.get(_PICKED, [])
    return session.rows_held(study, marked if marked[:MAX_PICKED] == linked else linked)


def pick_rows(study: Study, rows: Sequence[int]) -> None:
    """Replace the marked images; the link names the first MAX_PICKED, this session knows all."""
    names = [str(study.column("images", "image_id").iat[row]) for row in rows]
    st.session_state[_PICKED] = names
    session.set_url(session.PICKED, names[:MAX_PICKED])
