"""The bases of a study, on the page Features: listed beside controls, fitted, removed, compared."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from streamlit.testing.v1 import AppTest

from core.answers.requests import add_answer, add_kinds
from core.bases.basis import Basis, codes_of
from core.bases.position_index import at_position, similar_positions
from core.bases.requests import add_basis, remove_basis
from core.bases.twins import twins
from core.bases.worth import dictionary_verdicts
from core.charts.bases_table import bases_table
from core.charts.theme import layout_of
from core.charts.word_bars import contribution_bars
from core.common.formatting import signed_interval
from core.common.verdict_words import Verdict
from core.concepts import concept_features
from core.config import BasisConfig
from core.measures.slice import Slice
from core.pipeline.run import resume
from core.store import Study, open_study
from core.study import trace_changes
from core.study.commands import FitBasis, RemoveBasis, Resume, typed
from core.study.layers import layer
from core.study.progress import Progress
from dashboard.cache import basis_reads, feature_reads, reads
from dashboard.cache.comparison_reads import comparison, other_studies
from dashboard.jobs import launcher
from dashboard.panels import bases, feature_cards
from dashboard.panels.bases import FEW_VECTORS, advice, few_images, lacking_control
from tests.dashboard.conftest import all_text, drawn_cards, tiles, write_progress
from tests.dashboard.shelf import Shelf
from tests.manifests import edited_manifest, write_tables
from tests.sentences import as_record
from tests.synthetic import make_seen_study, make_study


@pytest.fixture(scope="module")
def made(full_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with principal components and random directions."""
    folder = tmp_path_factory.mktemp("bases") / "demo"
    shutil.copytree(full_study, folder)
    for kind, size in (("pca", 6), ("random", 12)):
        config = BasisConfig(kind=kind, size=size, k=3, seeds=1)
        add_basis(folder, None, config, Progress.silent(), device="cpu")
    return folder


@pytest.fixture(scope="module")
def made_in_basis(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That study with the steps run in its principal components."""
    folder: Path = shutil.copytree(made, tmp_path_factory.mktemp("in_basis") / "demo")
    resume(layer(folder, "pca"), {}, Progress.silent())
    return folder


@pytest.fixture
def served(made: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PEREGRINE_STUDIES", str(shelf.folder))
    return shelf.serve("demo", made)


@pytest.fixture
def in_basis(made_in_basis: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PEREGRINE_STUDIES", str(shelf.folder))
    return shelf.serve("demo", made_in_basis)


SIZES = [f"basis_{what}_topk_pooled_demo" for what in ("size", "k", "fits")]
PAGES = (
    ("overview", {}),
    ("features", {"where": "label=ant"}),
    ("feature", {"feature": 2}),
    ("image", {"image": "val/ant/0080.png"}),
    ("errors", {"slices_least": 2, "slices_sure": "false"}),
    ("errors", {"errors_tab": "Compare two"}),
    ("map", {"colour": "Feature"}),
    ("heatmaps", {"heat_part": "Mean representations"}),
)


def test_units_of_a_basis_are_called_latents_in_lists_and_charts(made):
    study = open_study(made)
    for one, kind in ((study, "Feature"), (study.in_basis("pca"), "Latent")):
        assert reads.feature_name(one, 3).startswith(f"{kind} 3")
        assert reads.list_names(one, [3])[0].startswith(f"{kind} 3")
        part = pd.DataFrame({"feature": [3], "contribution": [0.5], "words": [""]})
        bars = contribution_bars(part, colour="#000000", kind=one.feature_kind)
        assert list(layout_of(bars).yaxis.ticktext) == [f"{kind} 3"]


@pytest.fixture
def learned_twice(made_in_basis: Path, tmp_path: Path, shelf: Shelf, monkeypatch) -> np.ndarray:
    """Stabilities as of two runs, in the table of a basis that is served; older ones have no `n_again`."""
    folder: Path = shutil.copytree(made_in_basis, tmp_path / "twice")
    table = pd.read_parquet(folder / "basis_pca.parquet").assign(dead=False)
    stable = np.linspace(0.45, 0.95, len(table))
    write_tables(folder, basis_pca=table.assign(stability=stable))
    with edited_manifest(folder) as manifest:
        manifest["steps"]["basis-pca"]["summary"]["basis"]["stability"] = float(stable.mean())
    monkeypatch.setenv("PEREGRINE_STUDIES", str(shelf.folder))
    shelf.serve("demo", folder)
    return stable


@pytest.mark.slow
def test_stability__is_a_column_an_order_and_one_count_on_every_page(learned_twice, open_page):
    again = int((learned_twice >= 0.7).sum())
    asked = {"study": "demo", "basis": "pca", "features_dead": "true"}
    app = open_page("features", **asked, features_as="Table", features_sort=feature_reads.STABLE)
    table = next(frame.value for frame in app.dataframe if "stability" in frame.value)
    assert table["stability"].is_monotonic_decreasing
    assert_allclose(table["stability"], learned_twice[table["feature"]])
    of = f"{again} of {len(learned_twice)}"
    assert of in all_text(app) and of in all_text(open_page("features", **asked))
    cards = drawn_cards(open_page("features", study="demo", features_as="Bases"), "bases_cards")
    bar = next(one for one in cards if one["id"] == "pca")["bars"][1]
    assert bar["text"] == of and bar["share"] == pytest.approx(again / len(learned_twice))
    of_units = open_page("features", study="demo", features_as="Table")
    assert not any("stability" in frame.value for frame in of_units.dataframe)


def test_no_page_of_a_basis_calls_a_latent_a_feature(in_basis, open_page):
    shown = ""
    for page, parts in PAGES:
        app = open_page(page, study="demo", basis="pca", **parts)
        assert not app.exception, page
        shown = " ".join(str(node.proto) for node in app.main if hasattr(node, "proto"))
        assert not re.findall(r"[^.]{0,60}\b[Ff]eatures? \d.{0,20}", shown), page
    app = open_page("features", study="demo", basis="pca")
    assert drawn_cards(app, "features_cards")[0]["title"].startswith(("Latent ", "strong on "))


def test_twins__the_same_direction_whatever_its_sign_length_and_place():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(7, 5)).astype(np.float32)
    order = rng.permutation(7)
    other = one[order] * rng.choice([-3.0, 0.5], size=(7, 1))
    rows, cosines = twins(one, other)
    assert order[rows].tolist() == list(range(7))
    assert_allclose(cosines, 1, atol=1e-6)
    one[2], other[order == 3] = 0, 0
    rows, cosines = twins(one, other)
    assert np.isnan(cosines[2]) and cosines[3] < 0.999 and rows[3] != np.flatnonzero(order == 3)[0]


def test_panel__shows_bases_as_cards_also_where_nothing_is_computed_in_them(served, started, open_page):
    app = open_page("features", study="demo", basis="random", features_as="Bases")
    assert not app.exception
    study, shown = open_study(served), drawn_cards(app, "bases_cards")
    assert [card["id"] for card in shown] == ["units", "pca", "random"]
    assert [card["tag"] for card in shown] == ["", "control", "control, shown now"]
    for card in shown[1:]:
        basis = study.bases[card["id"]]
        assert card["note"] == f"{basis.card['size']} latents"
        assert card["bars"][0]["share"] == pytest.approx(max(basis.card["r2_val"], 0))
        assert f"basis={basis.name}" in card["href"] and not started


def test_panel__counts_units_on_the_images_of_the_answer_and_none_where_no_unit_fires(
    tmp_path, monkeypatch, open_page
):
    """Without evaluation images, a file is judged on all images, in a basis as in the units."""
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path / "studies"))
    folder = make_study(tmp_path / "studies" / "demo", n_train=40, n_val=0)
    images = open_study(folder).images
    predicted = images[["image_id"]].assign(predicted=images["label"])
    predicted.to_csv(tmp_path / "mine.csv", index=False)
    add_answer(folder, str(tmp_path / "mine.csv"), "mine", {"device": "cpu"}, Progress.silent())
    config = BasisConfig(kind="random", size=12, k=3, seeds=1)
    add_basis(folder, None, config, Progress.silent(), device="cpu")
    resume(layer(folder, "random"), {}, Progress.silent())
    for parts, fires in (({}, True), ({"where": "correct=false"}, False)):
        shown = []
        for basis in ({}, {"basis": "random"}):
            app = open_page("features", study="demo", answer="mine", features_as="Bases", **basis, **parts)
            assert not app.exception
            shown.append(drawn_cards(app, "bases_cards")[0]["pictures"])
        assert shown[0] == shown[1] and bool(shown[0]) == fires


def test_example__is_a_latent_on_the_images_where_its_code_is_largest(served):
    study = open_study(served)
    for basis in study.bases.values():
        latent, rows = basis_reads.example(study, basis.name)
        codes = codes_of(study, basis).dense(basis.card["size"])[:, latent]
        assert codes[rows].tolist() == sorted(codes[codes > 0], reverse=True)[: len(rows)] and rows
        explained = study.table(basis.table).set_index("latent")["r2"]
        assert explained[latent] == explained.max()


def test_panel__says_what_each_basis_knows_when_it_is_opened(served, open_page, monkeypatch):
    app = open_page("features", study="demo", features_as="Bases")
    assert not app.exception and not len(app.dataframe)  # nothing is computed before
    app = open_page("features", study="demo", features_as="Bases", bases_known="true")
    assert not app.exception and "No concepts are known" in all_text(app)
    monkeypatch.setattr(concept_features, "FEWEST", 3)
    app = open_page("features", study="demo", features_as="Bases", bases_known="true")
    assert not app.exception
    shown, expected = app.dataframe[0].value, bases_table(open_study(served))
    assert shown["Basis"].tolist() == expected["basis"].tolist() == ["units", "pca", "random"]
    assert [float(cell.split()[0]) for cell in shown["Active there"]] == [
        round(value, 2) for value in expected["ap"]
    ]
    app = open_page(
        "features", study="demo", features_as="Bases", bases_known="true",
        bases_known_as="Differences from random directions",
    )  # fmt: skip
    text, of_itself = app.dataframe[0].value["Purity of the top 16"].iloc[1:]
    values = expected.set_index("basis").loc[
        "pca", [f"purity_minus_random{end}" for end in ("", "_low", "_high")]
    ]
    assert text == signed_interval(*values) and of_itself == ""


def test_twins__show_the_strongest_images_of_both(served, open_page):
    app = open_page("features", study="demo", features_as="Bases", bases_twins="true", twins_of="pca")
    assert not app.exception
    shown, study = app.dataframe[0].value, open_study(served)
    first = basis_reads.twins_of(study, "pca", "random").iloc[0]
    for column, basis in (("latent", "pca"), ("twin", "random")):
        codes = codes_of(study, study.bases[basis]).dense(study.bases[basis].card["size"])
        strongest = np.argsort(-codes[:, int(first[column])], kind="stable")[:2]
        for row, at in zip(strongest, (0, 1), strict=True):
            assert f"thumb/demo/{row}?" in shown[f"{column}_{at}"].iloc[0]
    ranked = basis_reads.strongest(study, "units", (3,), 4)[3]
    assert ranked == np.argsort(-study.array("representations")[:][:, 3], kind="stable")[:4].tolist()


def basis(kind: str, r2: float, **card: object) -> Basis:
    return Basis(kind, kind, f"basis-{kind}", {"r2": 1.0, "r2_val": r2, "l0": 8, "on": "pooled", **card})


def judged(study: Study, *bases: Basis) -> tuple[dict[str, Basis], dict[str, Verdict]]:
    named = {one.name: one for one in bases}
    return named, dictionary_verdicts(study, named)


def test_advice__is_of_the_basis_with_the_best_word(served):
    study = open_study(served)
    again = {"stability": 0.84, "n_alive": 100, "n_again": 60}
    control, accidents = basis("random", 0.12), basis("topk", 0.9, **again | {"n_again": 9})
    for listed, title, worth in (
        ((), "none", None),
        ((control,), "only_controls", None),
        ((basis("topk", 0.04),), "useless", "little"),
        ((basis("topk", 0.71, **again),), "not_judged", "no_control"),
        ((basis("topk", 0.71, **again), basis("random", 0.3, on="positions")), "not_judged", "no_control"),
        ((basis("topk", 0.71), control), "not_judged", "once"),
        ((basis("topk", 0.71, r2_random=0.1, **again),), "useful", "useful"),
        ((basis("topk", 0.71, **again), control), "useful", "useful"),
        ((basis("topk", 0.71, **again | {"n_again": 30}), control), "weak", "weak"),
        ((basis("topk", 0.11, **again), control), "useless", "little"),
        ((accidents, basis("nmf", 0.6, **again), control), "useful", "useful"),
    ):
        named, words = judged(study, *listed)
        head, why = advice(named, words)
        assert head.kind == title
        assert why.kind == (worth or {"none": "gives"}.get(title, "controls"))
    assert why.what == "nmf"


def test_lacking_control__is_the_basis_of_which_random_directions_are_not_known():
    control, topk = basis("random", 0.12), basis("topk", 0.71)
    assert lacking_control({}) is lacking_control({"random": control}) is None
    assert lacking_control({"topk": topk}) is topk
    assert lacking_control({"topk": topk, "random": control}) is None
    assert lacking_control({"topk": basis("topk", 0.71, r2_random=0.2)}) is None


def test_few_images__warn_before_a_basis_is_learned():
    assert as_record(few_images(94)).n == 94 and few_images(FEW_VECTORS) == ""


def test_panel__fits_one_and_removes_one_through_the_launcher(served, started, open_page, monkeypatch):
    monkeypatch.setenv("PEREGRINE_TRUST_STUDIES", "1")
    app = open_page("features", study="demo", basis="pca", features_as="Bases")
    assert re.search(r"About \d+ (s|min)\W", all_text(app)) and not [
        button for button in app.button if button.key == "basis_other_sizes"
    ]
    for name, value in zip(SIZES, (10, 2, 2), strict=True):
        app.number_input(key=name).set_value(value)
    app.run()
    app.button(key="basis_fit").click().run()
    app.button(key="remove_pca").click().run()
    assert [command for command, _ in started] == [
        FitBasis(served, "topk", typed(kind="topk", size=10, k=2, seeds=2, on="pooled"), resume=True),
        RemoveBasis(served, "pca"),
    ]
    assert {folder for _, folder in started} == {served} and "basis" not in app.query_params
    app.text_input(key="basis_name").set_value("../up").run()
    assert any("40 letters" in box.value for box in app.error)


def test_form__refuses_more_active_latents_than_there_are(served, started, open_page):
    app = open_page("features", study="demo", features_as="Bases")
    for name, value in zip(SIZES, (3, 8, 2), strict=True):
        app.number_input(key=name).set_value(value)
    app.run()
    assert not app.exception and app.button(key="basis_fit").disabled and len(app.error) == 1
    assert not re.search(r"About \d+ (s|min)\W", all_text(app))
    app.number_input(key=SIZES[1]).set_value(3).run()
    assert not app.error
    app.button(key="basis_fit").click().run()
    assert [dict(command.options)["k"] for command, _ in started] == ["3"]


def test_form__keeps_what_was_entered_for_a_start_that_failed(served, started, open_page):
    app = open_page("features", study="demo", features_as="Bases")
    for name, value in zip(SIZES, (10, 2, 1), strict=True):
        app.number_input(key=name).set_value(value)
    app.text_input(key="basis_name").set_value("mine").run()
    app.button(key="basis_fit").click().run()
    for state in ("failed", "done"):
        write_progress(served, state=state, command=["python", "-m", "core", "basis", str(served)])
        later = open_page("features", study="demo")  # no field is drawn yet
        later.session_state[bases.ENTERED] = app.session_state[bases.ENTERED]
        later.query_params["features_as"] = "Bases"
        later.run()
        shown = [later.number_input(key=name).value for name in SIZES]
        has_failed = state == "failed"
        assert not later.exception and (shown == [10, 2, 1]) == has_failed
        assert later.text_input(key="basis_name").value == ("mine" if has_failed else "")


def test_panel__adds_the_random_directions_that_a_basis_lacks(served, started, open_page):
    config = BasisConfig(kind="topk", size=10, k=2, steps=5, seeds=1)
    add_basis(served, None, config, Progress.silent(), device="cpu")
    keys = {button.key for button in open_page("features", study="demo", features_as="Bases").button}
    assert "basis_fit" in keys and "basis_control" not in keys
    remove_basis(served, "random")
    with edited_manifest(served) as manifest:  # one of before measured none
        del manifest["steps"]["basis-topk"]["summary"]["basis"]["r2_random"]
    app = open_page("features", study="demo", features_as="Bases")
    app.button(key="basis_control").click().run()
    options = typed(kind="random", size=10, k=2, on="pooled")
    assert [command for command, _ in started] == [FitBasis(served, "random", options)]


def test_panel__learns_alone_where_no_click_may_go_on(served, started, open_page, monkeypatch):
    monkeypatch.setattr(launcher, "refusal", lambda one: "no" if getattr(one, "resume", False) else None)
    app = open_page("features", study="demo", features_as="Bases")
    assert "Then the latents get" not in all_text(app)
    app.button(key="basis_fit").click().run()
    assert [command.resume for command, _ in started] == [False]


@pytest.fixture(scope="module")
def on_places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose encoder is there, with a basis of its positions in which the features are computed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_TRUST_STUDIES", "1")
        folder = make_seen_study(tmp_path_factory.mktemp("places") / "demo", n_train=32, n_val=12)
        config = BasisConfig(kind="random", size=30, k=3, seeds=1, on="positions")
        add_basis(folder, "places", config, Progress.silent(), device="cpu")
    return folder


def test_place_of_an_image__its_latents_and_where_else_they_are(on_places, monkeypatch, open_page):
    monkeypatch.setenv("PEREGRINE_STUDIES", str(on_places.parent))
    study = open_study(on_places)
    basis, image = study.bases["places"], str(study.images["image_id"].iat[3])
    rows, columns = basis.card["grid"]
    place = columns + 1  # second row, second column
    left, top, right, bottom = study.transform.box(*study.thumbnail_image(3).size)
    width, height = study.thumbnail_image(3).size
    x, y = (left + 1.5 / columns * (right - left)) / width, (top + 1.5 / rows * (bottom - top)) / height
    asked = {"study": "demo", "basis": "places", "image": image, "image_part": "Places", "place": place}
    app = open_page("image", **asked)
    assert not app.exception
    (card,) = drawn_cards(open_page("features", study="demo", features_as="Bases"), "bases_cards")[1:]
    assert any("3 active" in line for line in card["lines"])
    latents = at_position(study, basis, image, x, y)["latent"].tolist()
    assert latents and f"**{len(latents)} latent" in all_text(app)
    shown = re.findall(r"\[Latent (\d+)\]", all_text(app))
    assert [int(latent) for latent in shown] == latents
    assert "row 2, column 2" in all_text(app)
    similar = similar_positions(study, basis, image, x, y)
    assert [tile["id"] for tile in tiles(app, "image_places_similar")] == similar["row"].tolist()
    outside = open_page("image", **(asked | {"place": rows * columns}))
    assert any("There is no place" in box.value for box in outside.info)
    of_units = open_page("image", **{name: asked[name] for name in ("study", "image")})
    assert "Places" in _parts(app) and "Places" not in _parts(of_units)


def _parts(app: AppTest) -> list[str]:
    (buttons,) = [one for one in app.get("button_group") if one.proto.id.endswith("-image_part")]
    return [option.content for option in buttons.proto.options]


def test_compare__a_basis_and_its_units_are_read_by_the_same_answer(served):
    add_kinds(served, ["knn"], {}, Progress.silent())
    study = open_study(served).in_basis("pca").answering("knn")
    other = other_studies(study)["demo"]
    assert other.below is None and other.answer is not None and other.answer.name == "knn"
    assert comparison((study, other), among=Slice.parse("split=val")).shared.judged.any()


def test_twins_of__units_are_the_axes(made):
    frame = basis_reads.twins_of(open_study(made), "pca", "units")
    decoder = open_study(made).vector("basis_pca_decoder")
    unit = np.abs(decoder) / np.linalg.norm(decoder, axis=1, keepdims=True)
    assert frame["cosine"].is_monotonic_decreasing and len(frame) == 6
    assert_allclose(frame.set_index("latent")["cosine"].sort_index(), unit.max(1), rtol=1e-6)


def test_twins_of__words_and_names_of_a_basis_are_shown_as_soon_as_they_are_there(served):
    def words() -> list[str]:
        return basis_reads.twins_of(open_study(served), "pca", "units").set_index("latent")["words"].tolist()

    before = words()
    resume(layer(served, "pca"), {}, Progress.silent())
    after = words()
    assert not any(before) and any(after)
    latent = int(basis_reads.twins_of(open_study(served), "pca", "units")["latent"].iloc[0])
    trace_changes.name_feature(open_study(layer(served, "pca")), latent, "night sky")
    assert "night sky" in words()


def test_panel__a_filter_on_latents_that_fits_no_unit_leaves_the_panel(served, open_page):
    n_units = open_study(served).array("representations").shape[1]
    config = BasisConfig(kind="random", size=n_units + 9, k=3, seeds=1)
    add_basis(served, "wide", config, Progress.silent(), device="cpu")
    resume(layer(served, "wide"), {}, Progress.silent())
    where = f"fires={n_units + 5}"
    app = open_page("features", study="demo", basis="wide", features_as="Bases", where=where)
    assert not app.exception and not app.error and drawn_cards(app, "bases_cards")
    assert app.query_params["where"] == where


def test_removed_basis__is_missed_in_one_line_and_units_are_shown(served, open_page):
    remove_basis(served, "pca")
    app = open_page("features", study="demo", basis="pca")
    assert not app.exception and "basis" not in app.query_params
    assert sum("'pca'" in box.value for box in app.info) == 1


def test_advice__controls_are_not_judged_however_stable_and_close(served):
    kinds = {"kmeans": 0.96, "pca": 0.99, "random": 0.08}
    held = [basis(kind, r2, stability=1.0, n_alive=9, n_again=9) for kind, r2 in kinds.items()]
    named, words = judged(open_study(served), *held)
    assert words == {} and advice(named, words)[0].kind == "only_controls"


def test_page_of_a_basis_without_results__offers_to_compute_all_of_them(served, open_page, trusted, started):
    app = open_page("features", study="demo", basis="pca")
    assert not app.exception
    assert "Features, Quality scores" in all_text(app)
    next(button for button in app.button if button.label == "Run").click().run()
    assert [command for command, _ in started] == [Resume(layer(served, "pca"))]


def linked(study: str, **query: str) -> dict[str, dict[str, str]]:
    """Where links lead that are drawn on a page of a study, by what they are of."""

    def script() -> None:
        import json
        import os
        from pathlib import Path

        import streamlit as st

        from core.store import open_study
        from dashboard.panels.without_features import switch_row
        from dashboard.state import session

        folder, here = Path(os.environ["PEREGRINE_STUDIES"]), st.query_params["study"]
        st.session_state[session.STUDY] = here
        demo, second = open_study(folder / "demo"), open_study(folder / "second")
        row = switch_row(demo, 3, 1.0, 1.0, fires=True, src="", off=())
        pages = {
            "menu": session.link_query(here),
            "units": session.link_query(demo),
            "latents": session.link_query(demo.in_basis("pca")),
            "second": session.link_query(second),
            "its latents": session.link_query(second.in_basis("pca")),
            "by another answer": session.link_query(second.answering("told")),
            "second by name": session.link_query("second"),
            "switch": dict(part.split("=") for part in row.href.partition("?")[2].split("&")),
        }
        st.json(json.dumps(pages))

    app = AppTest.from_function(script, default_timeout=60)
    for name, text in {"study": study, **query}.items():
        app.query_params[name] = text
    return json.loads(app.run().json[0].value)


def test_links_name_the_basis_and_the_answer_of_the_study_that_they_lead_to(served, tmp_path):
    study = open_study(served)
    table = pd.DataFrame(
        {"image_id": study.images["image_id"], "predicted": study.table("probe")["predicted"]}
    )
    table.to_csv(tmp_path / "told.csv", index=False)
    add_answer(served, str(tmp_path / "told.csv"), "told", {}, Progress.silent())
    shutil.copytree(served, served.with_name("second"))
    told, pca = {"answer": "told"}, {"basis": "pca"}
    demo, second = {"study": "demo"}, {"study": "second"}
    assert linked("demo", basis="pca", answer="told") == {
        "menu": demo | told | pca,
        "units": demo | told,  # of a page that knows units alone, such as Try a picture
        "latents": demo | told | pca,
        "second": second,
        "its latents": second | pca,
        "by another answer": second | told,
        "second by name": second,
        "switch": demo | told | {"feature": "3"},
    }


def test_a_click_on_a_latent_opens_it_and_another_basis_drops_what_names_features(
    in_basis, open_page, monkeypatch
):
    clicked = []

    def at_once(items: list, **parts) -> None:
        if parts["key"] == "overview_features" and not clicked:
            clicked.append(items[0].id)
            parts["on_open"](items[0].id)

    with monkeypatch.context() as patch:
        patch.setattr(feature_cards, "cards", at_once)
        app = open_page("overview", study="demo", basis="pca").run()
    assert clicked and dict(app.query_params) == {"study": "demo", "basis": "pca", "feature": clicked[0]}
    title = feature_reads.title(open_study(layer(in_basis, "pca")), int(clicked[0]))
    assert not app.info and app.title[0].value.startswith(title)
    app = open_page(
        "image", study="demo", image="val/ant/0080.png", removed="3", where="fires=2 correct=true"
    )
    app.selectbox("basis_field").select("pca").run()
    assert "removed" not in app.query_params and app.query_params["where"] in (
        "correct=true",
        ["correct=true"],
    )
    assert len(app.info) == 1  # the filter by features was dropped


def test_switch__of_basis_or_study_drops_the_features_of_the_one_before(served, seen_study, open_page):
    shutil.copytree(seen_study, served.parent / "seen")
    app = open_page("map", study="demo", map_colour="Activation of a feature", map_feature="40")
    assert app.number_input(key="map_feature").value == 40
    app.selectbox(key="basis_field").set_value("pca").run()
    assert not app.exception and "map_feature" not in app.query_params
    off = open_page("features", study="demo").multiselect(key="without").options[0]
    app = open_page("features", study="demo", without=[off])
    app.selectbox(key="basis_field").set_value("pca").run()
    assert not app.exception and "without" not in app.query_params
    for page, part, link in (
        ("map", "map_feature", {"map_colour": "Activation of a feature"}),
        ("heatmaps", "groups_feature", {"heat_part": "Mean representations"}),
    ):
        app = open_page(page, study="demo", **link, **{part: "40"})
        app.selectbox(key="study_field").set_value("seen").run()
        assert not app.exception and not app.info
        (field,) = (one for one in app.number_input if str(one.key).startswith(part))
        assert field.value < 32 and part not in app.query_params


def test_sizes_of_a_fit__are_quick_where_the_usual_take_long(served, started, open_page, monkeypatch):
    def sizes(app) -> list[int]:
        return [app.number_input(key=name).value for name in SIZES]

    usual = sizes(open_page("features", study="demo", features_as="Bases"))
    monkeypatch.setattr(bases, "LONG", 0.0)  # seconds: whatever it takes is long now
    monkeypatch.setattr(bases, "QUICK", {"size": 8, "k": 1, "fits": 2})  # smaller than the study
    monkeypatch.setattr(bases, "WORTH", 1.0)  # of so small a study quick sizes save hardly anything
    app = open_page("features", study="demo", features_as="Bases")
    quick = sizes(app)
    assert quick == [min(pair) for pair in zip(usual, bases.QUICK.values(), strict=True)] != usual
    assert app.button(key="basis_other_sizes").label.startswith(f"More thorough: {usual[0]:,} latents")
    app.button(key="basis_other_sizes").click().run()
    assert sizes(app) == usual and app.button(key="basis_other_sizes").label.startswith("Quicker")
    app.button(key="basis_other_sizes").click().run()
    app.button(key="basis_fit").click().run()
    assert [dict(command.options)["size"] for command, _ in started] == [str(quick[0])]


def test_sizes_of_a_fit__are_those_of_each_study(served, shelf, seen_study, open_page):
    shelf.serve("seen", seen_study)
    app = open_page("features", study="demo", features_as="Bases")
    app.number_input(key=SIZES[0]).set_value(77).run()
    app.selectbox(key="study_field").set_value("seen").run()
    usual = open_page("features", study="seen", features_as="Bases").number_input(
        key=SIZES[0].replace("demo", "seen")
    )
    assert app.number_input(key=SIZES[0].replace("demo", "seen")).value == usual.value != 77
