"""The features behind a confusion: those of the step `failures`, and those of some of its images alone."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.concepts.confused import behind_confusion
from core.store import open_study
from tests.concepts.worded import make_worded
from tests.synthetic import make_seen_study


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("confused")
    return open_study(make_worded(make_seen_study(folder / "seen")))


def rows_of(study, true: str, predicted: str) -> np.ndarray:
    probe = study.table("probe")
    return np.flatnonzero((probe["true"] == true) & (probe["predicted"] == predicted) & study.is_val)


@pytest.mark.slow
def test_all_images_of_a_confusion__are_the_rows_of_the_table(worded):
    table = worded.table("failure_pairs")
    pairs = table[["true", "predicted"]].drop_duplicates()
    assert len(pairs) >= 2
    for true, predicted in pairs.itertuples(index=False, name=None):
        behind = behind_confusion(worded, rows_of(worded, true, predicted), true, predicted)
        expected = table[(table["true"] == true) & (table["predicted"] == predicted)]
        expected = expected[list(behind.columns)].reset_index(drop=True)
        pd.testing.assert_frame_equal(behind, expected)


def test_some_images__by_a_loop(worded):
    pairs = worded.table("failure_pairs").sort_values("n_images", ascending=False)
    true, predicted = pairs["true"].iloc[0], pairs["predicted"].iloc[0]
    rows = rows_of(worded, true, predicted)[:2]
    behind = behind_confusion(worded, rows, true, predicted)
    raw, weights = worded.vector("representations").astype(float), worded.vector("probe_weights")
    for side, name in (("true", true), ("predicted", predicted)):
        values = [raw[row] * weights[worded.class_names.index(name)] for row in rows]
        mean = np.add.reduce(values) / len(rows)
        part = behind[behind["side"] == side]
        best = sorted(range(len(mean)), key=lambda j: (-mean[j], j))[: len(part)]
        assert part["feature"].tolist() == best
        assert_allclose(part["contribution"], mean[best], rtol=1e-9)
        tops = [sorted(range(len(one)), key=lambda j: (-one[j], j))[:3] for one in values]
        counts = [sum(j in top and one[j] > 0 for top, one in zip(tops, values, strict=True)) for j in best]
        assert part["n_top"].tolist() == counts


def test_no_images__no_rows(worded):
    assert behind_confusion(worded, np.empty(0, int), *worded.class_names[:2]).empty


def test_without_the_probe__no_rows(worded, tmp_path):
    from tests.dashboard.conftest import forget

    folder = shutil.copytree(worded.path, tmp_path / "study")
    forget(folder, "failures", "quality", "probe")
    assert behind_confusion(open_study(folder), np.array([0]), *worded.class_names[:2]).empty
