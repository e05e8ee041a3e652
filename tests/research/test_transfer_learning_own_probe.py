"""Which columns of a study the back tests on slices read, and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.analysis.linear_probe import Recipe
from core.analysis.probe_step import train_probe
from core.pipeline.run import run_step
from core.research import transfer_learning_own_probe as own_probe_module
from core.research.transfer_learning_back_tests import absolute_errors, best_method, halves
from core.research.transfer_learning_estimates import METHODS
from core.research.transfer_learning_own_probe import COLUMNS, OwnProbe, in_words
from core.research.transfer_learning_transfer import represented_study
from core.store import Study, open_study
from core.study.progress import Progress
from tests.sentences import numbers
from tests.synthetic import planted_representations

N_TRAIN, N_VAL = 120, 240
NO_ENCODER: Any = None  # no picture is corrupted


@pytest.fixture
def with_columns(tmp_path: Path, rng) -> Study:
    """A study of vectors whose table has columns of every kind."""
    n = N_TRAIN + N_VAL
    classes = np.arange(n) % 3
    np.save(tmp_path / "raw.npy", planted_representations(rng, classes, 24, 3) + rng.normal(0, 0.3, (n, 24)))
    table = pd.DataFrame(
        {
            "image_id": [f"i{row:04d}" for row in range(n)],
            "split": np.where(np.arange(n) < N_TRAIN, "train", "val"),
            "label": np.array(["cat", "dog", "owl"])[classes],
            "weather": rng.choice(["sun", "rain"], n),
            "night": rng.random(n) < 0.5,
            "caption": [f"picture {row}" for row in range(n)],
            "exposure": rng.choice([0.1, 0.2], n),
        }
    )
    table.to_csv(tmp_path / "images.csv", index=False)
    given = {"images": str(tmp_path / "images.csv"), "representations": str(tmp_path / "raw.npy")}
    run_step("embed", tmp_path / "study", given, Progress.silent())
    run_step("probe", tmp_path / "study", {"device": "cpu"}, Progress.silent())
    return open_study(tmp_path / "study")


def test_slices__are_of_the_label_and_of_text_and_boolean_columns(with_columns):
    own_probe = OwnProbe.of(with_columns, NO_ENCODER, n_corrupted=0)
    assert {case.name.split(":")[0] for case in own_probe.slices.cases} == {"label", "weather", "night"}
    held = np.flatnonzero(with_columns.is_val)[halves(N_VAL)[1]]
    facts = with_columns.images.merge(with_columns.table("attributes"), on="image_id").iloc[held]
    for case in own_probe.slices.cases:
        column, value = case.name.split(": ")
        assert case.inside.tolist() == (facts[column].astype(str) == value).tolist(), case.name
    assert len(own_probe.slices.cases) == 7


def test_halves__are_trained_as_the_probe_of_the_study_was(with_columns, monkeypatch):
    given = {"device": "cpu", "epochs": 3, "weight_decay": 0.01, "lr": 0.1, "seed": 5}
    run_step("probe", with_columns.path, given, Progress.silent())
    recipes = []

    def train(*rows, lr, recipe):
        recipes.append((lr, recipe))
        return train_probe(*rows, lr=lr, recipe=recipe)

    monkeypatch.setattr(own_probe_module, "train_probe", train)
    OwnProbe.of(open_study(with_columns.path), NO_ENCODER, n_corrupted=0)
    expected = Recipe(epochs=3, weight_decay=0.01, seed=5)
    assert recipes == [(0.1, expected)] * 2


def test_row__holds_the_best_methods_prediction_interval(with_columns):
    own_probe = OwnProbe.of(with_columns, NO_ENCODER, n_corrupted=0)
    images = represented_study(with_columns)
    row = own_probe.row(images, own_probe.estimated(images, resamples=0))
    errors = absolute_errors(own_probe.slices.table())
    assert tuple(row) == COLUMNS and row["estimate_by"] == best_method([errors])
    by = METHODS.index(row["estimate_by"])
    assert row["estimate"] == row[row["estimate_by"]] and row["n_slices"] == 7 and row["n_copies"] == 0
    assert row["estimate_error"] >= errors[:, by].mean() - 1e-12 and row["noise_copies"] is None
    assert row["estimate_low"] == max(row["estimate"] - row["estimate_margin"], 0)
    assert row["estimate_high"] == min(row["estimate"] + row["estimate_margin"], 1)
    names = ("estimate", "estimate_low", "estimate_high", "estimate_error", "estimate_noise")
    value, low, high, error, noise = (f"{100 * row[name]:.1f}" for name in names)
    assert numbers(in_words(row))[:6] == [value, low, high, "7", error, noise]
