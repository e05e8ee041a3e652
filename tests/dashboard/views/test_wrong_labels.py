"""The part Wrong labels of the page Errors: the list of the filter, marked and tagged at once."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest

from core.measures.label_issues import (
    count_sentence,
    doubt_sentence,
    doubted_errors,
    issues_of,
    label_issues,
    listed_issues,
    own_errors,
)
from core.measures.slice import Slice
from core.pipeline.run import run_step
from core.store import Study, open_study
from core.study import trace_changes
from core.study.label_decisions import decide_label
from core.study.progress import Progress
from core.study.traces import ImageTrace, read_traces
from core.study.writer import write_study
from tests.dashboard.conftest import all_text, drawn_cards, tiles, unescaped
from tests.manifests import write_tables
from tests.sentences import as_record

TAB = {"errors_tab": "Wrong labels"}


def relabelled(folder, n: int = 6) -> list[str]:
    """Give some evaluation images the label of another class, and check the labels again."""
    study = open_study(folder)
    rows = study.is_val.nonzero()[0][:n]
    names, images = list(study.class_names), study.images.copy()
    for row in rows:
        images.loc[row, "label"] = names[(names.index(images.loc[row, "label"]) + 1) % len(names)]
    write_tables(folder, images=images)
    run_step("crossfit", folder, {"redo": True}, Progress.silent())
    return images["image_id"][rows].tolist()


def issues(study: Study, **conditions: str) -> pd.DataFrame:
    """All labelled images of both splits, or of a class."""
    inside = np.ones(study.n_images, bool)
    for column, value in conditions.items():
        inside &= (study.images[column] == value).to_numpy()
    return label_issues(study, inside)


def press(app, label: str) -> None:
    next(one for one in app.button if one.label == label).click().run()
    assert not app.exception


def test_overview__counts_errors_whose_label_is_in_doubt_and_leads_to_them(seen, open_page):
    study = open_study(seen)
    row = int(np.flatnonzero(study.is_val & (study.table("probe")["correct"].to_numpy(float) == 0))[0])
    answer = study.table("probe")["predicted"].iat[row]
    decide_label(study, study.images["image_id"].iat[row], str(answer))
    line = as_record(doubted_errors(study, study.is_val))
    assert line.n and line.of and line.of > line.n
    app = open_page("overview", study=seen.name)
    assert not app.exception and str(line) in all_text(app)
    queries = [one.proto.query_string for one in app.get("page_link")]
    assert any(parse_qs(one).get("errors_tab") == ["Wrong labels"] for one in queries)


def test_overview__has_a_card_that_opens_them(seen, open_page, monkeypatch):
    monkeypatch.setattr("dashboard.cache.highlight_reads.worst_slice", lambda *_: None)
    monkeypatch.setattr("dashboard.cache.highlight_reads.background_features", lambda *_: [])
    study = open_study(seen)
    listed = listed_issues(issues(study))
    assert len(listed)
    cards = {
        card["id"]: card for card in drawn_cards(open_page("overview", study=seen.name), "overview_first")
    }
    pictured = [picture["src"].split("?")[0].rsplit("/", 1)[-1] for picture in cards["labels"]["pictures"]]
    assert study.images["image_id"][list(map(int, pictured))].tolist() == listed["image_id"].tolist()[:4]
    assert parse_qs(urlsplit(cards["labels"]["href"]).query)["errors_tab"] == [TAB["errors_tab"]]
    assert f"{len(listed):,} label" in cards["labels"]["title"]


@pytest.mark.slow
def test_list__is_that_of_the_filter_and_is_marked_and_tagged(unread, studies, open_page):
    changed = relabelled(studies / "demo")
    study = open_study(studies / "demo")
    every = issues(study)
    table = listed_issues(every)
    assert set(table["image_id"]) & set(changed)
    app = open_page("errors", study="demo", **TAB)
    assert not app.exception and str(count_sentence(every)) in all_text(app)
    assert set(table["split"]) == {"train", "val"} and (every["n_checked"] == study.n_images).all()
    shown = [study.images["image_id"][tile["id"]] for tile in tiles(app, "wrong_labels")]
    assert shown == table["image_id"].tolist()[: len(shown)]
    first = table.iloc[0]
    assert all(str(first[name]) in str(tiles(app, "wrong_labels")[0]) for name in ("label", "suggested"))
    app.session_state["wrong_labels_bar_label"] = True  # AppTest has no click for a popover
    app.run()
    press(app, f"Mark {len(table)} labels as wrong")
    other = every.loc[~every["listed"].to_numpy(bool), "image_id"].iloc[-1]
    trace_changes.set_tags(study, other, ["doubtful"])  # AppTest cannot type a new one
    app.session_state["wrong_labels_bar_tag"] = True
    app.run().selectbox(key="wrong_labels_bar_tag_name").set_value("doubtful").run()
    press(app, f"Tag {len(table)} images")
    kept = dict(read_traces(studies / "demo").images)
    assert kept.pop(other) == ImageTrace(tags=("doubtful",))
    suggested = dict(zip(table["image_id"], table["suggested"], strict=True))
    assert {name: one.wrong_label for name, one in kept.items()} == suggested
    assert all(one.tags == ("doubtful",) for one in kept.values())
    first = tiles(app, "wrong_labels")[0]["traces"]
    assert [short for short, _ in first] == [f"⚑ {table['suggested'].iloc[0]}", "doubtful"]
    press(app, "Undo")
    left = read_traces(studies / "demo").images
    assert [name for name, one in left.items() if one.tags] == [other]
    assert app.button(key="wrong_labels_bar_undo").disabled  # the last action alone
    label = table["label"].iloc[0]
    app = open_page("errors", study="demo", where=f"label={label}", **TAB)
    assert len(tiles(app, "wrong_labels")) == min((table["label"] == label).sum(), 24)
    assert str(count_sentence(issues(study, label=label))) in all_text(app)


def test_study_of_before__says_what_to_run_and_that_no_label_is_right(unread, studies, open_page):
    with write_study(studies / "demo") as writer:
        writer.remove("crossfit")
    app = open_page("errors", study="demo", **TAB)
    assert not app.exception
    assert any(code.value.split()[3] == "crossfit" for code in app.code)


def test_list__warns_of_models_that_are_weak_on_the_images_of_the_filter(unread, studies, open_page):
    relabelled(studies / "demo")
    text = all_text(open_page("errors", study="demo", where="correct=false", **TAB))
    study = open_study(studies / "demo")
    assert own_errors(issues_of(study, Slice.parse("correct=false"))) in text


def test_gallery__has_no_mark_of_an_answer_that_has_seen_the_image(seen, open_page):
    app = open_page("errors", study=seen.name, **TAB)
    shown = tiles(app, "wrong_labels")
    assert shown and not any(tile["verdict"] for tile in shown)


def test_image_page__says_that_the_label_may_be_wrong_until_somebody_decides(seen, open_page):
    study = open_study(seen)
    every = issues(study)
    first = listed_issues(every).iloc[0]
    other = every.loc[~every["listed"].to_numpy(bool)].iloc[-1]
    sentence = doubt_sentence(first.to_dict())
    assert sentence is not None and sentence.kind == "of_first" and sentence.n == first["n_checked"]
    assert doubt_sentence(other.to_dict()) is None

    def said(image_id: str) -> bool:
        app = open_page("image", study=seen.name, image=image_id)
        assert not app.exception
        return any("flag" in one.value and str(sentence) in unescaped(one.value) for one in app.markdown)

    assert said(str(first["image_id"])) and not said(str(other["image_id"]))
    decide_label(study, str(first["image_id"]), str(first["label"]), seen="")
    assert not said(str(first["image_id"]))
