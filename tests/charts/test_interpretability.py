"""Figures of the overlap: the numbers of the tables are what is drawn, and absence is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import spearmanr

from core.charts import miou, q_against_miou
from core.charts.miou import Sweep
from core.charts.q_against_miou import ScoredOverlaps
from core.charts.theme import DARK, layout_of, paper, traces_of
from tests.sentences import numbers


def summary(
    shift: float = 0.0, groups: tuple[str, ...] = ("all", "correct", "misclassified")
) -> pd.DataFrame:
    rows = [
        {"images": images, "split": split, "mask": mask, "group": group, "variant": variant,
         "mean": base + shift + 0.01 * at, "low": base + shift - 0.02, "high": base + shift + 0.05, "n": 40}
        for images in ("both masks", "any mask") for split in ("all", "val") for variant in ("paper", "soft")
        for mask, base in (("core", 0.4 if variant == "paper" else 0.7), ("spurious", 0.2))
        for at, group in enumerate(groups)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_miou_bars__means_and_intervals():
    fig = miou.miou_bars({"demo": summary()}, theme=paper())
    correct, wrong = traces_of(fig)
    assert (correct.name, wrong.name) == ("correct", "misclassified")
    assert list(correct.x) == ["core mask", "spurious mask"]
    assert_allclose(correct.y, [0.41, 0.21])
    assert_allclose(wrong.y, [0.42, 0.22])
    assert_allclose(correct.error_y.arrayminus, [0.03, 0.03])
    assert_allclose(correct.error_y.array, [0.04, 0.04])
    soft = miou.miou_bars({"demo": summary()}, variant="soft")
    assert_allclose(traces_of(soft)[0].y, [0.71, 0.21])


def test_miou_bars__several_studies_and_no_verdicts():
    fig = miou.miou_bars({"a<b": summary(), "after": summary(0.1)})
    assert list(traces_of(fig)[0].x[0]) == ["a&lt;b", "a&lt;b", "after", "after"]
    assert_allclose(traces_of(fig)[0].y, [0.41, 0.21, 0.51, 0.31])
    alone = miou.miou_bars({"demo": summary(groups=("all",))})
    assert [trace.name for trace in traces_of(alone)] == ["all images"]


def test_miou_bars__uniform_heatmap_is_a_line_over_each_mask():
    values = {("uniform", "core"): 0.25, ("uniform", "spurious"): 0.5, ("random", "core"): 0.1}
    rows = [(control, mask, "paper", value) for (control, mask), value in values.items()]
    controls = pd.DataFrame(rows, columns=["control", "mask", "variant", "mean"])
    fig = miou.miou_bars({"demo": summary()}, controls=controls)
    assert [(shape.y0, shape.y1) for shape in layout_of(fig).shapes] == [(0.25, 0.25), (0.5, 0.5)]
    assert traces_of(fig)[-1].name == "a uniform heatmap"


def test_miou_bars__each_group_has_a_uniform_heatmap_of_its_own():
    values = {("core", "correct"): 0.4, ("core", "misclassified"): 0.3, ("spurious", "correct"): 0.5}
    rows = [("uniform", mask, group, "paper", value) for (mask, group), value in values.items()]
    controls = pd.DataFrame(rows, columns=["control", "mask", "group", "variant", "mean"])
    shapes = layout_of(miou.miou_bars({"demo": summary()}, controls=controls)).shapes
    at = [(0, 0.4), (0, 0.3), (1, 0.5)]
    assert [(round((one.x0 + one.x1) / 2), one.y0) for one in shapes] == at
    assert shapes[0].x1 == shapes[1].x0 == 0  # side by side, as the bars are


@pytest.mark.parametrize("draw", [
    lambda: miou.miou_bars({"demo": summary().assign(mean=np.nan)}),
    lambda: miou.miou_bars({}),
    lambda: miou.threshold_sweep(Sweep(summary().assign(threshold=0.5).iloc[:0], 0.5)),
    lambda: miou.miou_by_class(summary().assign(label="a").iloc[:0]),
    lambda: q_against_miou.q_against_miou(
        ScoredOverlaps(pd.DataFrame({"row": [], "mask": [], "q_score": [], "paper": []}))
    ),
])  # fmt: skip
def test_nothing_to_draw__is_said(draw):
    fig = draw()
    assert not traces_of(fig) and "no overlap to draw" in layout_of(fig).annotations[0].text


def test_threshold_sweep__lines_in_order_of_t():
    rows = [
        ("core", group, "paper", t, t / 2, t / 2 - 0.1, t / 2 + 0.1, 9)
        for group in ("correct", "misclassified")
        for t in (0.9, 0.1, 0.5)
    ]
    table = pd.DataFrame(rows, columns=["mask", "group", "variant", "threshold", "mean", "low", "high", "n"])
    fig = miou.threshold_sweep(Sweep(table, 0.5), theme=DARK)
    lines = [trace for trace in traces_of(fig) if trace.mode == "lines" and trace.name]
    assert [line.name for line in lines] == ["core, correct", "core, misclassified"]
    assert_allclose(lines[0].x, [0.1, 0.5, 0.9])
    assert_allclose(lines[0].y, [0.05, 0.25, 0.45])
    assert [shape.x0 for shape in layout_of(fig).shapes] == [0.5]
    band = next(trace for trace in traces_of(fig) if trace.fill == "toself")
    assert_allclose(band.y, [0.15, 0.35, 0.55, 0.35, 0.15, -0.05])


def by_class(n_classes: int) -> pd.DataFrame:
    shifts = {"all": 0.0, "correct": 0.01, "misclassified": -0.01}
    rows = [
        {"label": f"c{c:03d}", "group": group, "mean": c / 1000 + shift, "n": 10 + c}
        for c in range(n_classes)
        for group, shift in shifts.items()
    ]
    table = pd.DataFrame(rows).assign(mask="core", variant="paper")
    return table.assign(low=table["mean"] - 0.01, high=table["mean"] + 0.01)


def test_miou_by_class__highest_on_top_and_the_two_ends_of_many():
    few = miou.miou_by_class(by_class(3))
    assert list(layout_of(few).yaxis.ticktext) == ["c002", "c001", "c000"]
    assert_allclose(sorted(traces_of(few)[0].x), [0.01, 0.011, 0.012])
    many = miou.miou_by_class(by_class(100), most=10)
    assert list(layout_of(many).yaxis.ticktext) == [f"c{c:03d}" for c in (99, 98, 97, 96, 95, 4, 3, 2, 1, 0)]
    assert "90 classes between" in layout_of(many).annotations[0].text
    at = dict(zip(traces_of(many)[0].x, traces_of(many)[0].y, strict=True))
    assert np.isclose(at[0.099 + 0.01], 9.16) and len(at) == 10


@pytest.mark.parametrize("n", [3, 40, 500])
def test_rank_correlation__equals_scipy(rng, n):
    x, y = rng.integers(0, 6, n).astype(float), rng.normal(size=n)
    y[0], x[-1] = np.nan, 2.0
    if n > 3:
        expected: Any = spearmanr(x[1:], y[1:])
        assert_allclose(q_against_miou.rank_correlation(x, y), expected.statistic, rtol=1e-12)
    assert np.isnan(q_against_miou.rank_correlation(x[:2], y[:2]))
    assert np.isnan(q_against_miou.rank_correlation(np.ones(n), np.arange(n, dtype=float)))


def test_trend__means_of_equal_parts():
    x, y = np.arange(100.0), np.repeat(np.arange(10.0), 10)
    table = q_against_miou.trend(x, y)
    assert_allclose(table["y"], np.arange(10.0), atol=0.11)
    assert table["n"].sum() == 100 and (table["low"] <= table["y"]).all()
    assert q_against_miou.trend(np.ones(50), np.ones(50)).empty
    assert q_against_miou.trend(np.arange(4.0), np.arange(4.0)).empty  # fewer than five images a part


def test_q_against_miou__points_carry_rows_and_zeros_stand_apart():
    images = pd.DataFrame({
        "row": [3, 5, 8, 9], "mask": "core", "q_score": [0.1, 0.0, 0.2, np.nan],
        "paper": [0.5, 0.25, 0.75, 0.5], "correct": pd.array([True, False, None, True], dtype="boolean"),
    })  # fmt: skip
    fig = q_against_miou.q_against_miou(ScoredOverlaps(images))
    drawn = {
        trace.name: [row for (row,) in trace.customdata]
        for trace in traces_of(fig)
        if trace.mode == "markers"
    }
    assert drawn == {"correct": [3], "unknown": [8]}
    assert numbers(layout_of(fig).annotations[0].text)[1:4] == ["1", "0", "0.250"]
    norm = q_against_miou.q_against_miou(ScoredOverlaps(images.rename(columns={"q_score": "norm"}), "norm"))
    assert sum(len(trace.x) for trace in traces_of(norm) if trace.mode == "markers") == 3


@pytest.mark.parametrize(("n", "why"), [(2, "too few images for a"), (20, "the same on all images")])
def test_score_against_overlap__says_why_there_is_no_correlation(n, why):
    rows = {"row": range(n), "mask": "core", "norm": 1.0, "paper": np.linspace(0, 1, n), "correct": 1.0}
    data = ScoredOverlaps(pd.DataFrame(rows), "norm")
    assert why in (q_against_miou.Q_AGAINST_MIOU.finding or str)(data)
    titles = [note.text for note in layout_of(q_against_miou.q_against_miou(data)).annotations]
    assert any("rank correlation undefined" in text for text in titles)
