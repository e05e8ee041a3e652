"""The view of confusions: the right rows of the tables, text as text, and what it says without."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from core.storage.writer import write_study
from core.store import open_study
from tests.dashboard.conftest import all_text, forget, grid, spec, tiles


@pytest.fixture
def worded(studies, worded_study):
    return open_study(shutil.copytree(worded_study, studies / "seen"))


def shown_rows(app, key: str) -> list[int]:
    return [tile["id"] for tile in tiles(app, key)]


def test_without_the_step__its_command(worded, open_page):
    forget(worded.path, "failures")
    app = open_page("failures", study="seen")
    assert not app.exception
    assert any(code.value.startswith("python -m core failures ") for code in app.code)


def test_a_step_that_found_nothing_to_do__says_why(worded, open_page):
    with write_study(worded.path) as writer, writer.step("failures", {}) as step:
        step.summary = {"skipped": "for a *reason*"}
    app = open_page("failures", study="seen")
    assert not app.exception
    assert "for a *reason*" in all_text(app)


def pairs_of(study) -> pd.DataFrame:
    wrong = study.table("probe")[study.is_val]
    wrong = wrong[~wrong["correct"].astype(bool)]
    return wrong.groupby(["true", "predicted"]).size().rename("n").reset_index()


def test_matrix__counts_of_misclassified_images(worded, open_page):
    app = open_page("failures", study="seen")
    assert not app.exception
    points = spec(app, "failure_matrix")["data"][1]
    wanted = {(row.true, row.predicted) for row in pairs_of(worded).itertuples()}
    assert {tuple(names) for names in points["customdata"]} == wanted
    assert len(wanted) >= 2  # or the tests of this view say little
    assert f"{pairs_of(worded)['n'].sum():,}** evaluation images" in all_text(app)


def test_pair__images_surest_first_and_features_of_both_sides(worded, open_page):
    row = pairs_of(worded).sort_values("n").iloc[-1]
    app = open_page("failures", study="seen", failure_true=row["true"], failure_predicted=row["predicted"])
    assert not app.exception
    probe = worded.table("probe")
    here = (probe["true"] == row["true"]) & (probe["predicted"] == row["predicted"]) & worded.is_val
    wanted = probe[here].sort_values("confidence", ascending=False, kind="stable")
    assert shown_rows(app, "failure_images") == wanted.index.tolist()
    table = worded.table("failure_pairs")
    table = table[(table["true"] == row["true"]) & (table["predicted"] == row["predicted"])]
    for side in ("true", "predicted"):
        part = table[table["side"] == side]
        bars = spec(app, f"failure_behind_{side}")
        assert grid(bars["data"][0]["x"]).tolist() == pytest.approx(part["contribution"].tolist())
        assert bars["layout"]["yaxis"]["ticktext"] == [f"Feature {number}" for number in part["feature"]]
        for number, words in zip(part["feature"], part["words"], strict=True):
            said = words.replace("; ", " · ") or "No words: 1 image activates it highly"
            assert said in all_text(app)
            assert tiles(app, f"failure_{side}_{number}")


def test_pair_that_was_never_confused__says_what_was(worded, open_page):
    known = pairs_of(worded)
    never = [
        (true, predicted)
        for true in known["true"].unique()
        for predicted in known["predicted"].unique()
        if not ((known["true"] == true) & (known["predicted"] == predicted)).any()
    ]
    true, predicted = next(pair for pair in never)
    app = open_page("failures", study="seen", failure_true=true, failure_predicted=predicted)
    assert not app.exception
    assert f"No image of **{true}** was taken for **{predicted}**" in all_text(app)
    app.button(key="failure_suggest_0").click().run()
    assert not app.exception
    assert tiles(app, "failure_images")
