"""One number: what a page shows of a chart, what the command writes of it and what is drawn are the same.

For every chart of the catalogue and three slices: the table that a page reads and hands out as .csv, the one
that `figure … -o x.csv` writes, and the numbers of the drawing. Pages that compose what a chart shows by
themselves are opened, and each chart on them is compared with the catalogue's of the same images.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from numpy.testing import assert_allclose
from pandas.testing import assert_frame_equal

from core.charts.catalogue import draw, drawn, read_chart, theme_of
from core.charts.chart import Chart, frame_of, narrowed_studies
from core.charts.options import FigureOptions
from core.charts.registry import CHARTS
from core.charts.theme import LIGHT
from core.cli import main
from core.errors import PeregrineError
from core.measures.slice import Slice
from core.store import Study, open_study
from dashboard.cache.chart_reads import chart_table
from dashboard.components import chart as page_chart
from tests.dashboard.conftest import (
    grid,
    open_page,
    registered_components,
    seen_study,
    settings_of_the_app,
    worded_study,
)

__all__ = ["open_page", "registered_components", "seen_study", "settings_of_the_app", "worded_study"]

pytestmark = pytest.mark.slow
SLICES = ("", "split=val label=bee", "split=val correct=false")
QUICK = FigureOptions(images=1, device="cpu")


@pytest.fixture(scope="module")
def served(worded_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A studies folder: `seen`, `other`, which is a copy, and `retrained`, a copy with another probe."""
    folder: Path = tmp_path_factory.mktemp("served")
    for name in ("seen", "other", "retrained"):
        shutil.copytree(worded_study, folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_TRUST_STUDIES", "1")
        assert main(["probe", str(folder / "retrained"), "--redo", "--lr", "1e-6", "--device", "cpu"]) == 0
        assert main(["compare", str(folder / "seen"), str(folder / "other"), "--leaderboard"]) == 0
        tried = ["--errors", "20", "--right", "40", "--device", "cpu", "--workers", "0"]
        assert main(["causes", str(folder / "seen"), *tried]) == 0
        assert main(["remedies", str(folder / "seen"), "--device", "cpu"]) == 0
    return folder


def studies_of(chart: Chart, folder: Path) -> list[Study]:
    """As many as the chart needs, of which the second is one that it can show."""
    second = "retrained" if chart.name == "changed_heatmaps" else "other"
    return [open_study(folder / name) for name in ("seen", second)][: max(chart.studies[0], 1)]


def values_drawn(figure: go.Figure) -> np.ndarray:
    """Every finite number of the traces' axes."""
    traces = json.loads(str(figure.to_json()))["data"]
    axes = [trace[axis] for trace in traces for axis in ("x", "y", "z") if axis in trace]
    found = [grid(axis).ravel() for axis in axes if holds_numbers(axis)]
    values = np.concatenate([np.zeros(0), *found]).astype(float)
    return values[np.isfinite(values)]


def holds_numbers(axis: Any) -> bool:
    try:
        grid(axis)
    except (TypeError, ValueError):
        return False
    return True


NOT_HERE = {  # charts without a table, or of what this study does not hold: tests/charts draws them
    *("by_cause", "checkpoint_features", "kept_features", "ddm_features", "ddm_map"),
    *("fda_examples", "retrieval_sheet", "perturbed_sheet", "robust_bars"),
}
# What else than numbers of the table is drawn, beside places on an axis without numbers.
DERIVED = {
    "class_representations": "each row in percent of its maximum",
    "q_distribution": "smoothed densities",
    "q_against_miou": "a line through the points",
    "slice_differences": "distances between two rates",
    "worst_slices": "distances to the ends of an interval",
    "confusions": "images of a class",
    "remedies": "marks that lie below their place",
    "miou_by_class": "bars that lie beside their place",
    "miou_scale": "the width of a band",
    "compared_classes": "distances to the ends of an interval",
    "compared_words": "words counted",
    "leaderboard": "rows beside each other, and distances to the ends of intervals",
    "checkpoints": "changes from one checkpoint to the next",
}


def unknown_values(figure: go.Figure, frame: pd.DataFrame) -> list[float]:
    """Numbers that are drawn and are neither in the table, as they are or in percent, nor places."""
    columns = [frame[name].dropna().to_numpy(float) for name in frame.select_dtypes(["number", "bool"])]
    held = np.concatenate([np.zeros(0), *columns])
    known = np.unique(np.concatenate([held, 100 * held, np.arange(len(frame) + 2)]))
    values = np.unique(values_drawn(figure))
    place = np.clip(np.searchsorted(known, values), 1, len(known) - 1)
    nearest = np.minimum(np.abs(values - known[place - 1]), np.abs(values - known[place]))
    return values[nearest > 1e-5 * np.maximum(1, np.abs(values))].tolist()


def command_writes(folder: Path, name: str, studies: list[Study], where: str) -> bytes:
    """What the command `figure` writes as .csv."""
    words = ["figure", str(studies[0].path), name, "--images", "1", "--device", "cpu"]
    words += ["--where", where] if where else []
    words += [part for other in studies[1:] for part in ("--with", str(other.path))]
    assert main([*words, "-o", str(folder / "figure.csv")]) == 0
    return (folder / "figure.csv").read_bytes()


@pytest.mark.parametrize("name", CHARTS)
def test_chart__page_command_and_drawing_have_one_table(name, served, trusted, tmp_path, monkeypatch):
    """The command writes those of the last slice that the chart can show."""
    monkeypatch.setenv("PEREGRINE_STUDIES", str(served))
    chart, studies = CHARTS[name], studies_of(CHARTS[name], served)
    saved: list[tuple[str, bytes]] = []
    for text in SLICES:
        among = Slice.parse(text) if text else None
        of_slice = narrowed_studies(studies, among, same_images=chart.same_images)
        try:
            stored = read_chart(of_slice, chart, QUICK)
        except PeregrineError:  # that it says why is tested in tests/charts
            continue
        assert "\n" not in chart.finding(stored) and chart.described(stored)
        if (frame := frame_of(stored)) is None or frame.empty:
            continue
        of_page = frame_of(chart_table(studies[0], among, name, QUICK, tuple(studies[1:])))
        assert of_page is not None
        assert_frame_equal(of_page, frame)
        figure = drawn(chart, stored, QUICK, theme_of("screen", chart.column))
        if name not in DERIVED and not figure.layout["images"]:
            assert unknown_values(figure, frame) == []
        file = page_chart.table_of(studies[0], name, of_page, *studies[1:], among)
        saved.append((text, file.content()))
    assert saved or name in NOT_HERE
    for text, content in saved[-1:]:
        assert command_writes(tmp_path, name, studies, text) == content


@dataclass(frozen=True)
class Shown:
    """A chart of the catalogue that a page shows."""

    chart: Chart
    options: FigureOptions
    among: Slice | None
    studies: list[Study]
    data: pd.DataFrame
    figure: go.Figure


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Shown]]:
    """The charts of the catalogue that a page shows, as they come."""
    found: list[Shown] = []
    show = page_chart.chart

    def note(study: Study, name: str, make: Callable, *depends_on: Any, data: pd.DataFrame, **more: Any):
        if depends_on and depends_on[0] in CHARTS:
            what, options, among, *others = depends_on
            studies = [study, *(one for one in others if isinstance(one, Study))]
            found.append(Shown(CHARTS[what], options, among, studies, data, go.Figure(make(LIGHT))))
        show(study, name, make, *depends_on, data=data, **more)

    monkeypatch.setattr(page_chart, "chart", note)
    yield found


VISITS = (  # the view, its part, and the images
    ("heatmaps", {"heat_part": "Mean representations"}, ""),
    ("masks", {}, "label=bee"),
    ("masks", {"masks_part": "Correct against misclassified"}, "label=ant,bee"),
    ("masks", {"masks_part": "By class"}, "split=train"),
    ("masks", {"masks_part": "Method"}, ""),
    ("errors", {"slices_view": "Chart", "slices_sure": "false"}, ""),
    ("predicting_errors", {}, "split=train"),
    ("predicting_errors", {"quality_plot": "Chart"}, "label=ant,bee"),
    ("predicting_errors", {"quality_plot": "Distribution"}, "split=train"),
    ("predicting_errors", {"quality_plot": "ROC"}, ""),
    ("predicting_errors", {"quality_plot": "Risk-coverage"}, "label=bee"),
    ("compare", {"compare_with": ["other"], "compare_words_open": "true"}, "split=train"),
    ("compare", {"compare_with": ["other"], "compare_figures_open": "true"}, "label=bee"),
)


@pytest.mark.parametrize(("view", "query", "where"), VISITS)
def test_page__shows_the_numbers_of_the_catalogue(view, query, where, served, shown, open_page, monkeypatch):
    monkeypatch.setenv("PEREGRINE_STUDIES", str(served))
    app = open_page(view, study="seen", **query, **({"where": where} if where else {}))
    assert not app.exception and shown
    for one in shown:
        studies = narrowed_studies(one.studies, one.among, same_images=one.chart.same_images)
        expected = draw(studies, one.chart.name, style="screen", options=one.options)
        assert_allclose(values_drawn(one.figure), values_drawn(expected), rtol=1e-6)
