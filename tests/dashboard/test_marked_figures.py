"""A marked figure, and each file of a figure, is what the page shows: filter, answer, order, choice."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.answers.requests import add_answer
from core.charts.catalogue import table
from core.charts.options import FigureOptions
from core.charts.table_file import TableFile
from core.measures.slice import Slice
from core.measures.slice_features import class_firing
from core.store import open_study
from core.study.progress import Progress
from dashboard.components import chart as chart_part
from dashboard.components.chart_menu import Drawing
from dashboard.panels import one_feature
from tests.dashboard.conftest import drawn_charts, grid, tiles
from tests.dashboard.shelf import Shelf

WHERE = "split=val label=ant,bee"
ASKED = {"study": "seen", "answer": "deployed", "where": "label=ant,bee"}
CHOICE = {"quality_plot": "Distribution", "score": "Raw norm"}
# Chart of a page: the page, what is chosen there, and the same chart of the catalogue, if it is one.
CHARTS: dict[str, tuple[str, dict[str, str], str, FigureOptions]] = {
    "score_aurocs": ("predicting_errors", {"quality_plot": "Chart"}, "baselines", FigureOptions()),
    "score_histogram": ("predicting_errors", CHOICE, "q_distribution", FigureOptions(score="norm")),
    "failure_matrix": ("errors", {"errors_tab": "Confusions"}, "confusions", FigureOptions()),
    "overlap_classes": ("masks", {"masks_part": "By class"}, "", FigureOptions()),
    "map_chart": ("map", {"map_figure": "true", "map_colour": "Predicted class"}, "", FigureOptions()),
}


@pytest.fixture(scope="module")
def answered_study(seen_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study with heatmaps, and predictions of which every third evaluation image is wrong."""
    folder = tmp_path_factory.mktemp("marked")
    study = open_study(shutil.copytree(seen_study, folder / "seen"))
    told = study.images["label"].to_numpy(object).copy()
    wrong = np.flatnonzero(study.is_val)[::3]
    told[wrong] = np.where(told[wrong] == "bee", "ant", "bee")
    frame = pd.DataFrame({"image_id": study.images["image_id"], "predicted": told})
    frame["confidence"] = np.random.default_rng(5).uniform(0.4, 1, len(frame))
    frame.to_csv(folder / "deployed.csv", index=False)
    add_answer(study.path, str(folder / "deployed.csv"), None, {"device": "cpu"}, Progress.silent())
    return study.path


@pytest.fixture
def study(answered_study: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PEREGRINE_STUDIES", str(shelf.folder))
    return open_study(shelf.serve("seen", answered_study))


@pytest.fixture
def menus(monkeypatch: pytest.MonkeyPatch) -> dict[str, Drawing]:
    """What each menu of a page saves and marks."""
    held: dict[str, Drawing] = {}
    monkeypatch.setattr(chart_part, "chart_menu", held.__setitem__)
    return held


def values(trace: dict) -> str:
    """The data of a trace as text, in which what is unknown equals itself; numbers may be packed."""
    held = {}
    for part in ("x", "y", "z", "customdata"):
        value = trace.get(part)
        if isinstance(value, dict):
            value = grid(value).tolist()
        if value is not None:
            held[part] = value
    return json.dumps(held | {"name": trace.get("name")})


def csv_of(content: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(content))


@pytest.mark.parametrize("name", CHARTS)
def test_chart__kept_and_saved_is_that_of_the_page(name, study, open_page, menus):
    page, chosen, catalogued, options = CHARTS[name]
    app = open_page(page, **ASKED, **chosen)
    assert not app.exception
    kept = menus[name].kept("serif")
    shown, printed = drawn_charts(app)[name]["data"], json.loads(kept.drawing)["data"]
    assert [values(one) for one in printed] == [values(one) for one in shown]
    assert shown and '"x"' in values(shown[0])
    saved = csv_of(menus[name].table.content())
    pd.testing.assert_frame_equal(csv_of(kept.numbers.encode()), saved)
    assert set(saved["slice"]) == {WHERE} and "deployed" in kept.caption
    if catalogued:  # as the command `figure` writes it
        narrowed = open_study(study.path).answering("deployed").where(Slice.parse(WHERE))
        expected = TableFile(("seen",), "", table(narrowed, catalogued, options=options), Slice.parse(WHERE))
        again = csv_of(expected.content())
        key = again.columns[0]
        again = again.loc[again[key].isin(saved[key])].reset_index(
            drop=True
        )  # a score without one is left out
        shared = [column for column in again.select_dtypes("number") if column in saved]
        assert saved[key].tolist() == again[key].tolist() and shared
        pd.testing.assert_frame_equal(saved.loc[:, shared], again.loc[:, shared])


def test_chart__another_answer_and_filter_are_another_figure(study, open_page, menus):
    drawings = set()
    for asked in ({}, {"answer": "deployed"}, {"where": "label=ant,bee"}):
        open_page("errors", study="seen", errors_tab="Confusions", **asked)
        drawings.add(menus["failure_matrix"].kept("serif").numbers)
    assert len(drawings) == 3


@pytest.mark.parametrize("order", ["Least confident first", "Most confident first"])
def test_pictures__kept_and_saved_are_those_of_the_page_in_its_order(study, open_page, menus, order):
    app = open_page("heatmaps", **ASKED, heat_sort=order)
    assert not app.exception
    shown = [one["id"] for key in ("heat_correct", "heat_misclassified") for one in tiles(app, key)]
    kept = menus["heat"].kept("serif")
    (points,) = json.loads(kept.drawing)["data"]
    rows = [int(row) for (row,) in grid(points["customdata"]).tolist()]
    assert rows[::2] == rows[1::2] == shown  # the picture and its heatmap
    saved = csv_of(kept.numbers.encode())
    assert saved["image_id"].tolist() == study.images["image_id"].iloc[shown].tolist()
    right = saved["correct"].astype(bool)
    confidence = saved.loc[right, "confidence"].to_numpy()
    steps = np.diff(confidence)
    assert (steps >= 0).all() if order.startswith("Least") else (steps <= 0).all()
    assert len(steps) > 3 and np.ptp(confidence) > 0


def test_pictures__combine_features_as_the_page_does(study, open_page, menus):
    drawn = set()
    for how in ("Mean", "Largest"):
        open_page("heatmaps", **ASKED, heat_combine=how)
        images = json.loads(menus["heat"].kept("serif").drawing)["layout"]["images"]
        drawn.add(tuple(one["source"] for one in images[1::2]))
    assert len(drawn) == 2


def test_files_of_a_feature__name_it_and_its_rows(study, open_page, menus):
    feature = int(np.argmax(class_firing(study, study.is_val)[0].sum(1)))
    stems = []
    for number in (feature, feature + 1):
        assert not open_page("feature", study=study.path.name, feature=number, feature_look="Image").exception
        stems.append([one.table.stem for one in menus.values()])
        assert all(f"feature-{number}" in stem for stem in stems[-1])
        if number == feature:
            rows = csv_of(menus["feature_pictures"].kept("serif").numbers.encode())["gallery"]
            assert rows.drop_duplicates().tolist() == list(one_feature.NAMES.values())
        menus.clear()
    assert len(stems[0]) > 2 and not set(stems[0]) & set(stems[1])


def test_nothing_is_drawn_before_it_is_asked_for(study, open_page, monkeypatch):
    """A menu that nobody opened costs neither a drawing for print nor a file."""
    asked: list[str] = []
    monkeypatch.setattr(chart_part, "print_version", lambda *_, **__: asked.append("print"))
    monkeypatch.setattr(TableFile, "content", lambda _: asked.append("table"))
    monkeypatch.setattr(chart_part, "picture_figure", lambda *_, **__: asked.append("pictures"))
    for page in ("predicting_errors", "heatmaps"):
        assert not open_page(page, **ASKED).exception
    assert asked == []
