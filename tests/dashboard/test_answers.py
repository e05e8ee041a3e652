"""The selector of the answer, its part of the address, and pages that follow it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.answers.requests import add_answer
from core.jobs.progress import Progress
from core.store import open_study
from tests.dashboard.conftest import all_text


@pytest.fixture
def answered(studies: Path, tmp_path: Path) -> Path:
    """The complete study with predictions of which just seven evaluation images are wrong."""
    study = open_study(studies / "demo")
    told = study.images["label"].to_numpy(object).copy()
    told[np.flatnonzero(study.is_val & (told != study.class_names[0]))[:7]] = study.class_names[0]
    frame = pd.DataFrame({"image_id": study.images["image_id"], "predicted": told})
    frame.to_csv(tmp_path / "deployed.csv", index=False)
    add_answer(study.path, str(tmp_path / "deployed.csv"), None, {"device": "cpu"}, Progress.silent())
    return study.path


@pytest.mark.parametrize("view", ["overview", "errors", "predicting_errors", "images", "map", "feature"])
def test_every_page_reads_the_answer_of_the_address(view, answered, open_page):
    app = open_page(view, study="demo", answer="deployed")
    assert not app.exception and not app.error, (app.exception, app.error)
    assert app.sidebar.selectbox(key="answer_field").value == "deployed"
    assert app.query_params["answer"] == "deployed"


def test_the_selector_changes_whose_mistakes_are_shown(answered, open_page):
    n_val = int(open_study(answered).is_val.sum())
    app = open_page("overview", study="demo")
    assert app.sidebar.selectbox(key="answer_field").value == "probe" and "answer" not in app.query_params
    app.sidebar.selectbox(key="answer_field").select("deployed").run()
    assert app.query_params["answer"] == "deployed"
    shown = {one.label: one.value for one in app.metric}
    assert shown["Answer deployed, accuracy"].startswith(f"{100 * (n_val - 7) / n_val:.1f}")


def test_an_answer_that_is_not_there_is_dropped_with_a_note(answered, open_page):
    app = open_page("overview", study="demo", answer="gone")
    assert "no answer 'gone'" in all_text(app) and "answer" not in app.query_params
    assert not app.exception
