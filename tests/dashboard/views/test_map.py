"""The map on full, unlabelled and half-finished studies: colours, selection, saving, links."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np
import pandas as pd
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from core.charts import maps
from core.concepts.search import like_image
from core.measures import saved_slices
from core.measures.feature_rates import feature_differences
from core.measures.slice import Slice
from core.store import open_study
from core.study.writer import StudyWriter
from dashboard.app import ROUTES
from dashboard.cache import feature_reads, map_reads
from dashboard.components.widgets import NO_MATCH
from tests.dashboard.conftest import all_text, forget, spec, tiles
from tests.manifests import edited_manifest
from tests.sampling import sample
from tests.sentences import numbers


def linked(app) -> list:
    """The links of the features that set a selection apart."""
    return [one.proto for one in app.get("page_link") if "elsewhere" in one.proto.label]


def of_each_name(study, features: pd.Series) -> list[int]:
    """The first of the features of each name, and those without a name."""
    return features[~features.map(lambda one: feature_reads.title(study, one)).duplicated()].tolist()


def of_no_significance(app) -> str:
    """What is said where no feature is significantly more common: it names the level."""
    (said,) = [one.value for one in app.caption if "0.05" in numbers(one.value)]
    return said


EVERYWHERE = "-9,-9;9,-9;9,9;-9,9"


def component(app, kind="pca") -> dict:
    found = [one.proto for one in app.get("bidi_component") if one.proto.id.endswith(f"-map_{kind}")]
    assert len(found) == 1
    return json.loads(found[0].json)


def drawn(app, kind="pca") -> dict:
    """What the browser gets at the address that the page names: the header, and the numbers by name."""
    answer = client().get(component(app, kind)["address"])
    assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
    length = int(np.frombuffer(answer.content, "<u4", 1)[0])
    header = json.loads(answer.content[4 : 4 + length])
    n, rest = header["n"], answer.content[4 + length :]

    def take(dtype: str, count: int) -> np.ndarray:
        nonlocal rest
        values = np.frombuffer(rest, dtype, count)
        rest = rest[values.nbytes :]
        return values

    found = {"rows": take("<i4", n), "xy": take("<f4", 2 * n).reshape(-1, 2)}
    for line in header["said"]:
        line["values"] = take("<i4" if line["words"] else "<f4", n)
    found["values"] = take("<i4", n if header["names"] else 0)
    return header | found | {"codes": take("u1", n), "inside": take("u1", n), "left over": rest}


def client() -> TestClient:
    return TestClient(Starlette(routes=ROUTES))


def test_map__every_image_is_drawn_at_its_place(studies, open_page):
    study = open_study(studies / "demo")
    app = open_page("map", study="demo")
    data = drawn(app)
    rows = data["rows"]
    assert sorted(rows) == np.flatnonzero(study.is_val).tolist() and not data["left over"]
    np.testing.assert_array_equal(data["xy"], study.vector("map_pca")[rows])
    assert [data["names"][at] for at in data["values"]] == study.images["label"].iloc[rows].tolist()
    shades = np.array(data["shades"])
    assert (shades[data["values"]] == data["codes"]).all() and data["inside"].all()
    said = {line["name"]: line for line in data["said"]}
    predicted = said["Predicted"]["values"]
    expected = study.table("probe")["predicted"].iloc[rows]
    assert [said["Predicted"]["words"][code] for code in predicted] == expected.tolist()
    assert component(app)["pictures"].startswith("thumb/demo/{row}?v=")


@pytest.mark.parametrize(
    "colour", ["Correct or misclassified", "Predicted class", "Q-Score", "Activation of a feature"]
)
def test_map__colours(studies, open_page, colour):
    app = open_page("map", study="demo", map_colour=colour)
    assert not app.exception and not app.error
    data = drawn(app)
    assert bool(data["names"]) == (colour in ("Correct or misclassified", "Predicted class"))
    assert len(set(data["codes"].tolist())) > 1


def test_map__activation_is_that_of_scaled_representations(shared_study):
    study = open_study(shared_study)
    raw = study.array("representations")[:].astype(float)
    expected = raw[:, 5] / np.linalg.norm(raw, axis=1)
    np.testing.assert_allclose(map_reads.activation(study, 5), expected, rtol=1e-5)


def test_map__a_filter_leaves_its_images_and_a_changed_slice_another_address(studies, open_page):
    study = open_study(studies / "demo")
    assert sorted(drawn(open_page("map", study="demo", where="split=val"))["rows"]) == list(
        np.flatnonzero(study.is_val)
    )
    saved_slices.save(study.path, "mine", Slice.parse("split=val"))
    before = component(open_page("map", study="demo", where="@mine"))["address"]
    saved_slices.save(study.path, "mine", Slice.parse("split=train"), overwrite=True)
    app = open_page("map", study="demo", where="@mine")
    assert component(app)["address"] != before
    assert sorted(drawn(app)["rows"]) == list(np.flatnonzero(~study.is_val))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("kind", "tsne"),
        ("by", "path/../x"),
        ("theme", "neon"),
        ("feature", "x"),
        ("where", "nowhere=1"),
        ("where", "label="),
    ],
)
def test_points__an_address_that_nobody_wrote_is_not_found(studies, open_page, part, value):
    address = urlsplit(component(open_page("map", study="demo"))["address"])
    query = dict(parse_qsl(address.query)) | {part: value}
    assert client().get(f"{address.path}?{urlencode(query)}").status_code == 404
    del query[part]
    assert client().get(f"{address.path}?{urlencode(query)}").status_code in (200, 404)
    assert client().get("points/nothing?v=1").status_code == 404


def test_map__link_restores_the_selection_and_it_becomes_a_slice(studies, open_page, monkeypatch):
    monkeypatch.setattr(map_reads, "SIGNIFICANT", 1.0)
    study = open_study(studies / "demo")
    places = study.vector("map_pca")
    middle = float(np.median(places[:, 0]))
    outline = f"-9,-9;{middle:.6g},-9;{middle:.6g},9;-9,9"
    app = open_page("map", study="demo", map_outline=outline, where="split=val")
    corners = np.array([pair.split(",") for pair in outline.split(";")], float)
    expected = np.flatnonzero(maps.inside_outline(places, corners) & study.is_val)
    assert 0 < len(expected) < study.is_val.sum()
    assert f"**{len(expected)}** selected" in all_text(app)
    inside = np.isin(np.arange(study.n_images), expected)
    apart = feature_differences(study, inside, study.is_val & ~inside)
    first = of_each_name(study, apart.loc[apart["difference"] > 0, "feature"])[:4]
    assert [int(one.label.split("#")[1].split(":")[0]) for one in linked(app)] == first and first
    assert {tile["id"] for tile in tiles(app, "map_gallery")} <= set(expected.tolist())
    app.session_state["map_selected_save"] = True  # AppTest has no click for a popover
    app.run().text_input(key="map_selected_save_name").set_value("left <half>")
    next(button for button in app.button if "Save" in button.label and "images" in button.label).click().run()
    assert not app.exception
    saved = Slice.parse(saved_slices.texts(study.path)["left <half>"])
    np.testing.assert_array_equal(np.flatnonzero(saved.mask(study)), expected)
    said = [part.proto.body for part in app.get("html") if 'class="peregrine-said' in part.proto.body]
    assert len(said) == 1 and "left &lt;half&gt;" in said[0]
    assert not app.info and not app.warning  # which would push the page down
    assert app.session_state["map_selected_save"] is False  # the field for the name is closed


def test_selection__without_a_significant_feature_lists_what_leans_to_it(studies, open_page, monkeypatch):
    monkeypatch.setattr(map_reads, "SIGNIFICANT", -1.0)
    app = open_page("map", study="demo", map_outline="-9,-9;0,-9;0,9;-9,9", where="split=val")
    assert not app.exception and "chance" in of_no_significance(app)
    assert "What sets them apart" not in all_text(app) and 1 < len(linked(app)) <= map_reads.LEANING


def test_selection__names_no_two_features_of_one_name(studies, open_page, monkeypatch):
    monkeypatch.setattr(map_reads, "SIGNIFICANT", 1.0)
    called = {feature: f"water {feature % 2}" for feature in range(1000)}
    monkeypatch.setattr(feature_reads, "names", lambda study: called)
    app = open_page("map", study="demo", map_outline="-9,-9;0,-9;0,9;-9,9", where="split=val")
    assert not app.exception
    assert sorted(one.label.split(" #")[0] for one in linked(app)) == ["water 0", "water 1"]


@pytest.mark.parametrize(("where", "often"), [("split=val", "most often"), ("label=bee", "mostly")])
def test_selection__a_class_is_most_of_it_only_from_a_half_on(studies, open_page, where, often):
    study = open_study(studies / "demo")
    app = open_page("map", study="demo", map_outline="-9,-9;9,-9;9,9;-9,9", where=where)
    inside = study.is_val & Slice.parse(where).mask(study)
    shares = study.images.loc[inside, "label"].value_counts(normalize=True)
    assert (shares.iloc[0] < 0.5) == (often == "most often")
    assert f"selected, {often} {shares.index[0]} (" in all_text(app)


def test_selection__of_one_image_of_each_class_names_none(studies, open_page):
    study = open_study(studies / "demo")
    norms = study.table("row_stats").loc[study.is_val, "norm"].sort_values().tail(1)
    app = open_page("map", study="demo", map_outline=EVERYWHERE, where=f"norm={norms.iloc[0]:.9g}..")
    assert "**1** selected, 1" in all_text(app) or "**1** selected, 0" in all_text(app)
    assert "chance" not in of_no_significance(app) and not linked(app)


@pytest.mark.parametrize(("shares", "wider"), [([0.3, 0.2], False), ([0.02, 0.01], True)], ids=str)
def test_map__fills_a_wide_page_where_its_plane_holds_few_of_the_distances(studies, open_page, shares, wider):
    with edited_manifest(studies / "demo") as manifest:
        manifest["steps"]["map"]["summary"]["shares"] = shares
    assert (component(open_page("map", study="demo"))["widest"] > 1) == wider


def test_map__a_selection_that_cannot_be_read_is_dropped_with_a_note(studies, open_page):
    for outline in ("1,2;x", "nan,1;2,3;4,5", "1,2,3;4,5,6"):
        app = open_page("map", study="demo", map_outline=outline)
        assert not app.exception
        assert "was dropped" in " ".join(note.value for note in app.info)
        assert "map_outline" not in app.query_params


def test_map__more_points_than_are_drawn_are_all_selected(studies, open_page, monkeypatch):
    monkeypatch.setattr(map_reads, "MOST_POINTS", 20)
    app = open_page("map", study="demo", map_outline=EVERYWHERE)
    n_images = np.count_nonzero(open_study(studies / "demo").is_val)
    assert len(drawn(app)["rows"]) == 20 < n_images
    said = all_text(app)
    assert "A random 20 are drawn" in said
    assert f"**{n_images}** selected" in said


def test_map__as_a_figure(studies, open_page):
    app = open_page("map", study="demo")
    app.toggle(key="map_figure").set_value(True).run()
    assert not app.exception
    assert sum(len(trace["x"]) for trace in spec(app, "map_chart")["data"]) > 0


def test_map__nothing_matches(studies, open_page):
    app = open_page("map", study="demo", where="q_score=1e9..")
    assert not app.exception
    assert NO_MATCH in all_text(app)


def test_map__unlabelled_study(studies, shelf, unlabelled_study, open_page):
    shelf.serve("unlabelled", unlabelled_study)
    app = open_page("map", study="unlabelled", map_outline=EVERYWHERE)
    assert not app.exception and not app.error
    assert "Class" not in app.selectbox(key="map_colour").options


def test_map__before_its_step_says_what_to_run(studies, open_page):
    forget(studies / "demo", "map")
    app = open_page("map", study="demo")
    assert not app.exception
    assert any("python -m core map" in code.value for code in app.code)


def test_map__while_later_steps_are_missing(studies, open_page):
    later = ("probe", "crossfit", "quality", "failures", "features", "heatmaps", "overlap", "concepts")
    forget(studies / "demo", *later)
    app = open_page("map", study="demo", map_outline=EVERYWHERE)
    assert not app.exception and not app.error
    of_pictures = {
        one.replace("_", " ").capitalize() for one in map_reads.amounts(open_study(studies / "demo"))
    }
    assert set(app.selectbox(key="map_colour").options) == {"Class"} | of_pictures and of_pictures


def test_map__too_many_to_save_one_by_one(studies, open_page, monkeypatch):
    from dashboard.panels import marks

    monkeypatch.setattr(marks, "MOST_SAVED", 10)
    app = open_page("map", study="demo", map_outline=EVERYWHERE)
    app.session_state["map_selected_save"] = True
    app.run()
    assert "too many to name one by one" in all_text(app)


def test_saved_name_of_another_slice_is_refused_and_kept(studies, open_page):
    study = open_study(studies / "demo")
    saved_slices.save(study.path, "mine", Slice.parse("split=val"))
    app = open_page("map", study="demo", map_outline=EVERYWHERE)
    app.session_state["map_selected_save"] = True
    app.run().text_input(key="map_selected_save_name").set_value("mine")
    next(button for button in app.button if "Save" in button.label and "images" in button.label).click().run()
    assert "already" in " ".join(problem.value for problem in app.warning)
    assert Slice.parse(saved_slices.texts(study.path)["mine"]) == Slice.parse("split=val")


def test_map__colours_by_a_further_column(studies, open_page):
    n = open_study(studies / "demo").n_images
    table = pd.DataFrame(
        {
            "image_id": open_study(studies / "demo").images["image_id"],
            "ground": [("sand", "snow")[row % 2] for row in range(n)],
            "is_agreed": [row % 3 == 0 for row in range(n)],
            "constant": "one",
            "amount": np.linspace(0, 1, n),
        }
    )
    with StudyWriter(studies / "demo").step("more", {}) as step:
        step.table("attributes", table)
    assert map_reads.attributes(open_study(studies / "demo")) == ["ground", "is_agreed"]
    for column, said in (("ground", str), ("is_agreed", lambda value: "yes" if value else "no")):
        app = open_page("map", study="demo", map_colour=column.replace("_", " ").capitalize())
        assert not app.exception and not app.error
        data = drawn(app)
        wanted = [said(value) for value in table[column].iloc[data["rows"]]]
        assert [data["names"][at] for at in data["values"]] == wanted


def test_map__misclassified_images_lie_above_the_others(studies, open_page):
    study = open_study(studies / "demo")
    data = drawn(open_page("map", study="demo", map_colour="Correct or misclassified"))
    right = study.table("probe")["correct"].iloc[data["rows"]].astype(bool).tolist()
    assert right == sorted(right, reverse=True) and not all(right)


def test_map__what_the_filter_leaves_lies_above_the_dimmed_others(studies, open_page):
    study = open_study(studies / "demo")
    data = drawn(open_page("map", study="demo", where="label=bee"))
    inside = data["inside"].astype(bool)
    bees = np.flatnonzero((study.images["label"] == "bee").to_numpy(bool) & study.is_val)
    assert sorted(data["rows"][inside]) == bees.tolist()
    assert sorted(data["rows"]) == np.flatnonzero(study.is_val).tolist()  # of the same split, none of train
    assert inside.tolist() == sorted(inside.tolist())


def test_map__the_figure_is_of_the_filter_alone(studies, open_page):
    study = open_study(studies / "demo")
    app = open_page("map", study="demo", where="label=bee")
    app.toggle(key="map_figure").set_value(True).run()
    n_bees = np.count_nonzero((study.images["label"] == "bee") & study.is_val)
    x = spec(app, "map_chart")["data"][0]["x"]
    assert len(base64.b64decode(x["bdata"])) == np.dtype(x["dtype"]).itemsize * n_bees


@pytest.mark.slow
@pytest.mark.parametrize(
    ("colour", "entry", "where"),
    sample(
        [
            ("Correct or misclassified", "misclassified", "correct=false"),
            ("Class", "bee", "label=bee"),
            ("Predicted class", "bee", "predicted=bee"),
            ("Ground", "snow", "ground=snow"),
            ("Is agreed", "yes", "is_agreed=true"),
        ],
        1,
    ),
)
def test_legend__an_entry_makes_and_undoes_its_filter(studies, open_page, colour, entry, where):
    study = open_study(studies / "demo")
    more = {
        "image_id": study.images["image_id"],
        "ground": [("sand", "snow")[row % 2] for row in range(study.n_images)],
        "is_agreed": [row % 3 == 0 for row in range(study.n_images)],
    }
    with StudyWriter(studies / "demo").step("more", {}) as step:
        step.table("attributes", pd.DataFrame(more))
    app = open_page("map", study="demo", map_colour=colour)
    assert component(app)["filters"] and not component(app)["pressed"] and entry in drawn(app)["names"]
    app = open_page("map", study="demo", map_colour=colour, where=where)
    assert not app.info and component(app)["pressed"] == [entry]
    by = next(part[1] for part in parse_qsl(urlsplit(component(app)["address"]).query) if part[0] == "by")
    toggled = AppTest.from_function(press_entry, args=(str(study.path), by, entry))
    toggled.query_params["where"] = "split=val"
    assert not toggled.run().exception
    assert filter_of(toggled) == Slice.parse(f"split=val {where}")
    assert not toggled.run().exception
    assert filter_of(toggled) == Slice.parse("split=val")


def filter_of(app: AppTest) -> Slice:
    found = app.query_params["where"]
    return Slice.parse(found if isinstance(found, str) else found[0])


def press_entry(path: str, by: str, entry: str) -> None:
    from core.store import open_study
    from dashboard.panels import facets

    facets.toggle_legend(open_study(path), by, entry)


def test_map__a_search_rings_what_it_finds(studies, open_page):
    study = open_study(studies / "demo")
    row = int(np.flatnonzero(study.is_val)[0])
    nearest, _ = like_image(study, row, study.n_images, among=study.is_val)
    app = open_page("map", study="demo", like=study.images["image_id"].iat[row])
    assert not app.exception and 0 < len(component(app)["found"]) <= 60
    places = study.vector("map_pca")[nearest[: len(component(app)["found"])]]
    np.testing.assert_allclose([one[1:] for one in component(app)["found"]], places, rtol=1e-6)
    assert "are ringed" in all_text(app)


def test_map__a_search_without_an_index_offers_to_make_it(studies, open_page):
    app = open_page("map", study="demo", search="red disc")
    assert not app.exception and component(app)["found"] == []
    assert "Prepare the search" in all_text(app) or app.button(key="search_prepare")


@pytest.mark.parametrize("share", [0.02, 0.4])
def test_pca_says_where_it_holds_little_and_offers_umap(share, studies, open_page, started, trusted):
    with edited_manifest(studies / "demo") as manifest:
        manifest["steps"]["map"]["summary"]["shares"] = [share, share / 2]
    app = open_page("map", study="demo")
    little = share < 0.1
    assert ("need not be alike" in all_text(app)) == little
    next(one for one in app.button if one.label == "Compute UMAP").click().run()
    (command, folder), *_ = started
    assert command.words == ["map", str(folder), "--method=umap"] and folder == studies / "demo"
