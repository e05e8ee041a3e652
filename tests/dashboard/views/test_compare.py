"""Compare: which studies are offered, what the numbers and galleries hold, and what is said without them."""

from __future__ import annotations

import json
import shutil
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest

from core.common.records import Templates
from core.compare import features
from core.compare.answers import alone_right
from core.compare.checkpoints import along, checkpoints_finding
from core.compare.compare import compare
from core.compare.features import lone_features
from core.compare.images import GAINED, LOST, shared_images
from core.compare.text import headline_cells
from core.measures.slice import Slice
from core.store import open_study
from core.study.commands import AddAnswer
from core.study.writer import write_study
from dashboard.cache import comparison_reads, feature_reads
from dashboard.components.tooltips import plain
from dashboard.panels.compared_pictures import EACH, FRAMES
from tests.compare.comparable import add_concepts, second_study
from tests.dashboard.conftest import (
    all_text,
    drawn_cards,
    drawn_charts,
    forget,
    grid,
    numbers_of,
    spec,
    tiles,
    unescaped,
    write_progress,
)
from tests.rules import ROOT
from tests.sampling import sample
from tests.synthetic import make_study

_say = Templates.beside(str(ROOT / "dashboard" / "views" / "compare.py"))


@pytest.fixture
def both(studies, second):
    return studies


@pytest.fixture
def found(both):
    return compare([open_study(both / "demo"), open_study(both / "second")])


def page_html(app) -> str:
    return "\n".join(str(one.proto.body) for one in app.get("html"))


def test_one_study__offers_another_encoder_and_another_answer(studies, started, open_page):
    app = open_page("compare", study="demo")
    assert not app.exception and not app.code
    links = [(one.proto.page, one.proto.query_string) for one in app.get("page_link")]
    assert [page for page, _ in links].count("new_study") == 2  # here, and in the sidebar
    assert any(page == "features" and "features_as=Bases" in query for page, query in links)
    app.button(key="compare_add_answer").click().run()
    assert [command for command, _ in started] == [AddAnswer(studies / "demo")]


def test_several_studies__another_answer_is_offered_too(studies, both, started, open_page):
    app = open_page("compare", study="demo", compare_what="Answers")
    assert not app.exception
    app.button(key="compare_add_answer").click().run()
    assert [command for command, _ in started] == [AddAnswer(studies / "demo")]


def test_one_study_of_one_image_a_class__offers_no_vote(studies, open_page):
    shutil.rmtree(studies / "demo")
    names = tuple(f"class {number}" for number in range(40))
    study = make_study(
        studies / "single", n_train=24, n_val=16, n_classes=40, class_names=names, pictures=False
    )
    assert open_study(study).images["label"].value_counts().max() == 1
    app = open_page("compare", study="single")
    assert not app.exception
    assert not [one for one in app.button if one.key == "compare_add_answer"]


def test_one_study_without_labels__offers_no_answer(studies, shelf, unlabelled_study, open_page):
    shutil.rmtree(studies / "demo")
    shelf.serve("bare", unlabelled_study)
    app = open_page("compare", study="bare")
    assert not app.exception
    assert not [one for one in app.button if one.key == "compare_add_answer"]


def test_classes_of_few_images_each__are_not_compared_one_by_one(found, open_page, monkeypatch):
    monkeypatch.setattr(feature_reads, "classes_tell", lambda study: False)
    held = drawn_charts(open_page("compare", study="demo", compare_with=["second"]))
    assert "compare_distributions" in held and "compare_classes" not in held


def test_link__parts_that_are_not_drawn_here_stay(found, open_page):
    opened = {"compare_words_open": "true", "compare_figures_open": "true"}
    app = open_page("compare", study="demo", compare_what="Checkpoints", **opened)
    assert "knows nothing" not in all_text(app) and opened.items() <= app.query_params.items()


@pytest.mark.parametrize(("where", "drawn"), [("label=bee", False), ("", True)])
def test_one_class__has_its_number_above_and_no_chart(found, open_page, where, drawn):
    held = drawn_charts(open_page("compare", study="demo", compare_with=["second"], where=where))
    assert "compare_distributions" in held and ("compare_classes" in held) == drawn


def test_numbers__are_those_of_the_comparison(found, open_page):
    app = open_page("compare", study="demo", compare_with=["second"])
    assert not app.exception and not app.error
    drawn = page_html(app)
    for row in headline_cells(found)[1:]:
        for cell in row:
            assert cell in drawn
    assert "**40** images in both" in all_text(app)
    accuracy = found.value("accuracy", "second")["value"]
    assert f"{100 * accuracy:.1f} %" in [metric.value for metric in app.metric]


def test_study_that_is_still_computed__is_chosen_last_and_named(both, open_page):
    shutil.copytree(both / "second", both / "begun")
    write_progress(both / "begun")
    assert list(comparison_reads.other_studies(open_study(both / "demo"))) == ["second", "begun"]
    line = "begun is still being computed"
    app = open_page("compare", study="demo")
    assert app.multiselect(key="compare_with").value == ["second"] and line not in all_text(app)
    assert line in all_text(open_page("compare", study="demo", compare_with=["begun"]))


@pytest.mark.exhaustive("test_one_number.py compares the charts of a filter")
@pytest.mark.slow
def test_filter__narrows_what_is_compared(both, open_page):
    studies = [open_study(both / name) for name in ("demo", "second")]
    among = Slice.parse("label=bee split=val")
    found = compare(studies, among=among)
    app = open_page("compare", study="demo", compare_with=["second"], where="label=bee")
    assert not app.exception
    assert f"**{found.shared.n_images}**" in all_text(app)
    drawn = page_html(app)
    for row in headline_cells(found)[1:]:
        assert all(cell in drawn for cell in row)
    bees = among.mask(studies[0])
    whole = compare(studies)
    for side, name in ((GAINED, "Only second right"), (LOST, "Only demo right")):
        app.segmented_control(key="compare_side").set_value(name).run()
        moved = whole.changed("second", side)["row"].to_numpy()
        wanted = moved[bees[moved]][: FRAMES // 2].tolist()
        shown = [tile["id"] for tile in tiles(app, "compare_gallery")] if wanted else []
        assert shown == wanted and bees[moved].sum() < len(moved)


def test_filter__without_evaluation_images_says_so_once(both, open_page):
    app = open_page("compare", study="demo", compare_with=["second"], where="split=train")
    assert not app.exception
    assert "**80**" in all_text(app) and "**0**" in all_text(app)
    assert not any("alone" in head.value for head in app.header)
    assert not [name for name in drawn_charts(app) if "distributions" in name or "classes" in name]


@pytest.mark.exhaustive("test_filter__without_evaluation_images leaves it, too")
@pytest.mark.slow
def test_filter__that_no_image_fits_leaves_the_page(both, open_page):
    app = open_page("compare", study="demo", compare_with=["second"], where="label=bee q_score=5..")
    assert not app.exception
    assert "120 images" in all_text(app) and not drawn_charts(app)
    app.button(key="filter_clear").click().run()
    assert "**40** images in both" in all_text(app)


@pytest.mark.slow
def test_changed_sides__gallery_holds_these_images_surest_first(found, open_page):
    app = open_page("compare", study="demo", compare_with=["second"])
    gained = found.changed("second", GAINED)
    shown = tiles(app, "compare_gallery")
    assert [tile["id"] for tile in shown] == gained["row"].tolist()[: FRAMES // 2]
    first = gained.iloc[0]
    before, after = shown[0]["lines"]
    assert before.startswith(f"{first['label']}: demo {first['predicted_before']} ")
    assert after.startswith(f"second {first['predicted_after']} ")
    assert f"Q {first['q_before']:.3f}" in before and f"Q {first['q_after']:.3f}" in after
    counts = found.side_counts("second")
    said = str(alone_right({"demo": counts[LOST], "second": counts[GAINED]}))
    assert plain(said) in [head.value for head in app.header]


@pytest.mark.exhaustive("test_changed_sides__gallery… has the other side")
@pytest.mark.slow
def test_side__from_the_link(found, open_page):
    app = open_page("compare", study="demo", compare_with=["second"], compare_side="Only demo right")
    lost = found.changed("second", LOST)
    assert [tile["id"] for tile in tiles(app, "compare_gallery")] == lost["row"].tolist()[: FRAMES // 2]


@pytest.mark.exhaustive("tests/compare counts them, test_one_number.py draws them")
@pytest.mark.slow
def test_words__gained_and_lost(both, open_page):
    add_concepts(both / "demo", {"3": ["dog", "red"]})
    add_concepts(both / "second", {"3": ["dog", "<script>x"]})
    shut = open_page("compare", study="demo", compare_with=["second"])
    assert "Only in second (" not in all_text(shut)  # drawn while it is open only
    app = open_page("compare", study="demo", compare_with=["second"], compare_words_open="true")
    said = all_text(app)
    assert "Only in second (1): <script>x" in said and "Only in demo (1): red" in said
    (matrix,) = [one for one in spec(app, "compare_words")["data"] if one["type"] == "heatmap"]
    assert grid(matrix["z"]).tolist() == [[2, 1], [1, 2]]
    assert any("core transfer" in code.value for code in app.code)


@pytest.mark.slow
def test_names_are_text__in_the_table(both, open_page):
    (both / "second").rename(both / "<b>x")
    app = open_page("compare", study="demo", compare_with=["<b>x"])
    assert not app.exception
    assert "<b>x" not in page_html(app) and "&lt;b&gt;x" in page_html(app)


@pytest.mark.exhaustive("tests/compare: test_nothing_shared__one_line…")
@pytest.mark.slow
def test_other_images__one_line_and_no_crash(both, full_study, open_page):
    shutil.rmtree(both / "second")
    other = second_study(full_study, both / "foreign", rename="x")
    app = open_page("compare", study="demo")
    assert not app.exception and not drawn_charts(app)
    app = open_page("compare", study="demo", compare_with=["foreign"])
    assert not app.exception and other.exists()
    assert any("share no image" in unescaped(one.value) for one in app.warning)


def test_picker__offers_studies_of_the_same_images_and_names_the_others(both, full_study, open_page):
    second_study(full_study, both / "foreign", rename="x")
    app = open_page("compare", study="demo")
    assert app.multiselect(key="compare_with").options == ["second"]
    assert str(_say("unlike", n=1, names=("foreign",))) in all_text(app)
    app = open_page("compare", study="demo", compare_what="Leaderboard")
    assert app.multiselect(key="compare_board").options == ["demo", "second"]


def test_fewer_images_than_the_leaderboard__are_named_with_the_way_to_all(found, open_page):
    app = open_page("compare", study="demo", compare_with=["second"])
    assert str(_say("fewer")) in all_text(app)
    ways = [parse_qs(one.proto.query_string) for one in app.get("page_link") if one.proto.page == "compare"]
    (all_of_them,) = [way for way in ways if way.get("answer") == ["crossfit"]]
    assert all_of_them["compare_with"] == ["second"]
    app = open_page("compare", study="demo", answer="crossfit", compare_with=["second"])
    assert not app.exception and "**120** images in both" in all_text(app)
    assert str(_say("fewer")) not in all_text(app)


@pytest.mark.exhaustive("state/test_session.py drops what a link cannot name")
@pytest.mark.slow
def test_unknown_study_in_the_link__is_dropped_with_a_note(both, open_page):
    app = open_page("compare", study="demo", compare_with=["nowhere"])
    assert not app.exception
    assert "nowhere" in " ".join(note.value for note in app.info)


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps", sample([("probe", "quality"), ("features", "quality"), ("probe",), ("quality",)], 1)
)
def test_half_finished__the_rest_is_there(both, open_page, steps):
    forget(both / "second", *steps)
    app = open_page("compare", study="demo", compare_with=["second"])
    assert not app.exception
    if "probe" in steps:  # nothing is drawn of what only one of them has
        assert not {"compare_classes", "compare_distributions"} & set(drawn_charts(app))


@pytest.mark.slow
@pytest.mark.parametrize("figure", sample(["Mean representations", "One feature", "Overlap with masks"], 1))
def test_paper_figures__each_opens(both, open_page, figure):
    asked = {"compare_with": ["second"], "compare_figure": figure}
    app = open_page("compare", study="demo", **asked, compare_figures_open="true")
    assert not app.exception and not app.info
    assert app.get_by_key("compare_figure").value == figure
    shut = open_page("compare", study="demo", **asked)  # a link of before there was something to open
    assert not shut.exception and not shut.info


@pytest.mark.exhaustive("test_changed_sides__gallery… has the same tiles")
@pytest.mark.slow
def test_heatmaps__of_both_studies_beside_the_image(studies, seen, open_page):
    """A copy of a study is a second study with the same heatmaps."""
    shutil.copytree(seen, studies / "twin")
    app = open_page("compare", study="seen", compare_with=["twin"], compare_side="Wrong in both")
    assert not app.exception
    (tile, *_) = tiles(app, "compare_gallery")
    assert tile["names"] == ["Image", "Heatmap in seen", "Heatmap in twin"]
    assert "/seen/" in tile["beside"][0] and "/twin/" in tile["beside"][1]


@pytest.mark.exhaustive("tests/research has the numbers")
@pytest.mark.slow
def test_estimates__are_shown_where_a_study_keeps_them(both, open_page):
    names = ("val_accuracy", "atc", "difference_of_confidences", "nuclear_norm", "agreement")
    table = pd.DataFrame({"method": names, "estimate": [0.8, 0.7, 0.75, 0.6, 0.65]})
    table = table.assign(margin=0.05, error_slices=0.04, error_copies=np.nan)
    with write_study(both / "second") as writer, writer.step("accuracy", {}, ("representations",)) as step:
        step.table("accuracy_estimates", table)
        step.summary = {"source_name": "labelled", "n_images": 40, "by": "atc", "truth": None}
        step.summary |= {"margin": 0.06, "error": 0.04, "error_assumed": 0.09, "noise": 0.03}
        step.summary |= {"n_slices": 30, "n_copies": 0, "noise_slices": 0.03, "noise_copies": None}
    forget(both / "second")
    app = open_page("compare", study="demo", compare_with=["second"])
    assert not app.exception
    (estimate,) = [numbers_of(one.value) for one in app.markdown if one.value.startswith("- ")]
    assert {64.0, 76.0, 30.0, 4.0, 3.0} <= set(estimate)  # interval, slices, error, by chance alone
    (shown,) = [frame.value for frame in app.dataframe if frame.value.shape == (len(table), 7)]
    accuracy, _, on_copies, by_chance = (shown.iloc[:, column].tolist() for column in range(-4, 0))
    assert numbers_of(accuracy[1]) == [70.0, 65.0, 75.0]
    assert not any(map(numbers_of, on_copies))  # of no copies
    assert [numbers_of(text) for text in set(by_chance)] == [[3.0]]


@pytest.mark.exhaustive("test_pages.py opens unlabelled studies")
@pytest.mark.slow
def test_unlabelled_studies__say_how_accuracy_could_be_estimated(studies, shelf, unlabelled_study, open_page):
    for name in ("bare", "twin"):
        shelf.serve(name, unlabelled_study)
    app = open_page("compare", study="bare", compare_with=["twin"])
    assert not app.exception and not app.error
    said = all_text(app)
    assert f"transfer-probe LABELLED --into {studies / 'twin'}" in said
    assert "Accuracy estimated without labels" not in [head.value for head in app.header]


def menus(app) -> dict[str, dict]:
    """What the menu of each chart holds, by chart."""
    found = [one.proto for one in app.get("bidi_component")]
    told = [json.loads(one.json) for one in found if one.component_name == "peregrine_chart_menu"]
    return {one["chart"]: one for one in told}


@pytest.mark.slow
@pytest.mark.parametrize("figure", ["Overlap with masks", "Mean representations"])
def test_every_chart__has_a_menu(both, open_page, figure):
    for name in ("demo", "second"):
        add_concepts(both / name, {"3": ["dog"]})
    parts = {"compare_words_open": "true", "compare_figures_open": "true", "compare_figure": figure}
    app = open_page("compare", study="demo", compare_with=["second"], **parts)
    assert not app.exception
    held = menus(app)
    assert {"compare_classes", "compare_distributions", "compare_words"} <= set(held)
    assert len(held) > 3 or figure == "Overlap with masks"  # this study has no masks


@pytest.mark.exhaustive("tests/compare/test_lone_features.py finds them")
@pytest.mark.slow
def test_features_gained_and_lost__in_pictures_of_their_study(both, open_page, monkeypatch):
    monkeypatch.setattr("core.compare.features.UNLIKE", 0.8)  # the planted features of the two are alike
    monkeypatch.setattr("core.compare.features.LEAST", 3)
    shared = shared_images([open_study(both / name) for name in ("demo", "second")])
    app = open_page("compare", study="demo", compare_with=["second"])
    assert not app.exception
    gained, lost = lone_features(shared, 1, 0), lone_features(shared, 0, 1)
    counts = f"{len(gained)} of second, {len(lost)} of demo"
    assert any(head.value.endswith(counts) for head in app.header)
    for key, table, name in (("gained", gained, "second"), ("lost", lost, "demo")):
        if len(table):
            shown = drawn_cards(app, f"compare_lone_{key}")
            assert [int(card["id"]) for card in shown] == table["feature"].tolist()[:EACH]
            assert all(f"study={name}" in card["href"] for card in shown)
    assert max(len(gained), len(lost)) > EACH
    key, table = ("gained", gained) if len(gained) > EACH else ("lost", lost)
    app = open_page("compare", study="demo", compare_with=["second"], **{f"compare_lone_{key}_page": "2"})
    shown = drawn_cards(app, f"compare_lone_{key}")
    assert [int(card["id"]) for card in shown] == table["feature"].tolist()[EACH : 2 * EACH]


@pytest.mark.exhaustive("tests/compare/test_lone_features.py finds them")
@pytest.mark.slow
def test_no_feature_gained_or_lost__shows_those_that_changed_most(both, open_page, monkeypatch):
    monkeypatch.setattr("core.compare.features.LEAST", 3)
    monkeypatch.setattr("core.compare.features.UNLIKE", 0.01)
    shared = shared_images([open_study(both / name) for name in ("demo", "second")])
    assert lone_features(shared, 1, 0).empty and lone_features(shared, 0, 1).empty
    app = open_page("compare", study="demo", compare_with=["second"])
    assert any(head.value.endswith("0 of second, 0 of demo") for head in app.header)
    for key, one, other in (("gained", 1, 0), ("lost", 0, 1)):
        ranked = lone_features(shared, one, other, np.inf).sort_values("likeness", kind="stable")
        shown = [int(card["id"]) for card in drawn_cards(app, f"compare_lone_{key}")]
        assert shown == ranked["feature"].tolist()[:EACH] and len(shown) > 1


@pytest.mark.slow
def test_checkpoints__in_counted_order_with_numbers_and_features(both, open_page, monkeypatch):
    monkeypatch.setattr(features, "LEAST", 3)  # the study is small
    for name, source in (("epoch10", "second"), ("epoch2", "demo")):
        (both / source).rename(both / name)
    app = open_page("compare", study="epoch10", compare_what="Checkpoints")
    assert not app.exception and not app.error
    assert app.multiselect(key="compare_along").value == ["epoch2", "epoch10"]
    data = along([open_study(both / name) for name in ("epoch2", "epoch10")])
    assert unescaped(app.header[0].value) == checkpoints_finding(data) and len(data.features)
    (drawn,) = [trace for trace in spec(app, "compare_checkpoints")["data"] if trace["xaxis"] == "x"]
    accuracy = data.frame.loc[data.frame["measure"] == "accuracy", "value"]
    assert grid(drawn["y"]).tolist() == pytest.approx((100 * accuracy).tolist())
    app.multiselect(key="compare_along").set_value(["epoch10"]).run()
    assert not app.exception and "compare_checkpoints" not in drawn_charts(app)
    app = open_page("compare", study="epoch10", compare_what="Checkpoints", compare_along=["<b>x", "epoch2"])
    assert not app.exception
