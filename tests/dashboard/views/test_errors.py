"""The Errors page: worst slices, confusions with what is behind them, two slices side by side."""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
import pytest

from core.answers.requests import add_answer
from core.concepts.blame import ProbeWithMeans
from core.measures import finder, saved_slices
from core.measures.confusions import confusions
from core.measures.feature_names import feature_names
from core.measures.finder import CLASS, worst_slices
from core.measures.plain_names import plain_name
from core.measures.slice import Slice
from core.measures.slice_comparison import population
from core.measures.slice_words import worst_within
from core.pictures.confused import behind_confusion, pushing_sentence, without_feature
from core.store import open_study
from core.study.progress import Progress
from core.study.stored_heatmaps import REQUESTED
from dashboard.cache import concept_reads, reads, slice_reads
from dashboard.jobs import resident_models
from dashboard.panels import saved_slices as saved_slices_panel
from dashboard.panels import worst_slices as slice_rows
from dashboard.panels import worst_slices as worst_slices_panel
from tests.dashboard.conftest import all_text, drawn_charts, forget, grid, spec, tiles, unescaped
from tests.sampling import sample
from tests.synthetic import make_study
from tests.tables import rows_where

ALL_ROWS = {"slices_least": "5", "slices_sure": "false", "slices_distinct": "false"}


@pytest.fixture(autouse=True)
def enough_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three errors of the small studies count as enough; `tests/measures/test_finder.py` has the rule."""
    monkeypatch.setattr(finder, "too_few_errors", lambda population: "")


@pytest.fixture
def study(seen):
    return open_study(seen)


def notes(app) -> str:
    return unescaped(" ".join(note.value for note in app.info))


def shown_cards(app, key: str) -> list[dict]:
    """The cards of a list."""
    found = [one.proto for one in app.get("bidi_component") if one.proto.id.endswith(f"-{key}")]
    assert len(found) == 1, key
    return json.loads(found[0].json)["cards"]


def shown_rows(app, key: str) -> list[int]:
    return [tile["id"] for tile in tiles(app, key)]


@pytest.mark.parametrize("where", ["", "label=bee", "split=train"])
def test_headline__is_of_the_images_of_the_filter(where, study, open_page):
    app = open_page("errors", study="seen", where=where)
    assert not app.exception
    mask = population(study, Slice.parse(where))[0]
    wrong = (
        study.table("probe")["correct"].astype("boolean").to_numpy(dtype=float, na_value=np.nan)[mask] == 0
    )
    said = all_text(app) + " ".join(head.value for head in app.header)
    assert f"{100 * wrong.mean():.1f} % wrong" in said
    assert f"{wrong.sum()} of {mask.sum()} " in said


@pytest.mark.parametrize("where", ["", "label=bee"])
def test_rows__are_the_worst_slices_of_the_filter(where, study, open_page):
    app = open_page("errors", study="seen", where=where, **ALL_ROWS)
    assert not app.exception
    within = Slice.joined([Slice(split="val"), Slice.parse(where)])
    table = worst_within(study, population(study, within)[0], within=within, min_images=5)
    found = shown_cards(app, "slices_rows")
    assert len(found) == min(10, len(table)) >= 2
    correct = study.table("probe")["correct"].to_numpy(object)
    for card, row in zip(found, table.to_dict("records"), strict=False):
        assert card["id"] == row["where"]
        assert card["title"].startswith(plain_name(Slice.parse(row["where"])))
        bar = card["bars"][0]
        assert (bar["share"], bar["low"], bar["high"]) == (row["error_rate"], row["low"], row["high"])
        assert bar["mark"] == pytest.approx(row["rest"])
        assert bar["text"].startswith(f"{100 * row['error_rate']:.0f} % wrong")
        inside = Slice.parse(row["where"]).mask(study)
        shown = [int(one["src"].split("/")[-1].split("?")[0]) for one in card["pictures"]]
        assert inside[shown].all() and len(shown) == min(6, row["n"])
        assert [correct[at] for at in shown].count(False) == min(6, row["errors"])  # wrong ones first
        assert [one["id"] for one in card["buttons"]] == ["filter", "save", "heatmaps"]


@pytest.mark.parametrize(
    ("kind", "trait", "said"),
    [
        ("class", "", "all of the class"),
        ("concept", "night", ""),
        ("column", "cause: small", "cause: small"),
        ("column", "companion_agrees: false", ""),
        ("feature", "feature 0", "fires "),
        ("feature", "feature 10000", ""),
    ],
)
def test_rows__say_where_the_trait_is_from(kind, trait, said, study):
    found = slice_rows.source_of(study, {"kind": kind, "trait": trait})
    assert found.startswith(said)
    if said.endswith(" "):
        assert found == reads.firing_classes(study)[0].clause
    else:
        assert found == said


def test_rows__say_nothing_twice(study):
    row = {"kind": "column", "trait": "cause: small", "name": "small objects"}
    assert slice_rows.source_of(study, row) == ""


def test_significant_only__leaves_out_the_others(study, open_page):
    table = worst_slices(study, min_images=5)
    significant = int((table["q"].to_numpy() <= 0.05).sum())
    app = open_page("errors", study="seen", slices_least="5", slices_distinct="false")
    assert not app.exception
    if significant:
        assert len(shown_cards(app, "slices_rows")) == min(10, significant)
    else:
        assert f"{len(table)} slices" in all_text(app)
        assert not [one for one in app.get("bidi_component") if one.proto.id.endswith("-slices_rows")]
        parts = {"slices_least": "5", "slices_distinct": "false", "slices_chance": "true"}
        app = open_page("errors", study="seen", **parts)
        found = shown_cards(app, "slices_rows")
        worse = table["where"][table["error_rate"] > table["rest"]].tolist()
        assert [card["id"] for card in found] == worse[:10]  # and none that is better than the others
        assert {card["tag"] for card in found} == {""}  # the line above the list says it of all
        app = open_page(
            "errors", study="seen", slices_least="5", slices_sure="false", slices_distinct="false"
        )
        assert {card["tag"] for card in shown_cards(app, "slices_rows")} == {"could be chance"}


def test_no_slice_with_that_many_images__a_button_asks_for_fewer(study, open_page):
    app = open_page("errors", study="seen", slices_least="500")
    assert not [one for one in app.get("bidi_component") if one.proto.id.endswith("-slices_rows")]
    app.button(key="slices_fewer").click().run()
    assert not app.exception and shown_cards(app, "slices_rows")


def test_usual_minimum_leaves_none__smaller_slices_are_listed_and_it_is_said(studies, open_page):
    make_study(studies / "few", n_train=60, n_val=24)
    study = open_study(studies / "few")
    few = worst_slices(study, min_images=3)
    usual = worst_slices(study, min_images=10)
    assert not (usual["error_rate"] > usual["rest"]).any() and (few["error_rate"] > few["rest"]).any()
    app = open_page("errors", study="few", slices_chance="true")
    assert not app.exception
    assert {card["id"] for card in shown_cards(app, "slices_rows")} <= set(few["where"])
    assert "10 images" in all_text(app)


def test_slices_that_could_be_chance__numbers_of_the_line_and_of_the_button_agree(
    study, open_page, monkeypatch
):
    table = worst_slices(study, min_images=5)
    worse = np.count_nonzero(table["error_rate"].to_numpy() > table["rest"].to_numpy())
    assert 1 < worse < len(table)  # or the line would say nothing of it
    found = slice_reads.worst
    monkeypatch.setattr(slice_reads, "worst", lambda *given: found(*given).assign(q=1.0))
    app = open_page("errors", study="seen", slices_least="5", slices_chance="true")
    shown = len(shown_cards(app, "slices_rows"))
    assert f"{len(table)} slices" in all_text(app)
    titles = [box.label for box in app.expander]
    assert any(title.startswith(f"{worse} slices ") and f" {shown} of them" in title for title in titles)
    assert f" {worse} " in app.button(key="slices_every").label
    app.button(key="slices_every").click().run()
    assert len(shown_cards(app, "slices_rows")) == min(worse, 10)


def test_one_slice_listed__the_line_is_in_the_singular():
    choice = worst_slices_panel.Choice("All other images", 10, True, True, "Rows")
    line = worst_slices_panel._count_sentence(5, 5, 1, choice)
    assert (line.kind, line.parts[0].kind) == ("one_listed", "worse")
    assert worst_slices_panel._chance_sentence(1, within=False).kind == "only_by_chance"
    within = worst_slices_panel._chance_sentence(9, within=True)
    assert (within.kind, within.n) == ("none_within", 9)
    assert worst_slices_panel._chance_title(1, 1).kind == "maybe_one"


def test_saved_in_a_row__its_chip_waits_for_the_next_page(study, open_page):
    app = open_page("errors", study="seen", **ALL_ROWS)
    first = shown_cards(app, "slices_rows")[0]["id"]
    with_chips = {one.key for one in app.get("button_group")}
    app.session_state[saved_slices_panel.LATER] = (
        ("errors", "seen", ""),
        (saved_slices.save(study.path, "kept", Slice.parse(first)),),
    )
    app.run()
    assert {one.key for one in app.get("button_group")} == with_chips
    app.multiselect(key="filter_labels").set_value(["bee"]).run()
    assert "filter_saved" in {one.key for one in app.get("button_group")}


def test_only_errors__the_images_stand_there(study, open_page):
    app = open_page("errors", study="seen", where="correct=false")
    wrong = np.flatnonzero(Slice.parse("split=val correct=false").mask(study))
    assert len(wrong) > 0 and set(shown_rows(app, "slices_gallery")) <= set(wrong.tolist())


def test_one_class__nothing_can_be_taken_for_another(studies, open_page):
    make_study(studies / "one", n_train=40, n_val=20, n_classes=1)
    forget(studies / "one", "quality", "probe")
    app = open_page("errors", study="one")
    assert not app.exception and not drawn_charts(app)
    assert not app.code


def test_distinct_only__leaves_out_slices_whose_errors_stand_above_and_says_so(study, open_page):
    wrong = study.table("probe")["correct"].to_numpy(object) == False  # noqa: E712  (NA is neither)
    table = worst_slices(study, min_images=5)
    above: set[int] = set()
    wanted = []
    for where in table["where"]:
        own = set(np.flatnonzero(Slice.parse(where).mask(study) & wrong).tolist())
        if own and len(own - above) * 2 >= len(own):
            wanted.append(where)
            above |= own
    assert 1 < len(wanted) < len(table)  # or the rule would say nothing here
    rows = ALL_ROWS | {"slices_distinct": "true"}
    app = open_page("errors", study="seen", **rows)
    assert not app.exception
    assert [card["id"] for card in shown_cards(app, "slices_rows")] == wanted[:10]
    assert f"**{len(wanted)}**" in all_text(app)
    app.button(key="slices_every").click().run()
    assert [card["id"] for card in shown_cards(app, "slices_rows")] == table["where"].tolist()[:10]
    app.button(key="slices_every").click().run()
    assert [card["id"] for card in shown_cards(app, "slices_rows")] == wanted[:10]


def test_table__has_the_numbers(study, open_page):
    app = open_page("errors", study="seen", slices_view="Table", **ALL_ROWS)
    table, shown = worst_slices(study, min_images=5), app.dataframe[0].value
    assert shown["Wrong"].tolist() == table["errors"].tolist()
    assert shown["Error rate"].tolist() == pytest.approx((100 * table["error_rate"]).tolist())


def test_chart__draws_the_rows_in_one_colour(study, open_page):
    app = open_page("errors", study="seen", slices_view="Chart", **ALL_ROWS)
    shown = spec(app, "slices_worst")["data"][0]
    table = worst_slices(study, min_images=5)
    assert grid(shown["x"]).tolist() == pytest.approx((100 * table["error_rate"]).tolist()[:30])
    assert isinstance(shown["marker"]["color"], str)  # none stands out where none is chosen


def test_chart__the_same_slices_beside_others_are_drawn_again(study, open_page, monkeypatch):
    every = slice_reads.worst

    def of_class_with_trait(study, where, least, against):
        table = every(study, where, least, CLASS)
        beside = {} if against == CLASS else {"rest": table["rest"] / 2}
        return table.assign(**beside)

    monkeypatch.setattr(slice_reads, "worst", of_class_with_trait)
    rests = [
        grid(spec(open_page("errors", study="seen", slices_view="Chart", slices_against=one, **ALL_ROWS),
                  "slices_worst")["data"][1]["x"])
        for one in ("All other images", "The rest of its class")
    ]  # fmt: skip
    np.testing.assert_allclose(2 * rests[0], rests[1])


def test_opened_slice__is_what_it_says(study, open_page):
    table = worst_slices(study, min_images=5)
    for row in (table.iloc[0], table.iloc[3]):
        app = open_page("errors", study="seen", slice=row["where"], **ALL_ROWS)
        assert not app.exception
        assert f"{row['errors']} of {row['n']} " in all_text(app)
        rows = shown_rows(app, "slices_gallery")
        inside = Slice.parse(row["where"]).mask(study)
        assert inside[rows].all() and len(rows) == min(24, inside.sum())
    app.button(key="slices_back").click().run()
    assert "slice" not in app.query_params and shown_cards(app, "slices_rows")


def test_opened_slice__counts_the_images_with_a_known_answer(partly, open_page):
    unlabelled = open_study(partly)
    slices = worst_slices(unlabelled, min_images=3).to_dict("records")
    counts = [slice_reads.count(unlabelled, Slice.parse(row["where"])) for row in slices]
    row, shown = next(pair for pair in zip(slices, counts, strict=True) if pair[0]["n"] < pair[1])
    app = open_page("errors", study="partly", slice=row["where"], **(ALL_ROWS | {"slices_least": "3"}))
    counted = f"{row['n']} images known to be right or wrong"
    assert f"{row['errors']} of {counted} " in all_text(app)
    assert [card["note"] for card in shown_cards(app, "slices_row")] == [counted]
    assert len(shown_rows(app, "slices_gallery")) == shown


def test_link__what_is_open_in_another_part_stays(study, open_page):
    opened = {"slice": "split=val label=bee", "under": "3", "slices_b": "Train images"}
    app = open_page("errors", study="seen", errors_tab="Confusions", failure_true="bee", **opened)
    assert "knows nothing" not in notes(app) and opened.items() <= app.query_params.items()


def test_unknown_slice_of_a_link__is_dropped_with_a_note(study, open_page):
    app = open_page("errors", study="seen", slice="label=unicorn", **ALL_ROWS)
    assert not app.exception
    assert "unicorn" in notes(app) and "slice" not in app.query_params


@pytest.mark.parametrize("verdict", ["true", "false"])
def test_filter_of_one_verdict__no_slice_is_worse(verdict, study, open_page):
    app = open_page("errors", study="seen", where=f"correct={verdict}")
    assert not app.exception
    assert not [one for one in app.get("bidi_component") if one.proto.id.endswith("-slices_rows")]


def test_no_errors__no_confusions(study, open_page):
    app = open_page("errors", study="seen", where="correct=true", errors_tab="Confusions")
    assert not app.exception
    assert "failure_matrix" not in drawn_charts(app)


@pytest.mark.parametrize("tab", ["Worst slices", "Confusions"])
def test_unlabelled__nothing_is_judged(tab, studies, shelf, unlabelled_study, open_page):
    shelf.serve("unlabelled", unlabelled_study)
    app = open_page("errors", study="unlabelled", errors_tab=tab)
    assert not app.exception
    assert not drawn_charts(app)
    study = open_study(studies / "unlabelled")
    scores = study.table("quality").loc[study.is_val, "distinctiveness"].dropna().sort_values(kind="stable")
    assert [tile["id"] for tile in tiles(app, "lowest")] == scores.index[:24].tolist()


def test_unlabelled__two_slices_can_still_be_compared(studies, shelf, unlabelled_study, open_page):
    shelf.serve("unlabelled", unlabelled_study)
    app = open_page("errors", study="unlabelled", errors_tab="Compare two")
    assert not app.exception
    assert spec(app, "slices_differences")


def test_without_the_probe__its_command(worded, open_page):
    forget(worded.path, "failures", "overlap", "quality", "probe")
    app = open_page("errors", study="seen")
    assert not app.exception
    assert any(code.value.startswith("python -m core probe ") for code in app.code)


@pytest.mark.parametrize("tab", ["Worst slices", "Confusions", "Compare two"])
def test_empty_filter__says_so(tab, studies, open_page):
    where = "label=ant predicted=bee q_score=99.."
    app = open_page("errors", study="demo", where=where, errors_tab=tab)
    assert not app.exception
    assert not drawn_charts(app)


def test_two_sides__have_their_numbers(study, open_page):
    where, pair = "label=bee split=val", {"slices_of": "The filter", "slices_b": "Train images"}
    app = open_page("errors", study="seen", where=where, errors_tab="Compare two", **pair)
    said = all_text(app)
    bees, train = (Slice.parse(text).mask(study) for text in (where, "split=train"))
    assert f"**{bees.sum()}**" in said and f"**{train.sum()}**" in said
    correct = study.table("probe")["correct"].astype("boolean").to_numpy(dtype=float, na_value=np.nan)
    assert f"**{100 * correct[bees].mean():.1f} %**" in said


def test_two_sides__the_chosen_one_stays_when_the_filter_changes(study, open_page):
    app = open_page("errors", study="seen", errors_tab="Compare two", slices_of="Correct")
    app.query_params["where"] = "split=val label=bee"
    app.run()
    assert not app.exception and not app.info
    assert app.selectbox(key="slices_of").value == "Correct"
    assert app.segmented_control(key="errors_tab").value == "Compare two"


def test_two_sides__that_share_images_say_so(study, open_page):
    pair = {"slices_of": "The filter", "slices_b": "Evaluation images"}
    app = open_page("errors", study="seen", where="label=bee", errors_tab="Compare two", **pair)
    bees = Slice.parse("label=bee split=val").mask(study)
    assert f"{bees.sum()} images" in all_text(app)


def test_two_sides__of_the_same_images_are_not_compared(study, open_page):
    pair = {"slices_of": "Train images", "slices_b": "Train images"}
    app = open_page("errors", study="seen", errors_tab="Compare two", **pair)
    assert not app.exception and "slices_differences" not in drawn_charts(app)


def test_two_sides__at_first_the_worst_slice_and_the_others(study, open_page):
    app = open_page("errors", study="seen", errors_tab="Compare two")
    assert not app.exception
    worst = worst_slices(study).iloc[0]
    inside = Slice.parse(worst["where"]).mask(study)
    said = all_text(app)
    assert app.selectbox(key="slices_of").value.startswith(plain_name(Slice.parse(worst["where"])))
    assert f"**{inside.sum()}**" in said and f"**{(study.is_val & ~inside).sum()}**" in said
    assert f"**{100 * (1 - worst['error_rate']):.1f} %**" in said
    assert f"**{100 * (1 - worst['rest']):.1f} %**" in said


@pytest.mark.parametrize("pair", [("Misclassified", "Correct"), ("@bad", "All other images")])
def test_two_sides__chosen_by_the_verdict_have_no_accuracy(pair, study, open_page):
    saved_slices.save(study.path, "bad", Slice.parse("correct=false split=val"))
    pair = dict(zip(("slices_of", "slices_b"), pair, strict=True))
    app = open_page("errors", study="seen", errors_tab="Compare two", **pair)
    assert not app.exception
    assert "Classified correctly" not in all_text(app)


def pairs_of(study) -> pd.DataFrame:
    wrong = study.table("probe")[study.is_val]
    wrong = wrong[~wrong["correct"].astype(bool)]
    return wrong.groupby(["true", "predicted"]).size().rename("n").reset_index()


def confused(open_page, true=None, predicted=None, **query):
    chosen = {"failure_true": true, "failure_predicted": predicted}
    chosen = {name: text for name, text in chosen.items() if text is not None}
    return open_page("errors", study="seen", errors_tab="Confusions", **chosen, **query)


def test_matrix__counts_of_misclassified_images(worded, open_page):
    app = confused(open_page)
    assert not app.exception
    points = spec(app, "failure_matrix")["data"][1]
    pairs = pairs_of(worded)
    wanted = set(zip(pairs["true"], pairs["predicted"], strict=True))
    assert {tuple(names) for names in points["customdata"]} == wanted
    assert len(wanted) >= 2  # or the tests of this page say little
    assert f"{pairs_of(worded)['n'].sum():,} of {worded.is_val.sum()}" in all_text(app)


@pytest.mark.exhaustive("panels/errors/test_confusions.py has the same list")
@pytest.mark.slow
@pytest.mark.parametrize("where", ["", "split=train"])
def test_ranked_list__the_confusions_of_the_filter(where, worded, open_page):
    app = confused(open_page, where=where)
    table = confusions(worded, population(worded, Slice.parse(where))[0])
    probe, split = worded.table("probe"), Slice.parse(where).mask(worded) if where else worded.is_val
    surest = {}  # how sure the probe is of its surest image of a pair
    for image in probe[split].to_dict("records"):
        pair = f"{image['true']} → {image['predicted']}"
        surest[pair] = max(image["confidence"], surest.get(pair, 0.0))
    pairs = [(f"{row['true']} → {row['predicted']}", row["n"]) for row in table.to_dict("records")]
    pairs.sort(key=lambda pair: (-pair[1], -surest[pair[0]]))
    found = shown_cards(app, "failure_list")
    assert [card["title"] for card in found] == [name for name, _ in pairs[:8]]
    assert [card["note"] for card in found] == [f"{n} image{'s' * (n != 1)}" for _, n in pairs[:8]]
    assert all(len(card["pictures"]) >= min(4, n) for card, (_, n) in zip(found, pairs, strict=False))
    weights, code = worded.vector("probe_weights"), worded.class_names.index
    for card in found:
        true, told = card["title"].split(" → ")
        rows = np.flatnonzero(split & (probe["true"] == true) & (probe["predicted"] == told))
        behind = behind_confusion(worded, ProbeWithMeans.of(worded), rows, true, told)
        behind = rows_where(behind, behind["side"] == "predicted").head(2)
        behind = rows_where(behind, ~(behind["share"] < concept_reads.LEAST_PUSH))
        if behind.empty:
            assert not any("Feature" in line for line in card["lines"])
            continue
        features = behind["feature"].tolist()
        lacks = [bool(weights[code(told), one] < weights[code(true), one]) for one in features]
        named = reads.feature_names(worded, behind["feature"])
        assert str(pushing_sentence(told, named, behind["share"].tolist(), lacks)) in card["lines"]


def test_ranked_list__of_one_class(worded, open_page):
    known = pairs_of(worded)
    true = known["true"].iloc[0]
    found = shown_cards(confused(open_page, true=true), "failure_list")
    assert len(found) == (known["true"] == true).sum()
    assert all(card["title"].startswith(f"{true} → ") for card in found)


@pytest.mark.slow
@pytest.mark.parametrize("step_ran", sample([True, False], 1))
def test_pair__most_confident_images_first_and_features_of_both_sides(step_ran, worded, open_page):
    row = pairs_of(worded).sort_values("n").iloc[-1]
    if not step_ran:
        forget(worded.path, "failures")
    app = confused(open_page, row["true"], row["predicted"])
    assert not app.exception
    probe = worded.table("probe")
    here = (probe["true"] == row["true"]) & (probe["predicted"] == row["predicted"]) & worded.is_val
    wanted = probe[here].sort_values("confidence", ascending=False, kind="stable")
    assert shown_rows(app, "failure_images") == wanted.index.tolist()
    rows, classes = wanted.index.to_numpy(), (row["true"], row["predicted"])
    probe_of = ProbeWithMeans.of(worded)
    table = behind_confusion(open_study(worded.path), probe_of, rows, *classes)
    first = int(table["feature"].iloc[0])
    without = without_feature(worded, probe_of, rows, first, *classes)
    assert f"**{without.to_true} of {len(rows)}** become {row['true']}" in all_text(app)
    answers = [tile["lines"][1] for tile in tiles(app, "failure_images")]
    assert answers == [f"without it: {name}" for name in without.answers[: len(answers)]]
    names = feature_names(open_study(worded.path), between=" · ")
    for side in ("true", "predicted"):
        part = table[table["side"] == side]
        bars, found = spec(app, f"failure_behind_{side}"), shown_cards(app, f"failure_features_{side}")
        n = len(part)
        assert grid(bars["data"][0]["x"]).tolist()[:n] == pytest.approx(part["push"].tolist())
        assert bars["layout"]["yaxis"]["ticktext"][:n] == [f"Feature {number}" for number in part["feature"]]
        for card, number in zip(found, part["feature"], strict=False):
            assert card["title"] == names.get(number, f"Feature {number}")
            assert card["pictures"] and card["id"] == str(number)
            assert card["href"].startswith("/feature?") and f"feature={number}" in card["href"]


def test_pair__its_pictures_are_of_the_feature_that_pushes_without_a_click(worded, open_page, trusted):
    row = pairs_of(worded).sort_values("n").iloc[-1]
    app = confused(open_page, row["true"], row["predicted"])
    rows, classes = np.array(shown_rows(app, "failure_images")), (row["true"], row["predicted"])
    feature = int(behind_confusion(worded, ProbeWithMeans.of(worded), rows, *classes)["feature"].iloc[0])
    assert not app.exception and f"**Feature {feature}" in all_text(app)
    while resident_models.prepare_encoder(worded).name == "loading":
        time.sleep(0.2)
    app.run()
    held = []
    for key in ("failure_images", *(f"failure_correct_{one}" for one in classes)):
        for tile in tiles(app, key):
            (drawn,) = tile["beside"]
            held.append(feature in worded.heatmap_reader.features_of(tile["id"]))
            assert (f"features={feature}&" in f"{drawn}&") if held[-1] else drawn.startswith("data:image")
    assert not all(held)  # those that are not stored are computed, and stay so
    assert not (worded.path / REQUESTED).exists()


def test_pair__of_an_answer_that_is_not_linear_says_so_in_one_line(worded, open_page, tmp_path):
    predictions = worded.table("probe")[["image_id", "predicted"]]
    predictions.to_csv(tmp_path / "theirs.csv", index=False)
    add_answer(worded.path, str(tmp_path / "theirs.csv"), None, {"device": "cpu"}, Progress.silent())
    row = pairs_of(worded).iloc[0]
    app = open_page("errors", study="seen", errors_tab="Confusions", failure_true=row["true"],
                    failure_predicted=row["predicted"], answer="theirs")  # fmt: skip
    assert not app.exception and shown_rows(app, "failure_images")
    assert all_text(app).count("is not linear") == 1


@pytest.mark.exhaustive("panels/errors/test_confusions.py has the same list")
@pytest.mark.slow
def test_pair_that_was_never_confused__says_what_was(worded, open_page):
    known = pairs_of(worded)
    never = [
        (true, predicted)
        for true in known["true"].unique()
        for predicted in known["predicted"].unique()
        if not ((known["true"] == true) & (known["predicted"] == predicted)).any()
    ]
    true, predicted = next(pair for pair in never)
    app = confused(open_page, true, predicted)
    assert not app.exception
    assert f"**{true}** was taken for **{predicted}**" in all_text(app)
    app.button(key="failure_all").click().run()
    assert not app.exception
    assert shown_cards(app, "failure_list")


def test_without_words__the_features_are_there_and_nothing_is_asked_of_a_terminal(worded, open_page):
    row = pairs_of(worded).sort_values("n").iloc[-1]
    forget(worded.path, "failures", "concepts")
    app = confused(open_page, row["true"], row["predicted"])
    assert not app.exception
    assert shown_cards(app, "failure_features_true")
    assert "--captions" not in all_text(app)


def test_confusions__a_class_that_the_filter_leaves_out_is_dropped_once(seen, open_page):
    study = open_study(seen)
    wrong = study.table("probe")[(study.table("probe")["correct"] == False).fillna(False) & study.is_val]  # noqa: E712
    true, *others = list(dict.fromkeys(wrong["true"]))
    link = {"errors_tab": "Confusions", "failure_true": true}
    app = open_page("errors", study="seen", where=f"label={others[0]}", **link)
    assert f"There is no '{true}' here" in all_text(app) and "failure_true" not in app.query_params
    assert "There is no" not in all_text(app.run())
