"""Where most features never fire, one sentence says what D is then, wherever D is shown."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.analysis.caveats import AUTO_NOTES, few_images_note, notes_on_features
from core.charts.catalogue import draw
from core.charts.theme import layout_of
from core.common.step_facts import FeaturesFacts
from core.compare.compare import compare
from core.measures.slice import Slice
from core.publish.report import write_report
from core.publish.summary import info
from core.store import open_study
from tests.dashboard.conftest import all_text
from tests.sentences import numbers
from tests.synthetic import make_study


@pytest.fixture(scope="module")
def quiet_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("quiet") / "quiet", epsilon=5.0, seed=1)


@pytest.fixture
def quiet(studies: Path, quiet_study: Path) -> str:
    """The sentence about the study `quiet`."""
    sentence, _ = notes_on_features(open_study(shutil.copytree(quiet_study, studies / "quiet")))
    assert numbers(sentence)[1:3] == ["48", "5"]
    return sentence


def test_few_images_have_a_firing_feature__says_how_many_and_what_to_do(quiet_study, study_path):
    study = open_study(quiet_study)
    share = np.mean(np.asarray(study.vector("firing_count")) > 0)
    assert 0 < share < 0.5
    note = notes_on_features(study)[-1]
    assert numbers(note)[:2] == [f"{100 * share:.0f}", "5"]
    assert "features with --epsilon auto" in note
    busy = open_study(study_path(epsilon=1.0))
    assert np.mean(np.asarray(busy.vector("firing_count")) > 0) > 0.5
    assert not any("--epsilon auto" in note for note in notes_on_features(busy))
    assert not few_images_note(replace(study.facts(FeaturesFacts), epsilon_note=AUTO_NOTES["few"]))


def plain_text(app) -> str:
    return all_text(app).replace("\\", "")


@pytest.mark.exhaustive("the other tests of this file have the sentence")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("view", "part"), [("overview", {}), ("features", {}), ("predicting_errors", {"quality_plot": "Trust"})]
)
def test_view__says_it_where_it_holds_alone(studies, quiet, open_page, view, part):
    app = open_page(view, study="quiet", **part)
    assert not app.exception and plain_text(app).count(quiet) == 1
    app = open_page(view, study="demo", **part)
    assert not app.exception and "so D is" not in plain_text(app)


@pytest.mark.exhaustive("the other tests of this file have the sentence")
@pytest.mark.slow
def test_compare__names_the_study(studies, quiet, open_page):
    found = compare([open_study(studies / name) for name in ("demo", "quiet")])
    assert [note.text for note in found.notes if "no train image" in note.text] == [f"in quiet, {quiet}"]
    app = open_page("compare", study="demo", compare_with=["quiet"])
    assert not app.exception and f"In quiet, {quiet}" in plain_text(app)


def test_info__says_it(studies, quiet, run):
    assert info(open_study(studies / "quiet"))["feature_notes"][0] == quiet
    assert quiet in run("info", studies / "quiet").out
    assert "so D is" not in run("info", studies / "demo").out


def test_slice__has_the_sentence_of_the_whole_study(studies, quiet):
    """D is defined on the train images; in a slice of one image nearly no feature fires."""
    for name, n in (("quiet", 2), ("demo", 0)):
        whole = open_study(studies / name)
        study = whole.where(
            Slice.parse(f"image={whole.images['image_id'].iloc[np.flatnonzero(whole.is_val)[0]]}")
        )
        assert study.n_chosen == 1 and study.table("features")["activation_rate"].median() == 0
        assert notes_on_features(study) == notes_on_features(whole) and len(notes_on_features(whole)) == n


def test_print__the_chart_of_the_bands_carries_it(studies, quiet):
    def texts(name: str, style: str) -> str:
        figure = draw(open_study(studies / name), "sorted_activation", style=style)
        return " ".join((note.text or "").replace("<br>", " ") for note in layout_of(figure).annotations)

    assert quiet in texts("quiet", "paper") and "so D is" not in texts("demo", "paper")
    assert "so D is" not in texts("quiet", "screen")  # there the page or the report says it


@pytest.mark.exhaustive("the other tests of this file have the sentence")
@pytest.mark.slow
def test_report__says_it_beside_the_features(studies, quiet, tmp_path):
    written = write_report([open_study(studies / "quiet")], tmp_path / "report.html", interactive=True)
    assert written.read_text(encoding="utf-8").count(quiet) == 2  # beside the trust check, too


@pytest.mark.parametrize("wrong", [{"low": "x", "high": None}, {"low": -4, "high": 1e9}])
def test_settings_that_a_stranger_wrote__do_no_harm(studies, quiet, wrong):
    study = open_study(studies / "quiet")
    study.manifest["steps"]["features"]["settings"] |= wrong
    assert notes_on_features(study)[0] == quiet


def test_overview__says_that_the_rate_is_at_an_end(studies, open_page, monkeypatch):
    monkeypatch.setattr("core.analysis.caveats._rate_note", lambda study: "0.3 is at an end.")
    assert "0.3 is at an end." in plain_text(open_page("overview", study="demo"))
