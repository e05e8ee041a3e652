"""One number: page, `inspect`, `export`, `figure` and report say the same of a slice, to the last digit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from core.charts.catalogue import draw
from core.charts.chart import narrowed_study
from core.charts.options import FigureOptions
from core.common.dataframes import numbers
from core.common.formatting import with_interval
from core.errors import SliceError
from core.measures.slice import Slice
from core.measures.slice_comparison import with_split
from core.measures.slice_tables import QUICK, TABLES, VECTORS
from core.publish import report_sections as report_scores
from core.publish.export_files import export_table
from core.publish.report_page import Source
from core.store import Study, open_study
from dashboard.cache import heatmap_reads, overlap_reads, reads, score_reads
from tests.shared import made_once
from tests.synthetic import make_seen_study

CHOSEN = ["", "split=val", "split=train", "correct=true", "correct=false", "norm=1e9.."]
RANDOM = 14  # further slices
EXACT = {"rtol": 0, "atol": 0, "check_dtype": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "seen", lambda at: make_seen_study(at / "seen")) / "seen"


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return open_study(folder)


def random_slices(study: Study) -> list[str]:
    """One image, and conditions drawn from what the study holds."""
    rng = np.random.default_rng(5)
    found = [f"image={study.images['image_id'].iloc[int(np.flatnonzero(study.is_val)[3])]}"]
    norm = np.sort(numbers(study.table("quality", ["norm"]), "norm"))
    while len(found) < RANDOM:
        conditions = [
            f"label={','.join(rng.choice(study.class_names, rng.integers(1, 4), replace=False))}",
            f"split={rng.choice(['train', 'val'])}",
            f"correct={rng.choice(['true', 'false'])}",
            f"norm={norm[rng.integers(0, len(norm) // 2)]:.4f}..",
            f"fires={rng.integers(0, study.array('representations').shape[1])}",
        ]
        chosen = rng.choice(conditions, rng.integers(1, 3), replace=False)
        text = " ".join(sorted(chosen))
        found += [] if text in (*CHOSEN, *found) else [text]
    return found


def slices(study: Study) -> list[Slice]:
    return [Slice.parse(text) for text in (*CHOSEN, *random_slices(study))]


def values(cells: list) -> list[float]:
    """Numbers of a JSON report, null as NaN."""
    return [np.nan if cell is None else float(cell) for cell in cells]


def traced(figure, *names: str) -> list[float]:
    """The numbers that a figure draws: of its traces, sorted."""
    drawn = []
    for trace in figure.data:
        for name in names:
            part = getattr(trace, name, None)
            drawn += [] if part is None else np.asarray(part, float).ravel().tolist()
    return sorted(value for value in drawn if np.isfinite(value))


def finite(table: pd.DataFrame, column: str) -> list[float]:
    found = numbers(table, column)
    return sorted(found[np.isfinite(found)].tolist())


def test_every_measure_is_compared(study):
    compared = {"score_aurocs", "confusions", "overlap_scale", "features", "quality_metrics"}
    compared |= {"quality_curves", "quality_by_cause", "overlap_summary", "overlap_by_class"}
    compared |= {"overlap_controls", "overlap", "label_issues", *VECTORS}
    compared |= {"causes", "cause_rates"}  # in tests/pictures/test_causes_step.py
    compared |= {"leaks"}  # in tests/measures/test_leaks.py
    assert compared == {*TABLES, *QUICK, *VECTORS}
    assert len(slices(study)) == 20 and len({str(one) for one in slices(study)}) == 20


@pytest.mark.slow
@pytest.mark.exhaustive("tests/contract/test_one_number.py compares page, export and figure")
def test_inspect__says_what_the_page_shows(study, folder, run: Callable):
    for one in slices(study):
        told = json.loads(run("inspect", folder, *(["--where", str(one)] if one else []), "--json").out)
        population = with_split(study, one)
        aurocs = score_reads.aurocs(study, population)
        for ours, theirs in (("auroc", "auroc"), ("auroc_low", "low"), ("auroc_high", "high"), ("n", "n")):
            np.testing.assert_array_equal(
                numbers(aurocs, ours), values([row[theirs] for row in told["scores"]])
            )
        metrics = score_reads.metrics(study, population, tuple(aurocs["score"])).set_index("score")
        for column in ("auroc", "auroc_low", "auroc_high", "augrc", "augrc_low", "augrc_high"):
            np.testing.assert_array_equal(metrics.loc[aurocs["score"], column], aurocs[column])
        assert reads.slice_table(study, population, "confusions").to_dict("records") == told["confusions"]
        headline = reads.headline(study, population)
        for name in ("accuracy", "mean_q", "mean_confidence", "n_firing"):
            np.testing.assert_array_equal(values([told[name]]), [headline[name]])
            np.testing.assert_array_equal(values(told[f"{name}_interval"]), headline[f"{name}_interval"])
        scale = reads.slice_table(study, population, "overlap_scale")
        summary = overlap_reads.by_group(study, population, "paper")
        for mask in ("core", "spurious"):
            part = scale.loc[scale["mask"] == mask].reset_index(drop=True)
            ends = [told[f"miou_{mask}"], *told[f"miou_{mask}_interval"]]
            encoder = part.loc[part["heatmap"] == "encoder"].reset_index(drop=True)
            np.testing.assert_array_equal(values(ends), encoder[["value", "low", "high"]].to_numpy()[0])
            images = str(encoder["images"].iloc[0])
            rows = summary.loc[
                (summary["images"] == images) & (summary["mask"] == mask) & (summary["group"] == "all")
            ].reset_index(drop=True)
            np.testing.assert_array_equal(values(ends), rows[["mean", "low", "high"]].to_numpy()[0])
        controls = study.where(one).table("overlap_controls").set_index(["control", "mask"])["mean"]
        uniform = scale.loc[(scale["heatmap"] == "uniform") & (scale["images"] == "both masks")]
        for row in uniform.to_dict("records"):
            np.testing.assert_array_equal([row["value"]], [controls[("uniform", row["mask"])]])
        rates = 100 * numbers(reads.feature_differences(study, population).sort_values("feature"), "rate")
        np.testing.assert_array_equal(
            rates, numbers(study.where(one).table("features").sort_values("feature"), "activation_rate")
        )
        of_feature = {row["feature"]: row["rate"] for row in told["features"]}
        told_rates = values([of_feature[number] for number in range(len(rates))])
        np.testing.assert_array_equal(rates, 100 * np.array(told_rates))


@pytest.mark.slow
@pytest.mark.exhaustive("tests/contract/test_one_number.py compares page, export and figure")
def test_export__writes_what_the_page_shows(study, folder, run: Callable, tmp_path):
    for one in slices(study):
        population, out = with_split(study, one), tmp_path / "metrics.parquet"
        run("export", folder, "metrics", "--where", str(population), "-o", out)
        written = pd.read_parquet(out)
        page = score_reads.metrics(study, population, tuple(written["score"]))
        assert_frame_equal(page, written, **EXACT)
        few = score_reads.metrics(study, population, ("norm", "confidence"))  # what a curve's legend says
        kept = written.loc[written["score"].isin(["norm", "confidence"]).to_numpy()].reset_index(drop=True)
        names = [name for name in kept if not str(name).startswith(("rival", "auroc_difference"))]
        kept = kept.loc[:, names].reset_index(drop=True)
        assert_frame_equal(few.loc[:, names], kept, **EXACT)
        if study.where(one).n_chosen:
            run("export", folder, "features", "--where", str(population), "-o", tmp_path / "f.parquet")
            table = study.where(one).table("features")
            written = pd.read_parquet(tmp_path / "f.parquet")
            assert_frame_equal(table[written.columns], written, **EXACT)


@pytest.mark.slow
@pytest.mark.exhaustive("tests/contract/test_one_number.py compares page, export and figure")
def test_figure_and_report__say_what_the_page_shows(study, folder):
    drawn = 0
    for one in slices(study):
        population = with_split(study, one)
        try:
            other = narrowed_study(open_study(folder), one)
        except SliceError:
            assert not reads.mask(study, population).any()
            continue
        aurocs = score_reads.aurocs(study, population)
        figure = draw(other, "baselines", style="screen")
        if (np.isfinite(numbers(aurocs, "auroc"))).any():
            assert traced(figure, "x") == finite(aurocs, "auroc")
            drawn += 1
        options = FigureOptions(score="norm")
        curves = reads.narrowed(study, population).of_scores("quality_curves", ("norm",))
        roc = draw(other, "roc", style="screen", options=options)
        points = curves.loc[curves["curve"] == "roc"].reset_index(drop=True)
        if len(points):
            assert set(100 * numbers(points, "x")) <= set(traced(roc, "x"))
        by_class = overlap_reads.by_class(study, population, "paper")
        core = by_class.loc[(by_class["mask"] == "core") & (by_class["group"] != "all")]
        if len(core):
            shown = draw(other, "miou_by_class", style="screen")
            assert set(finite(core, "mean")) <= set(traced(shown, "x", "y"))
        pairs = reads.slice_table(study, population, "confusions")
        assert_frame_equal(pairs, other.table("confusions"))
        for name, vector in heatmap_reads.group_means(study, population).items():
            np.testing.assert_array_equal(vector, other.vector(heatmap_reads.GROUP_MEANS[name]))
        told = str(report_scores.quality(Source(other)))
        for row in score_reads.metrics(study, population, tuple(aurocs["score"])).to_dict("records"):
            for column in ("auroc", "auprc_correct", "auprc_error", "aurc", "augrc"):
                assert with_interval(row[column], row[f"{column}_low"], row[f"{column}_high"]) in told
    assert drawn >= 5


def test_whole_study__says_what_the_page_without_a_filter_shows(study, folder, tmp_path):
    population = with_split(study, Slice())
    aurocs = score_reads.aurocs(study, population)
    assert traced(draw(study, "baselines", style="screen"), "x") == finite(aurocs, "auroc")
    export_table(study, "metrics", tmp_path / "metrics.parquet")
    written = pd.read_parquet(tmp_path / "metrics.parquet")
    assert_frame_equal(score_reads.metrics(study, population, tuple(written["score"])), written, **EXACT)


def test_likely_wrong_labels__are_the_same_in_an_export_and_on_the_page(study, tmp_path):
    for one in slices(study):
        population, out = with_split(study, one), tmp_path / "labels.parquet"
        export_table(study, "label_issues", out, slice=population)
        page = reads.slice_table(study, population, "label_issues")
        assert_frame_equal(page, pd.read_parquet(out), **EXACT)
    assert len(reads.slice_table(study, with_split(study, Slice()), "label_issues"))
