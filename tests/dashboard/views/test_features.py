"""The Features view: what it says is what the study holds, and every way to choose a feature leads there."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from core.figures.features import by_rate, telling_features
from core.store import open_study
from tests.dashboard.conftest import all_text, forget, grid, spec


@pytest.fixture
def features(studies):
    return by_rate(open_study(studies / "demo").table("features"))


def test_plot__holds_every_feature(features, studies, open_page):
    drawn = spec(open_page("features", study="demo"), "features_chart")["data"]
    found = [c[0] for trace in drawn if trace["name"] != "selected" for c in trace["customdata"]]
    assert found == list(features["feature"])


def test_sentence__states_rate_and_best_class(features, studies, open_page):
    study = open_study(studies / "demo")
    row = features[features["tail"].eq("middle")].iloc[-1]
    said = all_text(open_page("features", study="demo", feature=str(row["feature"]))).replace("\\", "")
    assert f"Feature {row['feature']} fires on" in said
    counts = study.vector("class_counts")[row["feature"]]
    sizes = study.table("classes")["n_train"].to_numpy()
    assert f"% of {study.class_names[int(np.argmax(counts / sizes))]}" in said


def test_buttons__walk_in_order_of_activation_rate(features, studies, open_page):
    start = int(features["feature"].iat[-3])
    app = open_page("features", study="demo", feature=str(start))
    app.button(key="features_More frequent").click().run()
    assert app.number_input(key="feature").value == features["feature"].iat[-2]
    default = str(telling_features(features)[0])  # which the address leaves out
    assert app.query_params.get("feature", default) == str(features["feature"].iat[-2])
    app.button(key="features_More frequent").click().run()
    assert app.button(key="features_More frequent").disabled
    app.button(key="features_Rarer").click().run()
    assert app.number_input(key="feature").value == features["feature"].iat[-2]


def test_chosen_feature__is_marked_in_the_plot(features, studies, open_page):
    app = open_page("features", study="demo")
    app.number_input(key="feature").set_value(5).run()
    ring = [t for t in spec(app, "features_chart")["data"] if t["name"] == "selected"]
    assert ring[0]["customdata"][0][0] == 5


def test_unknown_feature_in_link__is_dropped_with_a_note(studies, open_page):
    app = open_page("features", study="demo", feature="4711")
    assert not app.exception
    assert "There is no feature '4711'" in app.info[0].value


def test_table__lists_every_feature(features, studies, open_page):
    app = open_page("features", study="demo", features_plot="Table")
    shown = next(frame.value for frame in app.dataframe if "activation_rate" in frame.value)
    assert list(shown["feature"]) == list(features["feature"])
    assert shown["purity"].max() <= 100 < 100 * shown["purity"].max()


def test_purity_plot__replaces_the_sorted_one(studies, open_page):
    layout = spec(open_page("features", study="demo", features_plot="Purity"), "features_chart")["layout"]
    assert layout["yaxis"]["title"]["text"] == "share of its most common class"


def test_histogram__holds_the_stored_counts(studies, open_page):
    app = open_page("features", study="demo", feature="2")
    shares = grid(spec(app, "features_histogram")["data"][0]["customdata"])[:, 3]
    counts = open_study(studies / "demo").vector("activation_histogram")[2]
    assert shares.sum() == counts.sum()


def test_unlabelled_study__says_why_there_are_no_classes(studies, unlabelled_study, open_page):
    shutil.copytree(unlabelled_study, studies / "bare")
    app = open_page("features", study="bare")
    assert not app.exception
    assert "carry no labels" in all_text(app)
    app = open_page("features", study="bare", features_plot="Purity")
    assert not app.exception
    app = open_page("features", study="bare", features_plot="Table")
    assert "purity" not in next(f.value for f in app.dataframe if "tail" in f.value)


def test_study_without_features__names_the_command(studies, open_page):
    forget(studies / "demo", "features", "quality")
    app = open_page("features", study="demo")
    assert not app.exception
    assert any(code.value.startswith("python -m core features") for code in app.code)
