"""The map on full, unlabelled and half-finished studies: colours, selection, saving, links."""

from __future__ import annotations

import base64
import json
import shutil

import numpy as np
import pytest

from core import saved_slices
from core.figures import maps
from core.slices import Slice
from core.store import open_study
from dashboard import map_loaders
from tests.dashboard.conftest import all_text, forget, spec, tiles

EVERYWHERE = "-9,-9;9,-9;9,9;-9,9"


def drawn(app, kind="pca") -> dict:
    found = [one.proto for one in app.get("bidi_component") if one.proto.id.endswith(f"-map_{kind}")]
    assert len(found) == 1
    return json.loads(found[0].json)


def unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def test_map__every_image_is_drawn_at_its_place(studies, open_page):
    study = open_study(studies / "demo")
    data = drawn(open_page("map", study="demo"))
    rows = unpacked(data["rows"], "<i4")
    assert sorted(rows) == list(range(study.n_images))
    xy = unpacked(data["xy"], "<f4").reshape(-1, 2)
    np.testing.assert_array_equal(xy, study.vector("map_pca")[rows])
    codes = unpacked(data["codes"], "u1")
    assert [data["names"][code] for code in codes] == study.images["label"].iloc[rows].tolist()
    said = {line["name"]: line for line in data["said"]}
    predicted = unpacked(said["Predicted"]["values"], "<i4")
    expected = study.table("probe")["predicted"].iloc[rows]
    assert [said["Predicted"]["words"][code] for code in predicted] == expected.tolist()
    assert data["pictures"].startswith("thumb/demo/{row}?v=")


@pytest.mark.parametrize(
    "colour", ["Correct or misclassified", "Split", "Q-Score", "Activation of a feature"]
)
def test_map__colours(studies, open_page, colour):
    app = open_page("map", study="demo", map_colour=colour)
    assert not app.exception and not app.error
    data = drawn(app)
    assert bool(data["names"]) == (colour in ("Correct or misclassified", "Split"))
    assert len(set(unpacked(data["codes"], "u1").tolist())) > 1


def test_map__activation_is_that_of_scaled_representations(shared_study):
    study = open_study(shared_study)
    raw = study.array("representations")[:].astype(float)
    expected = raw[:, 5] / np.linalg.norm(raw, axis=1)
    np.testing.assert_allclose(map_loaders.activation(study, 5), expected, rtol=1e-5)


def test_map__link_restores_the_selection_and_it_becomes_a_slice(studies, open_page):
    study = open_study(studies / "demo")
    places = study.vector("map_pca")
    middle = float(np.median(places[:, 0]))
    outline = f"-9,-9;{middle:.6g},-9;{middle:.6g},9;-9,9"
    app = open_page("map", study="demo", map_outline=outline, where="split=val")
    corners = np.array([pair.split(",") for pair in outline.split(";")], float)
    expected = np.flatnonzero(maps.inside(places, corners) & study.is_val)
    assert 0 < len(expected) < study.is_val.sum()
    assert f"**{len(expected)}** selected" in all_text(app)
    assert {tile["id"] for tile in tiles(app, "map_gallery")} <= set(expected.tolist())
    app.text_input(key="map_selected_name").set_value("left <half>")
    next(button for button in app.button if "Save" in button.label and "images" in button.label).click().run()
    assert not app.exception
    saved = saved_slices.get(study.path, "left <half>")
    np.testing.assert_array_equal(np.flatnonzero(saved.mask(study)), expected)


def test_map__a_selection_that_cannot_be_read_is_dropped_with_a_note(studies, open_page):
    for outline in ("1,2;x", "nan,1;2,3;4,5", "1,2,3;4,5,6"):
        app = open_page("map", study="demo", map_outline=outline)
        assert not app.exception
        assert "was dropped" in " ".join(note.value for note in app.info)
        assert "map_outline" not in app.query_params


def test_map__more_points_than_are_drawn_are_all_selected(studies, open_page, monkeypatch):
    monkeypatch.setattr(map_loaders, "MOST_POINTS", 50)
    app = open_page("map", study="demo", map_outline=EVERYWHERE)
    n_images = open_study(studies / "demo").n_images
    assert len(unpacked(drawn(app)["rows"], "<i4")) == 50
    said = all_text(app)
    assert "A random 50 of them are drawn" in said
    assert f"**{n_images}** selected" in said


def test_map__as_a_figure(studies, open_page):
    app = open_page("map", study="demo")
    app.toggle(key="map_figure").set_value(True).run()
    assert not app.exception
    assert sum(len(trace["x"]) for trace in spec(app, "map_chart")["data"]) > 0


def test_map__nothing_matches(studies, open_page):
    app = open_page("map", study="demo", where="q_score=1e9..")
    assert not app.exception
    assert "Nothing matches" in all_text(app)


def test_map__unlabelled_study(studies, unlabelled_study, open_page):
    shutil.copytree(unlabelled_study, studies / "unlabelled")
    app = open_page("map", study="unlabelled", map_outline=EVERYWHERE)
    assert not app.exception and not app.error
    assert "Class" not in app.selectbox(key="map_colour").options


def test_map__before_its_step_says_what_to_run(studies, open_page):
    forget(studies / "demo", "map")
    app = open_page("map", study="demo")
    assert not app.exception
    assert any("python -m core map" in code.value for code in app.code)


def test_map__while_later_steps_are_missing(studies, open_page):
    forget(studies / "demo", "probe", "quality", "failures", "features", "heatmaps", "overlap", "concepts")
    app = open_page("map", study="demo", map_outline=EVERYWHERE)
    assert not app.exception and not app.error
    assert set(app.selectbox(key="map_colour").options) == {"Class", "Split"}


def test_map__too_many_to_save_one_by_one(studies, open_page, monkeypatch):
    from dashboard import selection

    monkeypatch.setattr(selection, "MOST_SAVED", 10)
    app = open_page("map", study="demo", map_outline=EVERYWHERE)
    assert "too many to name one by one" in all_text(app)


def test_saved_name_of_another_slice_is_refused_and_kept(studies, open_page):
    study = open_study(studies / "demo")
    saved_slices.save(study.path, "mine", Slice.parse("split=val"))
    app = open_page("map", study="demo", map_outline=EVERYWHERE)
    app.text_input(key="map_selected_name").set_value("mine")
    next(button for button in app.button if "Save" in button.label and "images" in button.label).click().run()
    assert "already" in " ".join(note.value for note in app.info)
    assert saved_slices.get(study.path, "mine") == Slice.parse("split=val")
