"""Features that one study has and another lacks, against a loop over pairs of features."""

from __future__ import annotations

import tracemalloc

import numpy as np
from scipy import sparse

from core.compare import features
from core.compare.features import lone_features
from core.compare.images import shared_images
from core.store import Study, open_study
from tests.compare.comparable import second_study
from tests.synthetic import make_study


def firing_sets(study: Study, rows: np.ndarray) -> list[set[str]]:
    pointers, images = study.vector("firing_by_feature_ptr"), study.array("firing_by_feature_rows")[:]
    ids = study.images["image_id"].tolist()
    shown = set(rows.tolist())
    ends = zip(pointers[:-1], pointers[1:], strict=True)
    return [{ids[row] for row in images[first:last] if row in shown} for first, last in ends]


def test_lone_features__match_a_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "UNLIKE", 0.8)  # the planted features of the two are much alike
    monkeypatch.setattr(features, "LEAST", 5)
    first = make_study(tmp_path / "first", n_train=80, n_val=120, epsilon=1.5)
    second = second_study(first, tmp_path / "second", epsilon=1.5, keep=slice(20, 200))
    shared = shared_images([open_study(first), open_study(second)])
    found = lone_features(shared, 1, 0)
    mine, theirs = (firing_sets(shared.studies[at], shared.rows[at][shared.judged]) for at in (1, 0))
    expected = {}
    for feature, fires in enumerate(mine):
        likeness = [len(fires & other) / max(len(fires | other), 1) for other in theirs]
        if max(likeness) < 0.8 and len(fires) >= 5 and shared.studies[1].discriminative[feature]:
            expected[feature] = len(fires), int(np.argmax(likeness)), max(likeness)
    rows = [tuple(row) for row in found.itertuples(index=False)]
    assert {row[0]: row[1:] for row in rows} == expected and rows
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)
    assert lone_features(shared, 0, 0).empty  # each resembles itself


def test_closest__takes_no_memory_for_each_pair_of_features():
    """Two bases of 16,384 latents took 11 GB."""
    n = 2048
    sets = sparse.csr_array(sparse.eye_array(n).astype(np.int64))
    tracemalloc.start()
    closest, likeness = features._closest(sets, sets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (closest == np.arange(n)).all() and (likeness == 1).all()
    assert peak < 2 * 8 * n**2
