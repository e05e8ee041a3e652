"""The selector of the answer, its part of the address, and pages that follow it."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.analysis import caveats
from core.answers.answer import Answer
from core.answers.head import WRONG_ORDER
from core.answers.requests import add_answer
from core.compare.answers import compare_answers
from core.measures.chance import too_few_outcomes
from core.store import Answered, Study, open_study
from core.study.missing import NO_WEIGHTS
from core.study.progress import Progress
from dashboard.app import ROUTES
from dashboard.cache import tried_reads
from dashboard.cache.comparison_reads import other_studies
from dashboard.jobs import launcher
from dashboard.panels import decomposition, detail
from dashboard.server import table_downloads
from dashboard.server.map_points import Wanted
from dashboard.state import served_studies
from tests.dashboard.conftest import all_text, forget, numbers_of
from tests.dashboard.shelf import Shelf
from tests.manifests import edited_manifest


@pytest.fixture(scope="module")
def answered_study(full_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The complete study with predictions of which just seven evaluation images are wrong."""
    folder: Path = tmp_path_factory.mktemp("answered")
    study = open_study(shutil.copytree(full_study, folder / "demo"))
    told = study.images["label"].to_numpy(object).copy()
    told[np.flatnonzero(study.is_val & (told != study.class_names[0]))[:7]] = study.class_names[0]
    frame = pd.DataFrame({"image_id": study.images["image_id"], "predicted": told})
    frame.to_csv(folder / "deployed.csv", index=False)
    add_answer(study.path, str(folder / "deployed.csv"), None, {"device": "cpu"}, Progress.silent())
    return study.path


@pytest.fixture
def answered(answered_study: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Path:
    """It, served as `demo`."""
    monkeypatch.setenv("PEREGRINE_STUDIES", str(shelf.folder))
    return shelf.serve("demo", answered_study)


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
    assert shown["Deployed, accuracy"].startswith(f"{100 * (n_val - 7) / n_val:.1f}")
    mean = open_study(answered).summary("quality")["mean_firing"]  # of the evaluation images, as by the probe
    assert f"{mean:.1f} " in all_text(app)


def test_the_answer_is_not_taken_along_to_another_study(answered, answered_study, shelf, open_page):
    shelf.serve("second", answered_study)
    app = open_page("images", study="demo", answer="deployed", where="correct=false")
    app.sidebar.selectbox(key="study_field").select("second").run()
    assert not app.exception and not app.info
    (field,) = (one for one in app.sidebar.selectbox if str(one.key).startswith("answer_field"))
    assert field.value == "probe" and "answer" not in app.query_params
    assert app.query_params["where"] in ("correct=false", ["correct=false"])


def test_another_study_is_compared_by_the_same_answer_or_by_its_default(
    answered, answered_study, shelf, open_page
):
    second = shelf.serve("second", answered_study)
    study = open_study(answered)
    n_val = int(study.is_val.sum())
    app = open_page("compare", study="demo", compare_with=["second"], answer="deployed")
    assert not app.exception
    assert [n_val - 7, 7] in [numbers_of(caption.value) for caption in app.caption]
    errors = n_val - int(study.table("probe").loc[study.is_val, "correct"].to_numpy(bool).sum())
    assert errors != 7
    app = open_page("compare", study="demo", compare_with=["second"])
    assert [n_val - errors, errors] in [numbers_of(caption.value) for caption in app.caption]
    forget(second, "probe")
    answer = other_studies(study)["second"].answer
    assert answer is not None and answer.name == "deployed"


def test_notes_stand_beside_the_accuracy_that_they_are_about(answered, open_page, monkeypatch):
    of_rate, of_labels = "Planted: rate.", "Planted: labels"
    monkeypatch.setattr(caveats, "_rate_note", lambda study: of_rate)
    with edited_manifest(answered) as manifest:
        facts = manifest["steps"]["answer-deployed"]["summary"]["answers"]["deployed"]
        facts["notes"] = [of_labels, f"{WRONG_ORDER}: planted"]
    for answer, of_probe in ({}, True), ({"answer": "deployed"}, False):
        app = open_page("overview", study="demo", **answer)
        assert (of_rate in all_text(app)) == of_probe  # among the notes of the study
        warnings = [one.value.replace("\\", "") for one in app.warning]
        assert (f"{WRONG_ORDER}: planted." in warnings) != of_probe
        assert (of_labels in all_text(app)) != of_probe


def test_two_answers_of_one_study_are_compared(answered, open_page):
    app = open_page("compare", study="demo", compare_answer="deployed")  # the only study: its answers
    assert not app.exception and not app.error, (app.exception, app.error)
    pair = compare_answers(open_study(answered), "probe", "deployed").pair
    assert pair is not None and pair.only_first + pair.only_second > 0
    shown = {one.label: one.value for one in app.metric}
    assert shown["Same class"] == f"{100 * pair.agreement:.1f} %" and "McNemar" in all_text(app)
    titles = " ".join(one.value for one in app.header)
    assert f"probe on {pair.only_first} image" in titles and f"deployed on {pair.only_second} image" in titles
    app = open_page("compare", study="demo", answer="deployed", compare_what="Answers")
    assert app.selectbox(key="compare_answer").options == ["probe"] and not app.exception


def test_an_answer_that_is_not_there_is_dropped_with_a_note(answered, open_page):
    app = open_page("overview", study="demo", answer="gone")
    assert "no answer 'gone'" in all_text(app) and "answer" not in app.query_params
    assert not app.exception


def test_files_and_map_points_are_of_the_answer_that_their_address_names(answered):
    study = open_study(answered).answering("deployed")
    client = TestClient(Starlette(routes=ROUTES))
    name = table_downloads.address(study, "probe", "csv")
    sent = pd.read_csv(io.StringIO(client.get(f"/{name}").text))
    assert "answer=deployed" in name and sent["correct"].sum() == study.table("probe")["correct"].sum()
    assert sent["correct"].sum() != open_study(answered).table("probe")["correct"].sum()
    addresses = [Wanted("pca", "correct").address(one) for one in (study, open_study(answered))]
    bodies = [client.get(f"/{address}").content for address in addresses]
    assert bodies[0] != bodies[1] and all(bodies)
    assert client.get(f"/{addresses[0].replace('deployed', 'gone')}").status_code == 404


def test_jobs_read_a_study_by_the_answer_of_the_page(answered, open_page, started, trusted, monkeypatch):
    whole = open_study(answered)
    launcher.start(
        decomposition.request_crops(whole.answering("deployed"), str(whole.images["image_id"].iloc[0]))
    )
    app = open_page("overview", study="demo", answer="deployed")
    app.session_state["report"] = True
    app.run().button(key="report_Make the report").click().run()
    assert [command.name for command, _ in started] == ["decompose", "report"]
    assert all("--answer=deployed" in command.words for command, _ in started)
    assert served_studies.answer_option(whole) == ""  # the default
    kinds = {name: Answer(name, name, name) for name in ("head", "probe", "crossfit")}
    monkeypatch.setattr(Study, "answers", {name: kinds[name] for name in ("head", "probe")})
    assert served_studies.answer_option(whole) == "probe"
    alone = Answered(whole, kinds["crossfit"])  # never the default, so its name must be given
    monkeypatch.setattr(Study, "answers", {"crossfit": kinds["crossfit"]})
    assert served_studies.answer_option(alone) == "crossfit"


def test_a_feature_of_a_study_in_which_every_image_is_judged(answered, open_page):
    """Nothing was fitted and the split was drawn: there are no train images."""
    with edited_manifest(answered) as manifest:
        manifest["steps"]["embed"]["summary"]["split_given"] = False
    app = open_page("feature", study="demo", answer="deployed")
    assert open_study(answered).answering("deployed").is_val.all()
    assert not app.exception, app.exception
    assert "Bars: 80 images." in all_text(app)
    assert "80 train" in all_text(open_page("feature", study="demo"))
    facts = [one.body for one in open_page("overview", study="demo", answer="deployed").get("html")]
    assert any("<dt>Train images</dt><dd>80</dd>" in one for one in facts), facts


def test_steps_are_those_of_the_study_whatever_answers(answered, open_page):
    with edited_manifest(answered) as manifest:
        manifest["steps"]["probe"]["summary"]["skipped"] = "one image of each class"
    for answer in ({}, {"answer": "deployed"}):
        app = open_page("overview", study="demo", **answer)
        lines = [line for one in app.markdown for line in one.value.split("\n")]
        steps = [line.strip().partition(" ")[2] for line in lines if line.startswith((":green[", ":gray["))]
        assert "Linear probe: one image of each class" in steps and "Quality scores" in steps
    app = open_page("feature", study="demo", answer="deployed")
    text = all_text(app)
    assert "own classifier" not in text and f"{NO_WEIGHTS[1:]} (the answer 'deployed')" in text


def test_only_a_fitted_answer_is_optimistic_on_train_images_and_none_is_called_the_probe(answered, open_page):
    study = open_study(answered)
    image = str(study.images["image_id"].iat[np.flatnonzero(~study.is_val)[0]])
    for answer, says in ("probe", True), ("deployed", False):
        app = open_page("images", study="demo", answer=answer, image=image)
        assert (detail.OPTIMISTIC in all_text(app)) is says
        pair = {"errors_tab": "Compare two", "slices_of": "Misclassified"}
        app = open_page("errors", study="demo", answer=answer, **pair)
        assert "whether the classifier is right" in all_text(app) and "probe is" not in all_text(app)


def test_what_no_picture_can_be_asked_about_is_not_answered_by_another_one(answered, open_page):
    for answer, offered in ("probe", True), ("deployed", False):
        app = open_page("features", study="demo", answer=answer)
        assert ("Without some features" in [one.value for one in app.header]) is offered
        says = tried_reads.instead_of(open_study(answered).answering(answer))
        assert says == (
            "" if offered else "deployed cannot be asked about a picture, so the linear probe answers"
        )


def test_errors_whose_answer_is_no_label_are_counted_beside_the_confusions(answered, open_page, tmp_path):
    study = open_study(answered)
    told = study.answering("deployed").table("probe")["predicted"].to_numpy(object).copy()
    told[np.flatnonzero(study.is_val & (told == study.images["label"].to_numpy(object)))[:3]] = "lute"
    frame = pd.DataFrame({"image_id": study.images["image_id"], "predicted": told})
    frame.to_csv(tmp_path / "wider.csv", index=False)
    add_answer(study.path, str(tmp_path / "wider.csv"), None, {"device": "cpu"}, Progress.silent())
    app = open_page("errors", study="demo", answer="wider", errors_tab="Confusions")
    said = "3 errors: the answer is a class that no image is labelled with."
    assert not app.exception and said in all_text(app) and "10 of " in all_text(app)
    truth = study.images["label"].iloc[np.flatnonzero(study.is_val & (told == "lute"))[0]]
    for where in "predicted=lute", f"confusion={truth}>lute":
        app = open_page("images", study="demo", answer="wider", where=where)
        app.session_state["filter_more"] = True
        app.run()
        assert not app.exception, app.exception
        fields = app.multiselect(key="filter_predicted").value, app.selectbox(key="filter_taken_for").value
        assert fields == ((["lute"], None) if "predicted" in where else ([], "lute"))
        assert app.query_params["where"] == where


def test_notes_on_two_answers_are_sentences(answered, open_page):
    text = all_text(open_page("compare", study="demo", compare_what="Answers"))
    assert f"deployed {too_few_outcomes(7, 73)}" in text
