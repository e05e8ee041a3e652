"""The list of features beside a picture: what its two ends are called."""

from __future__ import annotations

import json

from streamlit.testing.v1 import AppTest


def test_ends__are_names_of_classes():
    def page() -> None:
        from dashboard.components.feature_heat_list import feature_heat_list

        feature_heat_list([], key="list", views="pictures", ends=("n01440764", "cat"), on_open=print)

    app = AppTest.from_function(page).run()
    assert not app.exception
    assert json.loads(app.get("bidi_component")[0].proto.json)["ends"] == ["tench", "cat"]
