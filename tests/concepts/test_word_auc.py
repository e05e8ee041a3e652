"""AUC of words against loops, on a small Glyphworld and on truths made by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from core.concepts import concepts_step
from core.concepts.concepts_step import DetectionImages, add_aucs, group_activations, word_aucs
from core.data.glyphworld import GlyphworldSource
from core.study.progress import Progress
from core.worlds.word_truth import SceneTruth, TruthTable, truth_of

DOG, SKY = SceneTruth((frozenset({"dog"}),)), SceneTruth((frozenset({"sky", "dog"}),))


def test_word_aucs__match_loops(rng):
    truth = TruthTable([DOG if q % 3 else SKY for q in range(30)])
    active = np.round(rng.random((30, 2)), 1)  # with ties
    aucs = word_aucs(["4", "7", "4"], ["sky", "sky", "dog"], active, ["4", "7"], truth)
    for at in range(2):
        present, absent = active[::3, at], np.delete(active[:, at], np.arange(0, 30, 3))
        above = [1.0 if a > b else 0.5 if a == b else 0.0 for a in present for b in absent]
        assert aucs["auc"][at] == pytest.approx(math.fsum(above) / len(above))
        assert aucs["auc_low"][at] <= aucs["auc"][at] <= aucs["auc_high"][at]
    assert aucs.loc[2].isna().all()  # a dog is everywhere


def test_group_activations__are_the_least_of_the_features():
    h = np.array([[0.1, 0.5, 0.3], [0.2, 0.1, 0.9]])
    assert group_activations(h, ["1", "0+2"]).tolist() == [[0.5, 0.1], [0.1, 0.2]]


class SmallWorld:
    """A study of Glyphworld whose feature j is 1 where background j is, else a tenth."""

    def __init__(self, n_train, n_val):
        self.source = GlyphworldSource(train=n_train, val=n_val, seed=7)
        self.images = self.source.table
        self.n_images = n_train + n_val
        self.probe = np.arange(n_train, self.n_images)
        kinds = np.array([self.source.plan(row).ground.kind for row in range(self.n_images)], object)
        self.names = sorted(set(kinds))
        self.raw = np.where(kinds[:, None] == np.array(self.names, object), 1.0, 0.1)

    def array(self, name):
        assert name == "representations"
        return self

    def rows(self, rows):
        return self.raw[rows]


def concepts_of(study, words):
    frame = pd.DataFrame(words, columns=["group", "word", "kept"])
    return frame.assign(auc=np.nan, auc_low=np.nan, auc_high=np.nan)


def test_add_aucs__on_images_that_are_no_probe_images(monkeypatch):
    monkeypatch.setattr(concepts_step, "FEWEST", 50)
    study = SmallWorld(n_train=60, n_val=50)
    grass, sky = (study.names.index(name) for name in ("grass", "sky"))
    words = [(str(grass), "grass", True), (str(grass), "sky", True), (str(sky), "submarine", False)]
    concepts = concepts_of(study, words)
    summary = add_aucs(concepts, study, study.probe, Progress.silent())  # type: ignore[arg-type]
    assert concepts.loc[0, "auc"] == 1.0 and concepts.loc[1, "auc"] < 0.5
    assert concepts.loc[2, ["auc", "auc_low", "auc_high"]].isna().all()  # no scene shows one
    assert summary["n_images"] == 60 and summary["held_out"]
    assert summary["mean"] == pytest.approx(concepts["auc"][:2].mean())
    truths = [truth_of(study.source.plan(row)).holds("sky") for row in range(60)]
    scores = study.raw[:60, grass] / np.linalg.norm(study.raw[:60], axis=1)
    pairs = [
        (scores[i], scores[j]) for i in np.flatnonzero(truths) for j in np.flatnonzero(~np.array(truths))
    ]
    expected = np.mean([1.0 if a > b + 1e-12 else 0.5 if abs(a - b) < 1e-12 else 0.0 for a, b in pairs])
    assert concepts.loc[1, "auc"] == pytest.approx(expected)


def test_detection_images__fall_back_on_the_probe_images():
    study = SmallWorld(n_train=10, n_val=60)
    images = DetectionImages.of(study, study.probe)  # type: ignore[arg-type]
    assert not images.held_out and images.rows.tolist() == study.probe.tolist()
    summary = add_aucs(concepts_of(study, []), study, study.probe, Progress.silent())  # type: ignore[arg-type]
    assert summary["n_images"] == 0 and summary["mean"] is None
