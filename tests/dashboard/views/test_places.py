"""Whatever is chosen, every part of a page that stands in the address keeps its place.

Streamlit tells elements apart by their place. Where one moves, the browser holds two copies of it for a
moment, and with the old copy its tie to the address goes: what is chosen next would not be in the link.
"""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from dashboard.state.session import STUDY
from tests.dashboard.views.test_pages import VIEWS
from tests.sampling import pairs_of, sample

pytestmark = pytest.mark.slow

Place = tuple[int, ...]
MOST_OPTIONS = 4  # of a list that are tried


def places(app: AppTest) -> dict[str, Place]:
    """Of each part in the address, by its name there: the places of the blocks around it, and its own."""
    found = {}

    def walk(block: Block, place: Place) -> None:
        for at, child in block.children.items():
            if isinstance(child, Block):
                walk(child, (*place, at))
            elif name := getattr(child.proto, "query_param_key", ""):
                found[name] = (*place, at)

    walk(app._tree, ())
    return found


def choices(app: AppTest) -> dict[str, list[Any]]:
    """The other values, by key, of everything on the page that can be chosen from or switched."""
    found: dict[str, list[Any]] = {}
    one: Any
    for one in (*app.get("button_group"), *app.selectbox, *app.get("multiselect")):
        several = isinstance(one.value, list)
        options = [[], *([option] for option in one.options)] if several else one.options
        found[one.key] = [option for option in options[:MOST_OPTIONS] if option != one.value]
    for one in app.toggle:
        found[one.key] = [not one.value]
    for one in (*app.number_input, *app.slider):
        found[one.key] = [end for end in (one.min, one.max) if end != one.value]
    return {
        key: values for key, values in found.items() if key and key != STUDY
    }  # another study is another page


@pytest.fixture
def pair(shelf, worded_study, monkeypatch):
    """Two complete studies over the same images."""
    for name in ("one", "two"):
        shelf.serve(name, worded_study)
    monkeypatch.setenv("PEREGRINE_STUDIES", str(shelf.folder))


@pytest.mark.exhaustive("test_the_filter_moves_no_part_in_the_address finds the same")
@pytest.mark.parametrize("view", sample(VIEWS[::-1], 6))
def test_parts_in_the_address_keep_their_places(view, pair, open_page):
    app = open_page(view, study="one")
    before = places(app)
    assert before or view in ("figures", "try_picture")
    moved = []
    for key, values in choices(app).items():
        usual = app.session_state[key]
        for value in values:
            app.session_state[key] = value
            app.run()
            assert not app.exception, (key, value)
            now, by = places(app), f"by {key} = {value}"
            moved += [f"{name} {by}" for name in now.keys() & before if now[name] != before[name]]
        app.session_state[key] = usual
        app.run()
        assert places(app) == before, key
    assert not moved


@pytest.mark.parametrize(
    ("view", "where"), sample(pairs_of(VIEWS, ("correct=0", "split=train", "q_score=9..")), 6)
)
def test_the_filter_moves_no_part_in_the_address(view, where, pair, open_page):
    app = open_page(view, study="one")
    before = places(app)
    app.query_params["where"] = where
    app.run()
    assert not app.exception
    kept = places(app).items()
    assert {name for name, place in kept if name in before} == {name for name, place in kept & before.items()}
