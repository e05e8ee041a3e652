"""Go to anything by name: where each choice leads."""

from __future__ import annotations

import pytest

from core.slices import saved_slices
from core.slices.slice import Slice
from core.store import open_study
from dashboard.panels.menus import palette
from dashboard.state import session


@pytest.fixture
def chosen(studies, open_page, monkeypatch):
    """Type a text into the open dialog; gives the page gone to, and what its address holds."""
    gone: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(session, "go", lambda page, **shown: gone.append((page, shown)))

    def choose(text: str):
        app = open_page("images", study="demo")
        app.button(key="palette_open").click().run()
        assert not app.exception
        box = app.selectbox(key=palette.CHOICE)
        box.set_value(text).run()
        assert not app.exception
        return gone[-1] if gone else None, app

    return choose


def test_page_and_feature(chosen, studies):
    assert chosen("Errors")[0] == ("errors", {})
    assert chosen("Feature 3")[0] == ("feature", {"feature": "3"})


@pytest.mark.parametrize("text", ["#3", "feature 3", "Feature #3"])
def test_feature__by_its_number_however_it_is_written(text, studies):
    assert palette._feature(open_study(studies / "demo"), text) == 3


def test_class__is_the_filter_of_its_features(chosen, studies):
    label = open_study(studies / "demo").class_names[0]
    gone, app = chosen(f"Class {label}")
    assert gone == ("features", {})
    assert app.query_params["where"] in ([f"label={label}"], f"label={label}")


def test_saved_slice__is_the_filter(chosen, studies):
    saved_slices.save(studies / "demo", "odd <b> ones", Slice.parse("split=train"))
    gone, app = chosen("Slice odd <b> ones")
    assert gone is not None and gone[0] == "images"
    assert app.query_params["where"] in (["split=train"], "split=train")
