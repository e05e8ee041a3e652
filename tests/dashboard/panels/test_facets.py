"""Facets beside the images: what they count, what a click does to the filter, and when there are none."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import streamlit as st

from core.measures.evaluate import TAG, WRONG_LABEL
from core.measures.facets import CORRECT, LABEL, PREDICTED, SPLIT
from core.measures.slice import Slice
from core.store import open_study
from core.study import trace_changes
from core.study.traces import UNSURE
from core.study.writer import write_study
from dashboard.panels import facets
from dashboard.state import session
from tests.dashboard.state.test_session import Address


@pytest.fixture
def study(seen):
    return open_study(seen)


def lists_of(app) -> list[dict]:
    found = [one.proto for one in app.get("bidi_component") if one.proto.component_name == "peregrine_facets"]
    return [facet for one in found for facet in json.loads(one.json)["facets"]]


def shown(app) -> dict[str, dict[str, int]]:
    """The number of images of each value, by facet."""
    return {one["id"]: {value["id"]: value["n"] for value in one["values"]} for one in lists_of(app)}


def n(study, where: str) -> int:
    return int(Slice.parse(where).mask(study).sum())


@pytest.mark.parametrize("where", ["", "label=bee", "label=bee correct=false", "split=train predicted=ant"])
def test_each_facet__counts_the_images_that_the_other_conditions_leave(where, study, open_page):
    app = open_page("images", study="seen", where=where)
    assert not app.exception
    parts = dict(part.split("=") for part in where.split())
    for facet, counts in shown(app).items():
        others = {"split": "val"} | {name: value for name, value in parts.items() if name != facet}
        if facet == SPLIT:
            others.pop("split")
        for value, count in counts.items():
            chosen = " ".join(f"{name}={one}" for name, one in (others | {facet: value}).items())
            assert count == n(study, chosen), (facet, value)
    assert {LABEL, SPLIT} <= set(shown(app))


def test_split__is_not_listed_out_of_fold_where_train_images_are_evaluated(worded, open_page):
    assert SPLIT in shown(open_page("images", study="seen"))
    assert set(shown(open_page("images", study="seen", answer="crossfit"))) == {LABEL, PREDICTED, CORRECT}


@pytest.mark.parametrize(
    ("where", "facet", "value", "after"),
    [
        ("", LABEL, "bee", "label=bee"),
        ("label=ant", LABEL, "bee", "label=ant,bee"),
        ("label=ant,bee", LABEL, "ant", "label=bee"),
        ("", PREDICTED, "ant", "predicted=ant"),
        ("label=bee", CORRECT, "false", "label=bee correct=false"),
        ("correct=false", CORRECT, "true", "correct=true"),
        ("correct=false", CORRECT, "false", ""),
        ("", SPLIT, "train", "split=train"),
        ("split=train", SPLIT, "val", ""),
        ("q_score=0.1..0.2", "q_score", "0.1..0.2", ""),
        ("q_score=0.1..0.2 label=bee", "q_score", "0.2..0.3", "q_score=0.2..0.3 label=bee"),
    ],
)
def test_toggle__puts_a_value_into_the_filter_and_takes_it_out(
    where, facet, value, after, study, monkeypatch
):
    monkeypatch.setattr(st, "query_params", Address({"where": where} if where else {}))
    monkeypatch.setattr(st, "session_state", {})
    facets.toggle(study, facet, value)
    assert session.filter_text() == str(Slice.parse(after))


def test_pressed__the_values_of_the_filter(study):
    chosen = Slice.parse("split=val label=ant,bee correct=false")
    found = {facet: facets.pressed(chosen, facet) for facet in (LABEL, PREDICTED, CORRECT, SPLIT)}
    assert found == {LABEL: ["ant", "bee"], PREDICTED: [], CORRECT: ["false"], SPLIT: ["val"]}


def test_values_beyond_the_most__are_left_out_unless_the_filter_names_them(study, open_page, monkeypatch):
    monkeypatch.setattr(facets, "MOST", 1)
    app = open_page("images", study="seen", where="label=bee,ant")
    assert set(shown(app)[LABEL]) == {"ant", "bee"}
    assert len(shown(open_page("images", study="seen")).get(LABEL, {})) <= 1


def test_images_without_labels__have_no_facets(studies, shelf, unlabelled_study, open_page):
    shelf.serve("bare", unlabelled_study)
    app = open_page("images", study="bare")
    assert not app.exception and shown(app) == {}
    beside = [open_page("images", study=name).get_by_key("images_row") for name in ("bare", "seen")]
    assert [len(row.children) for row in beside] == [1, 2]  # the pictures have the whole width


def test_added_columns__are_counted_and_follow_a_search(study, open_page):
    row = int(study.is_val.nonzero()[0][0])
    app = open_page("images", study="seen", lists="Q-Score")
    assert not app.exception
    counts = shown(app)["q_score"]
    assert sum(counts.values()) >= 38 and all(n(study, f"split=val q_score={text}") == one
                                              for text, one in counts.items())  # fmt: skip
    found = open_page(
        "images", study="seen", lists="Q-Score", like=study.images["image_id"][row], where="label=bee"
    )
    assert not found.exception
    assert sum(shown(found)[PREDICTED].values()) == n(study, "split=val label=bee")
    assert "that the search finds" in str([one.value for one in found.caption])


def test_what_people_left__is_counted_beside_the_images(study, open_page):
    names = study.images["image_id"][study.is_val].tolist()
    trace_changes.change_images(study, names[:3], wrong_label={name: UNSURE for name in names[:3]})
    trace_changes.change_images(study, names[:2], add=["odd"])
    app = open_page("images", study="seen")
    assert not app.exception
    assert shown(app)[TAG] == {"odd": 2}
    assert shown(app)[WRONG_LABEL] == {"true": 3, "false": len(names) - 3}
    assert not {"Tag", "wrong_label"} & set(app.multiselect(key="lists").options)


def test_columns_of_truth__are_not_called_correct(study, open_page):
    frame = pd.DataFrame(
        {"image_id": study.images["image_id"], "blurred": np.arange(study.n_images) % 2 == 0}
    )
    with write_study(study.path) as writer, writer.step("columns of mine", {}) as step:
        step.table("attributes", frame)
    app = open_page("images", study="seen", lists="blurred")
    one = next(one for one in lists_of(app) if one["id"] == "blurred")
    assert {value["name"] for value in one["values"]} == {"true", "false"}
