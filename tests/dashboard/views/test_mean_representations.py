"""Mean representations: cells are means of the images of the page, and lead to the right images."""

from __future__ import annotations

import numpy as np
import pytest

from core.charts.class_representations import choose_classes, choose_features
from core.measures.slice import Slice
from core.store import open_study
from core.study.missing import LEFT_OUT
from dashboard.components import widgets
from dashboard.panels.mean_representations import NONE_OF_GROUP
from tests.dashboard.conftest import all_text, forget, grid, spec, tiles
from tests.manifests import edited_manifest
from tests.sentences import numbers


@pytest.fixture
def study(studies):
    return open_study(studies / "demo")


def chosen(study) -> tuple[np.ndarray, np.ndarray]:
    classes = choose_classes(study.vector("group_counts"))
    table = study.table("features").sort_values("feature")
    inside = table["discriminative"].to_numpy(bool)
    return classes, choose_features(study.vector("class_means"), inside, classes)


def test_difference__is_that_of_the_stored_means(study, open_page):
    app = open_page("heatmaps", heat_part="Mean representations", study="demo")
    (cells,) = [grid(t["z"]) for t in spec(app, "groups_chart")["data"] if t["type"] == "heatmap"]
    place = np.ix_(*chosen(study))
    right, wrong = (study.vector(f"class_means_{name}")[place] for name in ("correct", "misclassified"))
    np.testing.assert_allclose(cells, right - wrong, rtol=1e-5, atol=1e-9)


def counts_said(app) -> list[list[str]]:
    """The first two numbers of each line: of one of them those of correct and of misclassified images."""
    return [numbers(one.value)[:2] for one in app.markdown]


def test_sentence__counts_the_two_groups(study, open_page):
    right, wrong = study.vector("group_counts").sum(1)
    app = open_page("heatmaps", heat_part="Mean representations", study="demo")
    assert [f"{right:,}", f"{wrong:,}"] in counts_said(app)


@pytest.mark.parametrize("where", ["label=ant,bee", "split=train", "label=cat split=train q_score=0.01.."])
def test_slice__is_averaged_anew(where, study, open_page):
    app = open_page("heatmaps", heat_part="Mean representations", study="demo", where=where)
    assert not app.exception
    inside = Slice.parse(where).mask(study)
    inside &= study.is_val if "split" not in where else True
    raw = study.vector("representations").astype(float)
    h = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    correct = study.table("probe")["correct"].to_numpy(bool)
    right, wrong = int((inside & correct).sum()), int((inside & ~correct).sum())
    assert [f"{right:,}", f"{wrong:,}"] in counts_said(app)
    if not wrong:
        return
    layout, drawn = spec(app, "groups_chart")["layout"], spec(app, "groups_chart")["data"]
    (cells,) = [grid(t["z"]) for t in drawn if t["type"] == "heatmap"]
    features = [int(name.rpartition("#")[2]) for name in layout["xaxis"]["ticktext"]]
    for row, name in enumerate(layout["yaxis"]["ticktext"]):
        of_class = inside & (study.images["label"] == name).to_numpy()
        right, wrong = (h[of_class & verdict][:, features].mean(0) for verdict in (correct, ~correct))
        np.testing.assert_allclose(cells[row], right - wrong, rtol=1e-4, atol=1e-7)


def test_classes__from_the_link(study, open_page):
    app = open_page("heatmaps", heat_part="Mean representations", study="demo", groups_classes=["cat", "ant"])
    (cells,) = [t for t in spec(app, "groups_chart")["data"] if t["type"] == "heatmap"]
    assert len(grid(cells["z"])) == 2
    layout = spec(app, "groups_chart")["layout"]
    assert layout["yaxis"]["ticktext"] == ["ant", "cat"]


def test_images_behind_a_cell__are_those_of_the_group_by_activation(study, open_page):
    feature = int(chosen(study)[1][0])
    app = open_page(
        "heatmaps",
        heat_part="Mean representations",
        study="demo",
        groups_class="bee",
        groups_feature=str(feature),
    )
    raw = study.vector("representations").astype(float)
    h = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    images = study.images.merge(study.table("probe")[["image_id", "correct"]], on="image_id")
    for name, correct in (("groups_correct", True), ("groups_misclassified", False)):
        rows = images.query("split == 'val' and label == 'bee' and correct == @correct").index.to_numpy()
        order = rows[np.argsort(-h[rows, feature], kind="stable")]
        shown = tiles(app, name)
        assert [tile["id"] for tile in shown] == order[:12].tolist()
        assert shown[0]["badge"] == f"{h[order[0], feature]:.3f}"
        mean = h[rows, feature].mean()
        group = "Correct" if correct else "Misclassified"
        assert f"**{group}**: mean activation {mean:.4f}" in all_text(app)


def test_sparsity__holds_both_curves(study, open_page):
    drawn = spec(open_page("heatmaps", heat_part="Mean representations", study="demo"), "groups_sparsity")[
        "data"
    ]
    curves = study.vector("sparsity_curves")
    for trace, curve in zip(drawn, curves, strict=True):
        np.testing.assert_allclose(grid(trace["y"]), curve, rtol=1e-5)


def test_feature_and_class_that_are_not_there__are_dropped_with_a_note(study, open_page):
    app = open_page(
        "heatmaps",
        heat_part="Mean representations",
        study="demo",
        groups_class="unicorn",
        groups_feature="900",
    )
    assert not app.exception
    said = " ".join(note.value for note in app.info)
    assert "unicorn" in said
    assert "'900'" in said


def test_unlabelled_study__says_why(studies, shelf, unlabelled_study, open_page):
    shelf.serve("bare", unlabelled_study)
    app = open_page("heatmaps", heat_part="Mean representations", study="bare")
    assert not app.exception
    assert "carry no labels" in all_text(app)


def test_without_quality__the_command(studies, open_page):
    forget(studies / "demo", "quality")
    app = open_page("heatmaps", heat_part="Mean representations", study="demo")
    assert not app.exception
    assert any(code.value.startswith("python -m core quality") for code in app.code)


def test_quality_from_before_the_means_were_stored__the_command(studies, open_page):
    with edited_manifest(studies / "demo") as manifest:
        manifest["items"].pop("class_means_correct")
    app = open_page("heatmaps", heat_part="Mean representations", study="demo")
    assert not app.exception
    assert ": not computed" in all_text(app)


def test_quality_without_these_means__says_so(study, open_page):
    with edited_manifest(study.path) as manifest:
        for item in ("class_means_correct", "class_means_misclassified", "group_counts"):
            manifest["items"].pop(item)
            manifest["steps"]["quality"]["outputs"].remove(item)
    app = open_page("heatmaps", heat_part="Mean representations", study="demo")
    assert not app.exception
    assert not app.code and LEFT_OUT in all_text(app)


def test_images__a_group_without_any_is_not_the_doing_of_the_filter(studies, open_page):
    link = {"heat_part": "Mean representations", "where": "correct=true", "groups_class": "ant"}
    text = all_text(open_page("heatmaps", study="demo", **link))
    assert NONE_OF_GROUP.format(label="ant", group="misclassified") in text and widgets.NO_MATCH not in text
