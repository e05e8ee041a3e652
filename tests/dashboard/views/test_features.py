"""The page Features: its numbers are those of the filter's images, in every form of the list."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.measures import telling_features
from core.measures.feature_rates import feature_differences
from core.measures.slice import Slice
from core.measures.slice_comparison import population
from core.measures.slice_features import likeness_of_strongest
from core.measures.slice_words import slice_words
from core.store import open_study
from dashboard.cache import feature_reads
from dashboard.panels import feature_cards
from dashboard.panels.feature_cards import NO_WORDS, WORDS_COME
from tests.concepts.worded import MARKUP
from tests.dashboard.conftest import (
    all_text,
    drawn_cards,
    drawn_charts,
    forget,
    grid,
    spec,
    tiles,
    write_progress,
)
from tests.manifests import edited_manifest
from tests.synthetic import make_study
from tests.tables import rows_where


def rates(study, where: str):
    """The twin of the list: what the library says of a slice, by feature."""
    masks = population(study, Slice.parse(where))
    return feature_differences(study, *masks).set_index("feature")


def shares(card: dict) -> list[str]:
    return [bar["text"] for bar in card["bars"]]


def test_words__that_a_job_is_still_to_find_are_not_called_absent(studies, open_page):
    folder, command = studies / "demo", ["python", "-m", "core", "resume"]
    with edited_manifest(folder) as manifest:
        manifest["steps"].pop("concepts", None)

    def says_they_come(**record: object) -> bool:
        write_progress(folder, command=[*command, str(folder)], **record)
        text = all_text(open_page("features", study="demo"))
        assert (NO_WORDS in text) != (WORDS_COME in text)
        return WORDS_COME in text

    assert says_they_come(stage="heatmaps")
    assert not says_they_come(stage="heatmaps", idle=["concepts"])
    assert not says_they_come(state="done")


@pytest.mark.parametrize("where", ["label=ant", "correct=false", "split=train label=bee,cat"])
def test_cards__rates_of_the_slice_and_of_the_rest_largest_difference_first(where, studies, open_page):
    wanted = rates(open_study(studies / "demo"), where)
    shown = drawn_cards(open_page("features", study="demo", where=where), "features_cards")
    order = [int(card["id"]) for card in shown]
    fires = rows_where(wanted, wanted["rate"] > 0)
    assert len(order) == min(24, len(fires)) > 6
    assert (np.diff(fires["difference"].loc[order]) <= 0).all()
    assert not (fires["difference"].drop(order) > fires["difference"].loc[order].iloc[-1]).any()
    for card in shown:
        row = wanted.loc[int(card["id"])]
        assert shares(card) == [f"{100 * row['rate']:.1f} %", f"{100 * row['rate_against']:.1f} %"]


def test_cards__name_and_bar_tell_the_same_class_of_the_images_it_fires_on(studies, open_page):
    study = open_study(studies / "demo")
    wanted = rates(study, "split=val")
    counts = study.vector("firing_by_feature_ptr")
    for card in drawn_cards(open_page("features", study="demo"), "features_cards"):
        feature = int(card["id"])
        rows = study.vector("firing_by_feature_rows")[counts[feature] : counts[feature + 1]]
        labels = study.images["label"].iloc[rows[study.is_val[rows]]].value_counts()
        assert shares(card)[0].startswith(f"{100 * wanted['rate'][feature]:.1f} %")
        if len(card["bars"]) == 1:
            assert labels.sum() < 5 and f"{labels.sum()} image" in card["bars"][0]["text"]
            assert not card["note"] or card["note"].startswith("#")  # the bar has said on how many
            continue
        label = card["bars"][1]["label"].removeprefix("most often ")
        assert labels[label] == labels.max() and labels.sum() >= 5
        assert card["bars"][1]["text"] == f"{labels.max()} of {labels.sum()}"
        assert card["bars"][1]["share"] == pytest.approx(labels.max() / labels.sum())
        assert f" {label}, {labels.max()} of {labels.sum()} images" in card["note"] or card["note"][0] == "#"


def test_cards__the_length_of_a_full_bar_is_said(studies, open_page):
    app = open_page("features", study="demo")
    shown = [card["bars"][0] for card in drawn_cards(app, "features_cards")]
    full = next(bar["text"] for bar in shown if bar["share"] == 1)
    said = all_text(app)
    grey = any(len(card["bars"]) > 1 for card in drawn_cards(app, "features_cards"))
    assert f" {full}." in said and ("Grey bars" in said) == grey


def test_cards__of_few_images_have_no_grey_bar_and_no_word_of_one(studies, open_page):
    make_study(studies / "few", n_train=40, n_val=4)
    app = open_page("features", study="few")
    assert {len(card["bars"]) for card in drawn_cards(app, "features_cards")} == {1}
    assert "Grey bars" not in all_text(app)


def test_cards__of_one_class_have_one_bar(studies, open_page):
    make_study(studies / "one", n_train=40, n_val=20, n_classes=1)
    cards = drawn_cards(open_page("features", study="one"), "features_cards")
    assert cards and {len(card["bars"]) for card in cards} == {1}


@pytest.mark.exhaustive("panels/test_filter_bar.py narrows the same pages")
@pytest.mark.slow
def test_title_and_finding__change_with_the_filter(studies, open_page):
    study = open_study(studies / "demo")
    app = open_page("features", study="demo", where="label=ant")
    assert app.title[0].value == "Features of :blue[ant]"
    wanted = rates(study, "label=ant")
    often = wanted["rate"] >= 0.01
    others = [rates(study, f"label={name}")["rate"] for name in study.class_names if name != "ant"]
    more = wanted["rate"] > np.max([one.reindex(wanted.index) for one in others], axis=0)
    assert f"{often.sum()} features" in all_text(app) and f"{(often & more).sum()} of them" in all_text(app)
    app = open_page("features", study="demo", where="label=ant correct=false")
    assert ":blue[misclassified ant]" in app.title[0].value
    app = open_page("features", study="demo")
    assert app.title[0].value == "Features"
    assert "40 images" in all_text(app)


def test_pictures__of_the_filter_with_stored_heatmaps(seen, open_page):
    study = open_study(seen)
    shown = drawn_cards(open_page("features", study="seen", where="label=ant"), "features_cards")
    assert shown
    for card in shown:
        feature = int(card["id"])
        for picture in card["pictures"]:
            row = int(picture["src"].split("?")[0].rpartition("/")[2])
            assert study.images["label"].iat[row] == "ant" and study.is_val[row]
            if picture["src"].startswith("overlay/"):
                assert f"features={feature}" in picture["src"]
                assert feature in study.heatmap_reader.features_of(row)
    assert any(picture["src"].startswith("overlay/") for card in shown for picture in card["pictures"])


def test_verdicts__tags_and_their_filter(seen, open_page):
    table = open_study(seen).table("overlap_by_feature").drop_duplicates("feature").set_index("feature")
    names = {"core": "on the object", "spurious": "on the background", "undecided": "undecided"}
    app = open_page("features", study="seen")
    for card in drawn_cards(app, "features_cards"):
        verdict = table["verdict"].get(int(card["id"]))
        assert card["tag"] == names.get(str(verdict), "")
    app.selectbox(key="features_verdict").select("On the object").run()
    shown = drawn_cards(app, "features_cards")
    assert {card["tag"] for card in shown} == {"on the object"}
    lift = open_study(seen).table("overlap_by_feature").query("mask == 'core'").set_index("feature")["lift"]
    lifts = [float(lift.at[int(card["id"])]) for card in shown]
    assert lifts == sorted(lifts, reverse=True) and len({*lifts}) > 1  # the clearest first, as on Overview


def test_search__words_and_numbers(worded, open_page):
    app = open_page("features", study="seen", features_find="sky", features_dead="true")
    assert [card["id"] for card in drawn_cards(app, "features_cards")] in (["3", "7"], ["7", "3"])
    assert {card["title"] for card in drawn_cards(app, "features_cards")} == {
        "night sky · blue",
        "sky · scattered",
    }
    app = open_page("features", study="seen", features_find="redness", features_dead="true")
    assert [card["id"] for card in drawn_cards(app, "features_cards")] == ["3"]
    app = open_page("features", study="seen", features_find="#5, 2")
    assert {card["id"] for card in drawn_cards(app, "features_cards")} == {"2", "5"}
    for text in ("cat", "4711"):
        app = open_page("features", study="seen", features_find=text)
        assert not app.exception and not [
            one for one in app.get("bidi_component") if one.proto.id.endswith("-features_cards")
        ]


def test_cards__words_of_the_note_are_explained_where_the_pointer_rests(worded, open_page, monkeypatch):
    cards = drawn_cards(open_page("features", study="seen", features_dead="true"), "features_cards")
    noted = {card["note"]: card["note_help"] for card in cards}
    assert noted["#17 · no word"].startswith("no word: ") and noted["#7"] == ""
    row = {"feature": 3, "name": "sky", "classes": "", "verdict": "", "rate": 0.5}
    monkeypatch.setattr(feature_cards, "title_and_note", lambda *_: ("sky", "#3 · scene · weak · 2 alike"))
    card = feature_cards._card(open_study(worded.path), row, (), (), {})
    assert [part.partition(":")[0] for part in card.note_help.split(". ")] == ["scene", "weak", "alike"]


def test_search__without_words_classes_or_numbers(studies, open_page):
    app = open_page("features", study="demo", features_find="sky")
    assert not app.exception
    assert not [one for one in app.get("bidi_component") if one.proto.id.endswith("-features_cards")]


def test_silent_features__stand_behind_a_toggle(studies, open_page):
    wanted = rates(open_study(studies / "demo"), "label=ant")
    n_dead = int((wanted["rate"].to_numpy() == 0).sum())
    assert n_dead
    app = open_page("features", study="demo", where="label=ant", features_sort="By number")
    assert f" {n_dead} " in app.toggle(key="features_dead").label
    silent = {str(feature) for feature in wanted.index[wanted["rate"].to_numpy() == 0]}
    assert not silent & {card["id"] for card in drawn_cards(app, "features_cards")}
    app.toggle(key="features_dead").set_value(True).run()
    shown = drawn_cards(app, "features_cards")
    assert [card["id"] for card in shown] == [str(number) for number in range(24)]
    assert [shares(card)[0] == "never" for card in shown] == [card["id"] in silent for card in shown]


def test_silent_features__no_toggle_where_there_are_none(studies):
    def page(folder: str, n_silent: int) -> None:
        from core.store import open_study
        from dashboard.panels.feature_list import listing

        assert not listing(open_study(folder), n_silent).dead

    for n_silent in (0, 1):
        app = AppTest.from_function(page, args=(str(studies / "demo"), n_silent)).run()
        assert not app.exception and len(app.toggle) == n_silent


def test_a_link_on_the_page__moves_the_buttons_that_say_how_features_are_shown(studies, open_page):
    app = open_page("features", study="demo", features_as="Table")
    (form,) = (one for one in app.button_group if one.key == "features_as")
    assert form.value == "Table" and app.dataframe
    del app.query_params["features_as"]  # as a link to the page itself does
    app.run()
    (form,) = (one for one in app.button_group if one.key == "features_as")
    assert form.value == "Cards" and form.proto.set_value and not app.dataframe and not app.exception


@pytest.mark.parametrize(
    ("sort", "column"),
    [("Most frequent first", "rate"), ("By number", "feature"), ("Purest first", "purity")],
)
def test_order__follows_what_is_asked(sort, column, studies, open_page):
    app = open_page("features", study="demo", features_as="Table", features_sort=sort)
    table = next(frame.value for frame in app.dataframe if "rate" in frame.value)
    steps = np.diff(table[column])
    assert (steps > 0).all() if sort == "By number" else (steps <= 0).all()


def test_telling_first__one_of_each_meaning_before_the_next_of_any(studies, monkeypatch):
    words = {0: ["sky"], 1: ["sky"], 2: ["sea", "blue"], 3: ["sky"], 4: ["sea", "blue"]}
    called = words | {3: ["mine"]}
    monkeypatch.setattr(telling_features, "feature_words", lambda *_, **__: called)
    study, val = open_study(studies / "demo"), Slice(split="val")
    order = feature_reads.in_order(study, val, feature_reads.Listing())["feature"].tolist()
    called = feature_reads.names(study) | {one: some[0] for one, some in called.items()}
    meanings = [called.get(feature, str(feature)) for feature in order]
    is_first = [meaning not in meanings[:at] for at, meaning in enumerate(meanings)]
    assert is_first == sorted(is_first, reverse=True) and is_first.count(False) >= 2  # then the next of each


def test_classes_of_few_images_each__lead_with_pictures_and_take_no_columns(studies, open_page, monkeypatch):
    names = tuple(f"class {number}" for number in range(28))
    make_study(studies / "apart", n_train=28, n_val=84, n_classes=28, class_names=names, pictures=False)
    pictures = [
        max(len(card["pictures"]) for card in drawn_cards(open_page("features", study=one), "features_cards"))
        for one in ("demo", "apart")
    ]
    assert pictures[0] == feature_cards.PICTURES < pictures[1] <= feature_cards.WORDLESS
    tables = [open_page("features", study=one, features_as="Table").dataframe for one in ("demo", "apart")]
    told, untold = (next(one.value for one in some if "rate" in one.value) for some in tables)
    assert set(told.columns) - set(untold.columns) == {"likeliest", "likeliest_rate", "purity", "name"}
    named = drawn_cards(open_page("features", study="demo", features_find="CAT"), "features_cards")
    assert named and all("cat" in card["title"] for card in named)
    monkeypatch.setattr(telling_features, "FULL", 3)
    features = feature_reads.in_order(
        open_study(studies / "apart"), Slice(split="val"), feature_reads.Listing()
    )
    likeness = likeness_of_strongest(open_study(studies / "apart"))[features["feature"].to_numpy()]
    full = 84 * features["rate"].to_numpy() > telling_features.FULL - 0.5
    assert full.any() and (np.diff(full.astype(int)) <= 0).all()  # those with a full card come first
    first = features["name"].iloc[: np.argmin(full)]
    repeated, alike = first.duplicated().to_numpy(), likeness[: np.argmin(full)]
    assert not repeated[: first.nunique()].any() and (np.diff(alike[~repeated]) <= 0).all()


def test_pages__of_twenty_four(studies, open_page):
    app = open_page("features", study="demo", features_dead="true")
    first = [card["id"] for card in drawn_cards(app, "features_cards")]
    app = open_page("features", study="demo", features_dead="true", features_page="2")
    second = [card["id"] for card in drawn_cards(app, "features_cards")]
    assert len(first) == len(second) == 24 and not set(first) & set(second)


def test_links__carry_study_filter_and_order(studies, open_page):
    app = open_page("features", study="demo", where="label=ant", features_sort="Most frequent first")
    card = drawn_cards(app, "features_cards")[0]
    assert card["href"] == (
        f"/feature?study=demo&where=label%3Dant&sort=Most+frequent+first&feature={card['id']}"
    )


def test_table__holds_the_slice(studies, open_page):
    wanted = rates(open_study(studies / "demo"), "label=ant")
    app = open_page("features", study="demo", where="label=ant", features_as="Table", features_dead="true")
    table = next(frame.value for frame in app.dataframe if "rate" in frame.value).set_index("feature")
    assert len(table) == len(wanted)
    for column in ("rate", "rate_against", "difference"):
        assert np.allclose(table[column], 100 * wanted[column].reindex(table.index))
    assert table["purity"].max() <= 100 < 100 * table["purity"].max()


def test_plot__of_all_train_images_holds_every_feature(studies, open_page):
    features = open_study(studies / "demo").table("features")
    app = open_page("features", study="demo", where="split=train", features_as="Plot")
    drawn = spec(app, "features_chart")["data"]
    found = {c[0]: y for trace in drawn for c, y in zip(trace["customdata"], grid(trace["y"]), strict=True)}
    assert found == dict(zip(features["feature"], features["activation_rate"], strict=True))


def test_plot__of_a_slice_against_the_rest(studies, open_page):
    wanted = rates(open_study(studies / "demo"), "label=ant")
    app = open_page("features", study="demo", where="label=ant", features_as="Plot")
    drawn = spec(app, "features_chart")["data"]
    found = {
        c[0]: (x, y)
        for trace in drawn
        for c, x, y in zip(trace["customdata"], grid(trace["x"]), grid(trace["y"]), strict=True)
    }
    there = rows_where(wanted, (wanted["rate"] > 0) | (wanted["rate_against"] > 0))
    assert set(found) == set(there.index)
    for feature, point in found.items():
        row = wanted.loc[feature]
        assert np.allclose(point, (100 * row["rate_against"], 100 * row["rate"]))
    sure = (wanted["q"] < 0.05) & (wanted["difference"] > 0)
    assert f"{sure.sum()} features" in all_text(app)


def test_purity_plot__replaces_the_sorted_one(studies, open_page):
    app = open_page("features", study="demo", features_as="Plot", features_plot="Purity")
    layout = spec(app, "features_chart")["layout"]
    assert layout["yaxis"]["range"] == [0, 103] and layout["yaxis"]["ticksuffix"] == " %"


def test_an_empty_slice__says_so(studies, open_page):
    app = open_page("features", study="demo", where="q_score=99..")
    assert not app.exception
    assert not drawn_charts(app)
    assert not [one for one in app.get("bidi_component") if one.proto.id.endswith("-features_cards")]


def test_a_slice_of_one_image(studies, open_page):
    study = open_study(studies / "demo")
    image = study.images["image_id"].iat[int(np.flatnonzero(study.is_val)[0])]
    app = open_page("features", study="demo", where=f"image_id={image}")
    assert not app.exception
    assert "1 features" in all_text(app) or drawn_cards(app, "features_cards")


@pytest.mark.parametrize("form", ["Cards", "Table", "Plot", "Words", "Groups"])
def test_unlabelled_study__every_form(form, studies, shelf, unlabelled_study, open_page):
    shelf.serve("bare", unlabelled_study)
    app = open_page("features", study="bare", features_as=form)
    assert not app.exception
    if form == "Cards":
        assert all(len(card["bars"]) == 1 for card in drawn_cards(app, "features_cards"))
    if form == "Table":
        assert "purity" not in next(f.value for f in app.dataframe if "tail" in f.value)


def test_study_without_features__names_the_command(studies, open_page):
    forget(studies / "demo", "features", "quality")
    app = open_page("features", study="demo")
    assert not app.exception
    assert any(code.value.startswith("python -m core features") for code in app.code)


# Words


def listed(app) -> list[str]:
    return next(frame.value for frame in app.dataframe if "words" in frame.value)["name"].tolist()


@pytest.mark.parametrize(
    ("asked", "found"),
    [("", ["7", "3", "1 + 2"]), ("sky", ["7", "3"]), ("RED", ["3"]), ("night  sk", ["3"]), ("cat", [])],
)
def test_words__features_whose_kept_words_hold_the_text(asked, found, worded, open_page):
    app = open_page("features", study="seen", features_as="Words", features_find=asked)
    assert not app.exception
    if found:
        assert listed(app) == found
    else:
        assert not [frame for frame in app.dataframe if "words" in frame.value]


def test_words__discarded_ones_are_not_found(worded, open_page):
    app = open_page("features", study="seen", features_as="Words", features_find="grass")
    assert not app.exception and not [frame for frame in app.dataframe if "words" in frame.value]


def test_words__with_scores_most_common_class_and_images(worded, open_page):
    app = open_page("features", study="seen", features_as="Words")
    row = next(frame.value for frame in app.dataframe if "words" in frame.value).iloc[1]
    assert row["words"] == "night sky · blue · redness"
    assert row["score"] == 0.5
    assert row["n_images"] == 6
    high = worded.table("highly_activating")
    rows = [worded.row_of(name) for name in high.loc[high["group"] == "3", "image_id"]]
    best = worded.images["label"].iloc[rows].value_counts()
    assert row["top_class"].split(" (")[0] in best.index[best == best.max()]
    assert row["top_class"].endswith(f"({100 * best.max() / 6:.0f} %)")


def test_words__how_many_features_have_each(worded, open_page):
    app = open_page("features", study="seen", features_as="Words")
    table = next(frame.value for frame in app.dataframe if "n_features" in frame.value)
    assert dict(zip(table["word"], table["n_features"], strict=True))["night sky"] == 1
    assert "grass" not in set(table["word"]) and MARKUP in set(table["word"])


def test_words__shares_of_the_slice(worded, open_page):
    app = open_page("features", study="seen", features_as="Words", where="label=ant")
    table = next(frame.value for frame in app.dataframe if "n_features" in frame.value)
    wanted = slice_words(worded, *population(worded, Slice.parse("label=ant")))
    found = table.dropna(subset=["rate"])
    assert found["word"].tolist()[: len(wanted)] == wanted["word"].tolist()
    assert np.allclose(found["rate"], 100 * wanted["rate"])


@pytest.mark.parametrize(("asked", "n"), [("sky", 1), ("loud", 0), ("<b>", 1), ("ky", 0)])
def test_words__images_described_with_the_text(asked, n, worded, open_page):
    app = open_page("features", study="seen", features_as="Words", features_find=asked)
    assert not app.exception
    assert f"{n} image" in app.expander[0].label.replace("\\", "")
    if n:
        (tile,) = tiles(app, "concept_described")
        assert tile["lines"] == [MARKUP if asked == "<b>" else "a sky"]


def test_list__a_single_image_and_what_is_said_of_how_often_features_fire(studies, open_page):
    study = open_study(studies / "demo")
    counts, names = study.vector("firing_count"), study.images["image_id"].astype(str).tolist()
    one, several = (int(np.flatnonzero((counts == n) & study.is_val)[0]) for n in (1, 2))
    text = all_text(open_page("features", study="demo", where=str(Slice(image_ids=(names[one],)))))
    assert "1 feature fires" in text
    text = all_text(open_page("features", study="demo", where=str(Slice(image_ids=(names[several],)))))
    assert "2 features fire" in text
    fires = feature_differences(study, study.is_val, ~study.is_val)["rate"].to_numpy()
    half = np.quantile(fires[fires > 0], 0.5, method="inverted_cdf")
    text = all_text(open_page("features", study="demo", features_as="Plot"))
    assert f"{(fires > 0).sum()} features fire" in text and f"{100 * half:.1f} %" in text


def test_table__is_of_the_evaluation_images_and_says_so(studies, open_page):
    table = open_page("features", study="demo", features_as="Table").dataframe[0]
    columns = json.loads(table.proto.columns)
    assert "evaluation" in columns["rate"]["help"]


def test_words__the_example_of_another_study_is_opened_without_the_filter(
    studies, worded_study, open_page, monkeypatch
):
    shutil.copytree(worded_study, studies / "seen")
    monkeypatch.setattr("dashboard.state.served_studies.DEFAULT", "seen")
    app = open_page("features", study="demo", features_as="Words", where="label=ant")
    links = [card["href"] for card in drawn_cards(app, "overview_features")]
    assert links and all("study=seen" in link and "ant" not in link for link in links)


def test_bars__have_one_scale_whatever_is_searched_for(studies, open_page):
    def scale(**query: str) -> list[str]:
        app = open_page("features", study="demo", **query)
        assert not app.exception
        return [one.value for one in app.caption if "full bar" in one.value]

    whole = scale()
    assert len(whole) == 1 and scale(features_find="3") == whole
