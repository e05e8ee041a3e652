"""The page Images: both splits in one grid."""

from __future__ import annotations

import numpy as np

from core.store import open_study
from dashboard.panels import marks
from tests.dashboard.conftest import tiles


def test_both_splits__stand_in_one_grid_without_an_accuracy_of_train_images(studies, open_page):
    study = open_study(studies / "demo")
    alone = open_page("images", study="demo")
    assert {tile["id"] for tile in tiles(alone, "images_gallery")} <= set(np.flatnonzero(study.is_val))
    assert any(one.value.endswith("** correct") for one in alone.markdown)
    both = open_page("images", study="demo", images_both="true")
    assert not both.exception
    assert [tile["id"] for tile in tiles(both, "images_gallery")] == list(range(48))
    assert not study.is_val[:48].any()
    assert any(one.value == f"**{study.n_images}** images" for one in both.markdown)
    assert not any(one.value.endswith("** correct") for one in both.markdown)


def test_exported_list__is_called_by_the_filter_that_holds_its_images(studies, open_page, monkeypatch):
    filters = []
    monkeypatch.setattr(marks, "download", lambda *given, **_: filters.append(given[2]))
    for where, expected in (
        ("label=bee correct=false", "split=val label=bee correct=false"),
        ("", "split=val"),
        ("split=train", "split=train"),
    ):
        app = open_page("images", study="demo", where=where)
        app.session_state["images_bar_export"] = True
        assert not app.run().exception
        assert str(filters[-1]) == expected
    app = open_page("images", study="demo", images_both="true")
    app.session_state["images_bar_export"] = True
    assert not app.run().exception and str(filters[-1]) == ""
