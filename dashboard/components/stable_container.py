"""A place on the page that stays, whatever is drawn in it."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import streamlit as st

P = ParamSpec("P")
T = TypeVar("T")


def stable_container(draw: Callable[P, T]) -> Callable[P, T]:
    """Draw a part of a page in a container of its own, so that what follows keeps its place.

    For each part that draws now more, now less. Streamlit knows elements by their place: where one moves, the
    browser holds two of it for a moment, and when the old one goes, so does its tie to the address. An empty
    container takes no room.
    """

    @wraps(draw)
    def in_its_place(*args: P.args, **kwargs: P.kwargs) -> T:
        with st.container():
            return draw(*args, **kwargs)

    return in_its_place
