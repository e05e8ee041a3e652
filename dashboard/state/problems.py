"""Problems with typed text, from the run that tried it to the one that shows them."""

from collections.abc import Callable

import streamlit as st

from core.errors import PeregrineError

_PROBLEMS = "_problems"


def keep(of: str, reason: str | None) -> None:
    """Remember why what was typed somewhere cannot be used, or (None) that it now can."""
    st.session_state.setdefault(_PROBLEMS, {})[of] = reason


def of_text(of: str) -> str | None:
    """Return why the text typed there cannot be used."""
    return st.session_state.get(_PROBLEMS, {}).get(of)


def take(of: str) -> str | None:
    """Return that reason and forget it."""
    return st.session_state.get(_PROBLEMS, {}).pop(of, None)


def attempt(of: str, act: Callable[[], object], then: Callable[[], object] = lambda: None) -> None:
    """Act, and go on with `then`; where that is not possible, the reason is kept. Meant for callbacks."""
    try:
        act()
    except PeregrineError as error:
        keep(of, str(error))
    else:
        then()
