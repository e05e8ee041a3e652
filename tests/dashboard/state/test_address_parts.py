"""Whose the parts of the address are, and what another study does to them."""

from __future__ import annotations

import pytest
from streamlit.runtime.state.query_params import QueryParams

from core.store import open_study
from dashboard.state.address_parts import FEATURES, READER, STUDY, owner
from dashboard.state.pages import PAGES

TABS = {
    "errors": [("errors_tab", name) for name in ("Confusions", "Compare two", "Wrong labels")],
    "features": [("features_as", name) for name in ("Table", "Plot", "Words", "Groups", "Bases")],
    "heatmaps": [("heat_part", "Mean representations")],
    "images": [("search", "red")],
    "compare": [("compare_what", name) for name in ("Leaderboard", "Answers")],
}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_table__names_every_part_that_a_page_reads_or_binds(page, worded, second, open_page, monkeypatch):
    bound: set[str] = set()
    bind_widget = QueryParams.bind_widget

    def bind(self, param_key, *further, **named):
        bound.add(param_key)
        return bind_widget(self, param_key, *further, **named)

    monkeypatch.setattr(QueryParams, "bind_widget", bind)
    for query in ({}, *(dict([tab]) for tab in TABS.get(page, ()))):
        app = open_page(page, study="seen", **query)
        assert not app.exception
        parts = bound | app.session_state["_read_from_url"]
        assert len(parts) > 3
        assert [part for part in parts if owner(part) is None] == []


@pytest.mark.parametrize(
    ("part", "whose"),
    [
        ("answer", STUDY), ("basis", STUDY), ("search", STUDY), ("slice", STUDY), ("images_page", STUDY),
        ("feature", FEATURES), ("without", FEATURES), ("compare_feature", FEATURES),
        ("where", READER), ("images_sort", READER), ("features_as", READER), ("nothing", None),
    ],
)  # fmt: skip
def test_owner(part, whose):
    assert owner(part) == whose


def parts_of(app) -> dict[str, list[str]]:
    return {
        name: [values] if isinstance(values, str) else list(values)
        for name, values in app.query_params.items()
    }


def test_another_study__takes_the_readers_choices_alone(second, open_page):
    label = open_study(second).class_names[0]
    app = open_page(
        "images", study="demo", where=f"label={label} fires=3 correct=false",
        search="a red ball", images_sort="Confidence, lowest first", image="val/000083",
    )  # fmt: skip
    assert not app.exception and app.text_input(key="search_field").value == "a red ball"
    app.selectbox(key="study_field").set_value("second").run()
    assert not app.exception
    assert [one.value for one in app.text_input if one.label == "Search"] == [""]
    assert parts_of(app) == {
        "study": ["second"],
        "where": [f"label={label} correct=false"],
        "images_sort": ["Confidence, lowest first"],
    }
    (notice,) = [one.value for one in app.info]
    assert "features" in notice
