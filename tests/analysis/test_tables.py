"""Tables of the overlap: who is in which group, and means against loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis import overlap_step
from core.config import OverlapConfig
from core.measures import overlap
from core.measures.image_columns import VARIANTS
from core.measures.intervals import mean_intervals
from tests.tables import rows_where

CONFIG = OverlapConfig(bootstrap=100)


@pytest.fixture
def scores(rng) -> pd.DataFrame:
    """Twelve images; some without a spurious mask, with a black one, without heat or without a verdict."""
    rows = []
    for row in range(12):
        for mask in ("core", "spurious"):
            if mask == "spurious" and row in (2, 7):
                continue
            black = mask == "spurious" and row in (3, 8)
            values = rng.random(4) * (np.nan if black or row == 5 else 1)
            rows.append(
                {
                    "row": row,
                    "mask": mask,
                    **dict(zip(VARIANTS, values, strict=True)),
                    "split": "val" if row > 5 else "train",
                    "label": ["cat", "dog", None][row % 3],
                    "correct": pd.NA if row == 11 else row % 2 == 0,
                    "mask_area": 0.0 if black else 0.25,
                }
            )
    return pd.DataFrame(rows).astype({"correct": "boolean"})


def test_has_both__needs_two_masks_that_are_not_black(scores):
    found = set(scores.loc[overlap.has_both(scores), "row"])
    assert found == {0, 1, 4, 5, 6, 9, 10, 11}
    assert_array_equal(overlap.has_both(scores), scores["row"].isin(found))


@pytest.mark.slow
def test_summary_table__matches_loop(scores):
    table = overlap.summary_table(scores)
    assert len(table) == 2 * 3 * 2 * 3 * 4
    line: Any
    image: Any
    images = [*scores.itertuples()]
    for line in table.itertuples():
        values, undefined = [], 0
        for image in images:
            n_others = sum(one.row == image.row and one.mask_area > 0 for one in images)
            if line.images == "both masks" and n_others < 2:
                continue
            verdict = None if image.correct is pd.NA else "correct" if image.correct else "misclassified"
            if image.mask != line.mask or line.group not in ("all", verdict):
                continue
            if line.split not in ("all", image.split):
                continue
            value = getattr(image, str(line.variant))
            values, undefined = (values, undefined + 1) if np.isnan(value) else ([*values, value], undefined)
        assert (line.n, line.n_undefined) == (len(values), undefined), line
        assert_allclose(line.mean, np.mean(values) if values else np.nan, rtol=1e-12)
        if len(values) > 1:
            assert line.low <= line.mean <= line.high, line
        else:
            assert np.isnan([line.low, line.high]).all()


def test_summary_table__without_a_probe_has_only_all(scores):
    table = overlap.summary_table(scores.assign(correct=pd.array([pd.NA] * len(scores), "boolean")))
    assert set(table.loc[table["n"] > 0, "group"]) == {"all"}


def test_headline__is_the_paper_variant_of_images_with_both_masks(scores):
    found = overlap.overlap_headline(overlap.summary_table(scores))
    both = scores[overlap.has_both(scores)]
    core = both[both["mask"] == "core"]
    assert_allclose(found["miou_core"], core["paper"].mean())
    wrong = core.loc[core["correct"].fillna(True) == False, "paper"]  # noqa: E712
    assert_allclose(found["miou_core_misclassified"], wrong.mean())
    low, high = found["miou_spurious_correct_interval"]
    assert low < found["miou_spurious_correct"] < high


def test_headline__is_none_where_no_image_has_both(scores):
    found = overlap.overlap_headline(overlap.summary_table(scores[scores["mask"] == "core"]))
    assert found["miou_core"] is None and found["miou_core_interval"] is None


def test_class_table__has_classes_with_images(scores):
    table = overlap.overlap_by_class(scores)
    assert set(table["label"]) == {"cat", "dog"}
    assert set(zip(table["label"], table["group"], strict=True)) == {
        ("cat", "all"), ("cat", "correct"), ("cat", "misclassified"),
        ("dog", "all"), ("dog", "correct"), ("dog", "misclassified"),
    }  # fmt: skip
    here = scores[(scores["label"] == "dog") & (scores["mask"] == "spurious")]
    line = table[(table["label"] == "dog") & (table["mask"] == "spurious") & (table["group"] == "all")]
    line = line.set_index("variant").loc["soft"]
    assert line["n"] == here["soft"].notna().sum()
    assert_allclose(line["mean"], here["soft"].mean())


def test_sweep_table__follows_the_rows(scores, rng):
    swept = rng.random((len(scores), 2, 3)).astype(np.float32)
    table = overlap_step.sweep_table(scores, swept, [0.25, 0.5, 0.75])
    chosen = overlap.has_both(scores) & (scores["mask"] == "core").to_numpy()
    line = table.query("mask == 'core' and group == 'all' and variant == 'binary' and threshold == 0.75")
    assert_allclose(line["mean"], swept[chosen, 1, 2].mean(dtype=float), rtol=1e-6)
    assert len(table) == 2 * 3 * 2 * 3 and set(table["threshold"]) == {0.25, 0.5, 0.75}


def test_means__of_the_same_rows_cost_once(scores, monkeypatch):
    calls = []
    monkeypatch.setattr(overlap, "mean_intervals", lambda *a, **k: calls.append(1) or mean_intervals(*a, **k))
    means = overlap.Means(overlap.values_of(scores))
    first, again = means.of(np.ones(len(scores), bool)), means.of(np.ones(len(scores), bool))
    assert_array_equal(first[0], again[0])
    assert len(calls) == 1


def feature_pairs(core: float, spurious: float, n: int, feature: int) -> pd.DataFrame:
    """`n` images with masks of a fifth and of three fifths of the frame."""
    parts = [("core", core, 0.2), ("spurious", spurious, 0.6)]
    rows = [
        {"feature": feature, "mask": mask, **dict.fromkeys(VARIANTS, energy + 0.01 * i), "mask_area": area}
        for mask, energy, area in parts
        for i in range(n)
    ]
    return pd.DataFrame(rows)


def test_feature_table__judges_against_the_area():
    pairs = [
        feature_pairs(0.4, 0.55, 12, 3),  # more heat on the background, but less than its area
        feature_pairs(0.05, 0.8, 12, 7),
        feature_pairs(0.4, 0.55, 9, 8),  # too few images
    ]
    table = overlap_step.overlap_by_feature(pd.concat(pairs), {(3, "core"): ["fur", "ears"]}, CONFIG)
    verdicts = table.set_index(["feature", "mask"])["verdict"]
    assert verdicts.to_dict() == {
        (3, "core"): "core", (3, "spurious"): "core", (7, "core"): "spurious", (7, "spurious"): "spurious",
        (8, "core"): "undecided", (8, "spurious"): "undecided",
    }  # fmt: skip
    line = table.iloc[0]
    assert line["n"] == 12 and line["keywords"] == "fur, ears" and table["keywords"].iloc[1] == ""
    assert_allclose([line["paper"], line["lift"]], [0.455, 0.455 / 0.2])
    assert line["lift_low"] < line["lift"] < line["lift_high"]


def test_feature_table__of_one_kind_of_mask_is_undecided():
    pairs = feature_pairs(0.4, 0.5, 12, 3)
    table = overlap_step.overlap_by_feature(rows_where(pairs, pairs["mask"] == "core"), {}, CONFIG)
    assert table[["mask", "verdict"]].to_numpy().tolist() == [["core", "undecided"]]


def test_tables__of_nothing_keep_their_columns():
    empty = feature_pairs(0.4, 0.5, 1, 1).iloc[:0]
    assert list(overlap_step.overlap_by_feature(empty, {}, CONFIG)) == list(overlap_step.FEATURE_COLUMNS)
    assert list(overlap.control_table({}))[:3] == ["control", "mask", "variant"]


def test_control_table__means_by_control_and_mask():
    parts = {("uniform", "core"): [np.full((2, 4), [[0.1], [0.3]]), np.full((1, 4), 0.5)]}
    table = overlap.control_table(parts)
    assert_allclose(table["mean"], 0.3)
    assert_array_equal(table["n"], 3)
