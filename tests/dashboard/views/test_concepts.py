"""The view Concepts: the right rows of the tables, text as text, and what they say without."""

from __future__ import annotations

import shutil

import pytest

from core.storage.writer import write_study
from core.store import open_study
from tests.concepts.worded import MARKUP
from tests.dashboard.conftest import all_text, forget, grid, spec, tiles, unescaped


@pytest.fixture
def worded(studies, worded_study):
    return open_study(shutil.copytree(worded_study, studies / "seen"))


def listed(app) -> list[str]:
    return app.dataframe[0].value["name"].tolist()


def shown_rows(app, key: str) -> list[int]:
    return [tile["id"] for tile in tiles(app, key)]


def rows_of(study, table: str, group: str) -> list[int]:
    frame = study.table(table)
    return [int(study.row_of(name)) for name in frame.loc[frame["group"] == group, "image_id"]]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", ["7", "3", "1 + 2"]),
        ("sky", ["7", "3"]),
        ("RED", ["3"]),
        ("night  sk", ["3"]),
        ("cat", ["7"][:0]),
    ],
)
def test_search__features_whose_kept_words_hold_it(asked, found, worded, open_page):
    app = open_page("concepts", study="seen", concept_word=asked)
    assert not app.exception
    if found:
        assert listed(app) == found
    else:
        assert "No feature has a word" in all_text(app)


def test_search__discarded_words_are_not_found(worded, open_page):
    assert "No feature has a word" in all_text(open_page("concepts", study="seen", concept_word="grass"))


def test_table__words_with_scores_commonest_class_and_images(worded, open_page):
    row = open_page("concepts", study="seen").dataframe[0].value.iloc[1]
    assert row["words"] == "night sky · blue · redness"
    assert row["score"] == 0.5
    assert row["n_images"] == 6
    labels = worded.images["label"].iloc[rows_of(worded, "highly_activating", "3")]
    best = labels.value_counts()
    assert row["top_class"].split(" (")[0] in best.index[best == best.max()]
    assert row["top_class"].endswith(f"({100 * best.max() / 6:.0f} %)")


def test_searching_opens_the_best_match__and_a_suggested_word_searches(worded, open_page):
    app = open_page("concepts", study="seen")
    app.text_input(key="concept_word").set_value("blue").run()
    assert app.selectbox(key="concept").value == "3"
    app.button(key="concept_suggest_sky").click().run()
    assert app.text_input(key="concept_word").value == "sky"
    assert app.selectbox(key="concept").value == "7"


def test_feature__words_images_crops_and_heatmaps(worded, open_page):
    app = open_page("concepts", study="seen", concept="3")
    assert not app.exception
    bars = spec(app, "concept_words")
    assert bars["layout"]["yaxis"]["ticktext"] == ["night sky", "blue", "redness"]
    assert grid(bars["data"][0]["x"]).tolist() == [0.5, 0.4, 0.3]
    shown = tiles(app, "concept_images")
    assert [tile["id"] for tile in shown] == rows_of(worded, "highly_activating", "3")
    assert [tile["badge"] for tile in shown[:2]] == ["0.90", "0.82"]
    for tile in shown:
        assert tile["src"].startswith(f"thumb/seen/{tile['id']}?")
        (crop,) = tile["beside"]  # the one whose box is unknown is shown whole
        assert crop.startswith("data:image/jpeg;base64,") or (tile is shown[1] and crop == tile["src"])


def test_feature__its_classes(worded, open_page):
    labels = worded.images["label"].iloc[rows_of(worded, "highly_activating", "3")]
    bars = spec(open_page("concepts", study="seen", concept="3"), "concept_classes")
    found = dict(zip(bars["layout"]["yaxis"]["ticktext"], grid(bars["data"][0]["x"]).tolist(), strict=True))
    assert found == labels.value_counts().to_dict()


def test_heatmaps_beside_crops__the_image_itself_where_none_is_stored(worded, open_page):
    app = open_page("concepts", study="seen", concept="3", concept_beside="Heatmap and crop")
    shown = tiles(app, "concept_images")
    held = [3 in worded.heatmap_reader.features_of(tile["id"]) for tile in shown]
    assert any(held)
    assert ["features=3" in tile["src"] for tile in shown] == held
    assert all(tile["src"] and tile["beside"][0] for tile in shown)


@pytest.mark.parametrize(("asked", "n"), [("sky", 1), ("loud", 0), ("<b>", 1), ("ky", 0)])
def test_search__images_described_with_it(asked, n, worded, open_page):
    app = open_page("concepts", study="seen", concept_word=asked)
    assert not app.exception
    assert f"{n} image" in unescaped(app.expander[0].label)
    if n:
        (tile,) = tiles(app, "concept_described")
        assert tile["lines"] == [MARKUP if asked == "<b>" else "a sky"]


def test_contrast__discarded_words_because_of_which_images(worded, open_page):
    app = open_page("concepts", study="seen", concept="3")
    rows = rows_of(worded, "counterfactuals", "3")
    assert shown_rows(app, "concept_counterfactuals") == rows
    assert [tile["lines"][1:] for tile in tiles(app, "concept_counterfactuals")] == [["not grass"]] * 2
    discarded = next(frame.value for frame in app.dataframe if "discarded_by" in frame.value)
    assert discarded["word"].tolist() == ["grass"]
    assert discarded["discarded_by"].iat[0] == ", ".join(worded.images["image_id"].iloc[rows])
    assert "stand without contrast" in all_text(open_page("concepts", study="seen", concept="7"))


def test_captions_and_words__are_never_markup(worded, open_page):
    app = open_page("concepts", study="seen", concept="1_2")
    assert not app.exception
    label = app.button(key=f"concept_suggest_{MARKUP}").label
    assert "\\<b\\>" in label and "\\[link\\]" in label
    assert spec(app, "concept_words")["layout"]["yaxis"]["ticktext"] == [
        MARKUP.replace("<", "&lt;").replace(">", "&gt;")
    ]
    captions = next(
        frame.value for frame in open_page("concepts", study="seen", concept="3").dataframe
        if "caption" in frame.value
    )  # fmt: skip
    assert captions["caption"].tolist() == [MARKUP, "a sky"]
    assert not [part for part in app.markdown if MARKUP in part.value]


def test_stale_concept_of_a_link__is_dropped_with_a_note(worded, open_page):
    app = open_page("concepts", study="seen", concept="4711")
    assert not app.exception
    assert "4711" in " ".join(note.value for note in app.info)
    assert app.selectbox(key="concept").value == "7"


def test_concepts_without_heatmaps__images_and_crops(worded, open_page):
    forget(worded.path, "heatmaps", "overlap")
    app = open_page("concepts", study="seen", concept="3")
    assert not app.exception
    assert all(len(tile["beside"]) == 1 for tile in tiles(app, "concept_images"))


def test_without_the_step__its_command(worded, open_page):
    forget(worded.path, "concepts")
    app = open_page("concepts", study="seen")
    assert not app.exception
    assert any(code.value.startswith("python -m core concepts ") for code in app.code)


def test_a_step_that_found_nothing_to_do__says_why(worded, open_page):
    with write_study(worded.path) as writer, writer.step("concepts", {}) as step:
        step.summary = {"skipped": "for a *reason*"}
    app = open_page("concepts", study="seen")
    assert not app.exception
    assert "for a *reason*" in all_text(app)
