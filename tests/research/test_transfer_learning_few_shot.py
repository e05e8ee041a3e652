"""Probes on a few images of each class: which images are drawn, and what is counted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.analysis.linear_probe import Recipe
from core.analysis.probe_step import train_probe
from core.errors import SettingsError, ShapeError
from core.research.transfer_learning_few_shot import FewShot, draws, few_shot_accuracy, summary_of
from core.store import open_study
from core.study.steps import STEPS, in_analysis, settings_of
from tests.command_line import QUICK

LABELS = np.repeat([0, 1, 2], [9, 6, 20])


def all_draws(shots: int, n_draws: int = 6, seed: int = 0, classes=(0, 1, 2)) -> list[np.ndarray]:
    return list(draws(LABELS, classes, shots=shots, n_draws=n_draws, seed=seed))


@pytest.mark.parametrize("shots", [1, 3, 6])
def test_draws__balanced_and_without_replacement(shots):
    for rows in all_draws(shots):
        assert len(set(rows.tolist())) == len(rows) == 3 * shots
        assert np.bincount(LABELS[rows]).tolist() == [shots] * 3


def test_draws__share_no_row_until_a_class_runs_out():
    first, second, third, fourth = (set(rows.tolist()) for rows in all_draws(3, n_draws=4))
    assert not first & second  # the smallest class has two draws of three
    large = set(np.flatnonzero(LABELS == 2).tolist())
    assert not (first | second) & third & large and not (first | second | third) & fourth & large
    assert len(third & (first | second)) >= 3  # the smallest class began again


def test_draws__are_seeded():
    once, again, other = (all_draws(3, seed=seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(once, other, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(once[:1], once[1:2], strict=True))


def clusters(rng: np.random.Generator, labels: np.ndarray, spread: float = 1.0) -> np.ndarray:
    centres = np.random.default_rng(5).normal(0, 1, (3, 8))
    return (centres[labels] + rng.normal(0, spread, (len(labels), 8))).astype(np.float32)


def test_few_shot_accuracy__matches_probes_trained_one_by_one(rng):
    val_labels = np.array([0, 1, 2, -1] * 10)
    train, val = clusters(rng, LABELS), clusters(rng, val_labels)
    few_shot = few_shot_accuracy(train, LABELS, val, val_labels, shots=3, n_draws=3, seed=4)
    expected = []
    for rows in all_draws(3, n_draws=3, seed=4):
        probe = train_probe(train[rows], LABELS[rows], 3, lr=0.1, recipe=Recipe(seed=4))
        right = 0
        for features, label in zip(val, val_labels, strict=True):
            if label >= 0:
                right += int(probe.logits(features[None]).argmax()) == label
        expected.append(right / 30)
    assert_allclose(few_shot.accuracy, expected)
    assert few_shot.n_val == 30 and few_shot.left_out == () and len(set(expected)) > 1


def test_few_shot_accuracy__separable_classes_need_one_image(rng):
    train, val = clusters(rng, LABELS, 0.01), clusters(rng, LABELS, 0.01)
    few_shot = few_shot_accuracy(train, LABELS, val, LABELS, shots=1, n_draws=2)
    assert few_shot.accuracy.tolist() == [1.0, 1.0]


def test_few_shot_accuracy__classes_with_fewer_images_are_left_out(rng):
    train, val = clusters(rng, LABELS), clusters(rng, LABELS)
    few_shot = few_shot_accuracy(train, LABELS, val, LABELS, shots=7, n_draws=2)
    assert few_shot.classes == (0, 2) and few_shot.left_out == (1,) and few_shot.n_val == 29
    about = summary_of(few_shot, ["ant", "bee", "cat"])
    assert about["left_out"] == ["bee"] and about["n_classes"] == 2
    assert about["low"] is None  # two draws are too few for an interval


def test_summary_of__t_interval_by_hand():
    accuracy = np.array([0.5, 0.6, 0.7, 0.6, 0.6])
    about: dict[str, Any] = summary_of(FewShot(5, accuracy, (0, 1), (), 10), ["a", "b"])
    half = 2.776445 * np.sqrt(0.02 / 4) / np.sqrt(5)  # Student's t with 4 degrees of freedom
    assert_allclose(
        [about["accuracy"], about["low"], about["high"]], [0.6, 0.6 - half, 0.6 + half], rtol=1e-5
    )


def test_few_shot_accuracy__errors(rng):
    train = clusters(rng, LABELS)
    with pytest.raises(SettingsError, match="--shots.*21.*0.*3.*20"):
        few_shot_accuracy(train, LABELS, train, LABELS, shots=21)
    with pytest.raises(SettingsError, match="--shots.*10.*1.*3"):
        few_shot_accuracy(train, LABELS, train, LABELS, shots=10)
    with pytest.raises(ShapeError, match="raw_train rows"):
        few_shot_accuracy(train[:3], LABELS, train, LABELS, shots=1)


def test_step__is_left_out_of_the_analysis_and_runs_when_asked(tmp_path, run, given):
    assert "few-shot" not in in_analysis() and "few-shot" in STEPS
    folder = tmp_path / "study"
    run("embed", folder, *[word for word in given if word not in QUICK])
    assert "few-shot" not in open_study(folder).missing()
    summary = json.loads(run("few-shot", folder, "--shots", "2", "--draws", "2", "--json").out)
    study = open_study(folder)
    table = study.table("few_shot")
    assert table.columns.tolist() == ["shots", "draw", "accuracy"] and len(table) == 2
    assert summary["shots"]["2"]["accuracy"] == pytest.approx(table["accuracy"].mean())
    assert study.state("few-shot") == "done"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shots": (0,)}, "--shots 0: at least one image of each class"),
        ({"shots": ()}, "--shots needs at least one number"),
        ({"lr": 0.0}, "--lr 0: expected a number above 0"),
    ],
    ids=str,
)
def test_step__one_clear_line(options, message):
    with pytest.raises(SettingsError, match=message):
        settings_of("few-shot", options)
