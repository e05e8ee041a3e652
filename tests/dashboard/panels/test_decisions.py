"""What people decide on labels is read by every page that judges a label, at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.measures.corrected_accuracy import outcome_after_all
from core.measures.image_columns import cause_name
from core.measures.label_issues import doubt_sentence, label_issues
from core.pictures.cause_words import DECIDED, evidence_text, image_sentences, shares_sentence
from core.store import Study, open_study
from core.study import label_decisions
from dashboard.panels import causes, detail
from tests.dashboard.conftest import all_text, drawn_charts, tiles, unescaped
from tests.dashboard.issues import write_issues
from tests.pictures.planted import plant_causes
from tests.sentences import as_record

CAUSES = {"errors_tab": "Causes"}


@pytest.fixture
def study(studies: Path, unread: None) -> Study:
    """Models doubt the labels of the first two errors, of which a crop would explain the first one."""
    folder = studies / "demo"
    wrong = open_study(folder).table("probe").query("correct == 0 and split == 'val'")["image_id"]
    return plant_causes(folder, {wrong.iat[0]: ("label", "crop"), wrong.iat[1]: ("label",)})


def errors_of(study: Study) -> list[dict]:
    return study.table("causes").drop_duplicates("image_id").to_dict("records")


def sentence(study: Study, image_id: str) -> str:
    rows = study.table("causes")
    return image_sentences(rows.loc[rows["image_id"] == image_id])[0]


def text_of(app) -> str:
    assert not app.exception
    return unescaped(all_text(app))


@pytest.mark.slow
def test_causes__follow_a_decision_on_the_page_of_the_image_and_among_the_errors(study, open_page):
    first, second = errors_of(study)
    before = {one["image_id"]: sentence(study, one["image_id"]) for one in (first, second)}
    shares = shares_sentence(study.table("cause_rates"))
    app = open_page("errors", study="demo", **CAUSES)
    assert shares in text_of(app) and drawn_charts(app)
    label_decisions.decide_label(study, first["image_id"], first["label"])  # it is right
    label_decisions.decide_label(study, second["image_id"], second["predicted"])
    for one, kind in ((first, "crop"), (second, "corrected_to_answer")):
        page = text_of(open_page("image", study="demo", image=one["image_id"]))
        now = sentence(study, one["image_id"])
        assert as_record(now).kind == kind and now in page and before[one["image_id"]] not in page
    again = text_of(app.run())
    now = shares_sentence(study.table("cause_rates"))
    assert now != shares and now in again and shares not in again
    shown = {tile["id"]: tile for tile in tiles(app, "causes")}
    tile = shown[study.row_of(second["image_id"])]
    assert tile["badge"] == DECIDED and evidence_text(errors_of(study)[1]) in tile["lines"]
    assert shown[study.row_of(first["image_id"])]["badge"] == cause_name("crop")
    assert len(tiles(open_page("images", study="demo", where="why=label"), "images_gallery")) == 1


def test_verdict__names_the_label_with_what_was_decided(study, open_page):
    one = errors_of(study)[1]
    address = {"study": "demo", "image": one["image_id"]}
    after_all = outcome_after_all(False, one["label"], one["predicted"], one["predicted"])
    assert after_all not in text_of(open_page("images", **address))
    label_decisions.decide_label(study, one["image_id"], one["predicted"])
    text = text_of(open_page("images", **address))
    assert label_decisions.label_words(one["label"], one["predicted"]) in text and after_all in text


def test_overview__counts_labels_that_are_open(studies, unread, open_page, monkeypatch):
    monkeypatch.setattr("dashboard.cache.highlight_reads.worst_slice", lambda *_: None)
    monkeypatch.setattr("dashboard.cache.highlight_reads.background_features", lambda *_: [])
    table = write_issues(studies / "demo", 4)
    study = open_study(studies / "demo")
    assert "4 labels may be wrong" in cards(open_page("overview", study="demo"))
    for row in table.head(3).to_dict("records"):
        label_decisions.decide_label(study, row["image_id"], row["label"])
    assert "1 label may be wrong" in cards(open_page("overview", study="demo"))
    label_decisions.decide_label(study, table["image_id"].iat[3], table["suggested"].iat[3])
    assert "may be wrong" not in cards(open_page("overview", study="demo"))


def cards(app) -> str:
    assert not app.exception
    return " ".join(str(one.proto.json) for one in app.get("bidi_component"))


def test_train_image__says_once_that_the_answer_has_seen_it_and_what_models_say_that_have_not(
    studies, open_page
):
    study = open_study(studies / "demo")
    rows = {split: int(np.flatnonzero(study.is_val == split)[0]) for split in (True, False)}
    for is_val, row in rows.items():
        app = open_page("image", study="demo", image=str(study.images["image_id"].iat[row]))
        assert text_of(app).count(detail.OPTIMISTIC) == (0 if is_val else 1)
    if study.has("answer_crossfit"):
        other = pd.Series(study.table("answer_crossfit")["predicted"]).iat[rows[False]]
        assert f"answer **{other}**" in text_of(app)


def test_pop_up__says_what_is_known_of_its_label_and_of_its_error(study, open_page):
    first, second = errors_of(study)
    write_issues(study.path, 4)
    doubted = [one for one in study.images["image_id"].head(4) if one != first["image_id"]][0]
    issue = label_issues(open_study(study.path), np.ones(study.n_images, bool))
    (row,) = issue.loc[issue["image_id"] == doubted].to_dict("records")
    doubt = doubt_sentence({str(name): value for name, value in row.items()})
    assert doubt and doubt in text_of(open_page("images", study="demo", image=doubted))
    right = study.table("probe").query("correct == 1 and split == 'val'")["image_id"].iat[0]
    assert causes.QUESTION not in text_of(open_page("images", study="demo", image=right))


@pytest.mark.slow
def test_pop_up__says_of_an_error_all_that_its_page_says(study, open_page):
    by_image = study.table("causes").groupby("image_id")
    sentences = {str(name): image_sentences(rows) for name, rows in by_image}
    image_id = max(sentences, key=lambda name: len(sentences[name]))
    assert len(sentences[image_id]) > 1
    for page in ("images", "image"):
        text = text_of(open_page(page, study="demo", image=image_id))
        assert all(one in text for one in sentences[image_id])
