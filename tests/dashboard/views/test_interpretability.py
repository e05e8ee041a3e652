"""The Interpretability view says what the step `overlap` stored, and compares studies."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from core.store import open_study
from tests.dashboard.conftest import all_text, forget, grid, spec, tiles


@pytest.fixture
def study(seen):
    return open_study(seen)


def bars(app) -> dict[str, np.ndarray]:
    drawn = spec(app, "overlap_bars")["data"]
    return {trace["name"]: grid(trace["y"]) for trace in drawn if trace["type"] == "bar"}


def means(study, **where) -> np.ndarray:
    """The means on core and on spurious masks."""
    table = study.table("overlap_summary")
    for column, value in ({"images": "both masks", "split": "all", "variant": "paper"} | where).items():
        table = table[table[column] == value]
    return table.set_index("mask").loc[["core", "spurious"], "mean"].to_numpy()


def test_headline__is_the_summary(study, open_page):
    app = open_page("interpretability", study="seen")
    assert not app.exception
    summary = study.summary("overlap")
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["mIoU, core masks"] == f"{summary['miou_core']:.3f}"
    assert shown["mIoU, spurious masks"] == f"{summary['miou_spurious']:.3f}"
    assert shown["Correct images, core"] == f"{summary['miou_core_correct']:.3f}"
    low, high = summary["miou_core_interval"]
    assert f"{low:.3f} to {high:.3f}" in all_text(app)


@pytest.mark.parametrize(("title", "variant"), [("mIoU (heat", "paper"), ("share of the heat", "energy")])
@pytest.mark.parametrize(("words", "split"), [("Both splits", "all"), ("Evaluation", "val")])
def test_bars__follow_measure_and_split(title, variant, words, split, study, open_page):
    from core.figures.interpretability import VARIANTS

    title = next(name for name in VARIANTS.values() if name.startswith(title))
    app = open_page("interpretability", study="seen", overlap_variant=title, overlap_split=words)
    for group, values in bars(app).items():
        np.testing.assert_allclose(values, means(study, variant=variant, split=split, group=group))


def test_bars__of_several_studies(study, seen, open_page):
    shutil.copytree(seen, seen.with_name("twin"))
    app = open_page("interpretability", study="seen", overlap_with=["twin"])
    assert not app.exception
    own = means(study, group="correct")
    np.testing.assert_allclose(bars(app)["correct"], [*own, *own])


def test_scatter__every_image_with_a_defined_overlap(study, open_page):
    app = open_page("interpretability", study="seen", overlap_score="Hoyer sparsity")
    drawn = [t for t in spec(app, "overlap_scatter")["data"] if "customdata" in t and t["mode"] == "markers"]
    table = study.table("overlap").dropna(subset="paper")
    rows = np.concatenate([grid(trace["customdata"]).ravel() for trace in drawn])
    assert sorted(rows.astype(int)) == sorted(table["row"])


def test_features__verdicts_and_the_images_of_one(study, open_page):
    app = open_page("interpretability", study="seen")
    verdicts = study.table("overlap_by_feature").groupby("feature")["verdict"].first()
    counts = [f"**{(verdicts == name).sum()}** {name}" for name in ("core", "spurious", "undecided")]
    assert ", ".join(counts) in all_text(app)
    shown = next(frame.value for frame in app.dataframe if "core_lift" in frame.value)
    assert set(shown["feature"]) == set(verdicts.index)
    core = shown[shown["verdict"] == "core"]
    assert core.index.tolist() == list(range(len(core)))
    assert core["core_lift"].is_monotonic_decreasing
    feature = int(shown["feature"].iloc[0])
    assert all(f"features={feature}" in tile["src"] for tile in tiles(app, "overlap_feature_gallery"))


def test_features__of_one_verdict(study, open_page):
    app = open_page("interpretability", study="seen", overlap_verdict="Undecided")
    shown = next(frame.value for frame in app.dataframe if "core_lift" in frame.value)
    assert set(shown["verdict"]) == {"undecided"}


@pytest.mark.parametrize("mask", ["Spurious", "Core"])
@pytest.mark.parametrize(("words", "correct"), [("All", None), ("Misclassified", False)])
def test_extremes__most_heat_on_the_mask_first(mask, words, correct, study, open_page):
    app = open_page("interpretability", study="seen", overlap_extreme_mask=mask, overlap_shown=words)
    table = study.table("overlap").dropna(subset="energy")
    table = table[table["mask"] == mask.lower()]
    if correct is not None:
        table = table[table["correct"] == correct]
    table = table.sort_values("energy", ascending=False, kind="stable")
    shown = tiles(app, "overlap_gallery")
    assert [tile["id"] for tile in shown] == table["row"].head(12).tolist()
    assert shown[0]["badge"] == f"{100 * table['energy'].iloc[0]:.0f} %"


def test_controls__a_perfect_heatmap_comes_out_as_one(study, open_page):
    app = open_page("interpretability", study="seen")
    shown = next(frame.value for frame in app.dataframe if "Heatmap" in frame.value).set_index("Heatmap")
    assert shown.loc["Exactly the core mask", "On the core mask"].startswith("1.000")


def test_study_without_masks__says_what_to_give(studies, open_page):
    app = open_page("interpretability", study="demo")
    assert not app.exception
    assert "masks" in all_text(app)


def test_without_overlap__the_command(seen, open_page):
    forget(seen, "overlap")
    app = open_page("interpretability", study="seen")
    assert not app.exception
    assert any(code.value.startswith("python -m core overlap") for code in app.code)


def test_one_feature__only_images_of_the_filter(seen, open_page):
    study = open_study(seen)
    whole = [
        tile["id"] for tile in tiles(open_page("interpretability", study="seen"), "overlap_feature_gallery")
    ]
    label = study.images["label"].iat[whole[0]]
    app = open_page("interpretability", study="seen", where=f"label={label}")
    shown = [tile["id"] for tile in tiles(app, "overlap_feature_gallery")]
    assert shown and set(study.images["label"].iloc[shown]) == {label}
