"""The linear probe: folding, subsets, learning rate, memory-bounded batches, and the step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from core.analysis import linear_probe
from core.analysis.linear_probe import Recipe, ShuffledRows, Standard, accuracy_and_loss, fit
from core.analysis.probe_step import train_probe
from core.analysis.trust_check import read_check
from core.common.moments import Moments
from core.config import ProbeConfig
from core.errors import SettingsError, ShapeError
from core.store import open_study
from tests import reference

QUICK = Recipe(epochs=20, batch_size=16)
SINGLE = 1e-4  # float32 training, float64 use


def planted(rng: np.random.Generator, n: int = 120, r: int = 10, n_classes: int = 3):
    labels = rng.integers(0, n_classes, n)
    raw = rng.gamma(0.5, size=(n, r))
    raw[np.arange(n), labels] += 2.0
    return (5.0 * raw + 3.0).astype(np.float32), labels


def rows_of(raw: np.ndarray, labels: np.ndarray, **options) -> ShuffledRows:
    standard = Standard.of(Moments.of_rows(raw))
    load = lambda positions: torch.from_numpy(raw[positions])  # noqa: E731
    return ShuffledRows(load, torch.from_numpy(labels), raw.shape[1], standard, **options)


def slow_fit(raw: np.ndarray, labels: np.ndarray, n_classes: int, lr: float, recipe: Recipe):
    """One probe in float64 loops over batches, written from docs/method.md 3."""
    std = raw.astype(float).std(0)
    x = np.where(std > 0, (raw - raw.astype(float).mean(0)) / np.where(std > 0, std, 1), 0)
    weights, bias = np.zeros((n_classes, raw.shape[1])), np.zeros(n_classes)
    speed_w, speed_b = np.zeros_like(weights), np.zeros_like(bias)
    rng, seen = np.random.default_rng(recipe.seed), 0
    for _ in range(recipe.epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), recipe.batch_size):
            batch = order[start : start + recipe.batch_size]
            logits = reference.logits(x[batch], weights, bias)
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            p[np.arange(len(batch)), labels[batch]] -= 1
            speed_w = recipe.momentum * speed_w + p.T @ x[batch] / len(batch)
            speed_b = recipe.momentum * speed_b + p.mean(0)
            rate = lr * 0.5 * (1 + np.cos(np.pi * seen / (recipe.epochs * len(x))))
            weights, bias = weights - rate * speed_w, bias - rate * speed_b
            seen += len(batch)
    return weights, bias


def test_fit__matches_slow_twin(rng):
    raw, labels = planted(rng, 50, 6)
    raw[:, 2] = 7.0
    recipe = Recipe(epochs=3, batch_size=16)
    fitted = fit(rows_of(raw, labels), np.arange(50), 3, lrs=[0.1], recipe=recipe)
    weights, bias = slow_fit(raw, labels, 3, 0.1, recipe)
    assert_allclose(fitted.weights[0], weights, atol=SINGLE)
    assert_allclose(fitted.bias[0], bias, atol=SINGLE)
    assert_array_equal(fitted.weights[0][:, 2], np.zeros(3))


def test_fit__together_is_each_alone(rng):
    raw, labels = planted(rng)
    rows, everything = rows_of(raw, labels), np.arange(len(raw))
    masks = torch.from_numpy(rng.random((3, 10)) < 0.5)
    rates = [0.3, 0.03, 0.1]
    both = fit(rows, everything, 3, lrs=rates, recipe=QUICK, masks=masks)
    for k, rate in enumerate(rates):
        alone = fit(rows, everything, 3, lrs=[rate], recipe=QUICK, masks=masks[k : k + 1])
        assert_allclose(both.weights[k], alone.weights[0], atol=SINGLE)
    assert not bool(both.weights.abs().sum(1)[~masks].any())


def test_fit__masked_is_trained_on_the_subset(rng):
    raw, labels = planted(rng)
    mask = np.arange(10) < 6
    masked = fit(
        rows_of(raw, labels), np.arange(120), 3, lrs=[0.1], recipe=QUICK, masks=torch.from_numpy(mask[None])
    )
    subset = fit(rows_of(raw[:, mask], labels), np.arange(120), 3, lrs=[0.1], recipe=QUICK)
    assert_allclose(masked.weights[0].numpy()[:, mask], subset.weights[0], atol=SINGLE)


def test_train_probe__close_to_scikit_learn(rng):
    labels = rng.integers(0, 3, 300)
    raw = rng.normal(size=(300, 5)) + 0.7 * np.eye(5)[labels]  # overlapping: the optimum is finite
    probe = train_probe(raw, labels, 3, lr=0.1, recipe=Recipe(epochs=1000, batch_size=300))
    scaler = StandardScaler().fit(raw)
    exact = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-8).fit(scaler.transform(raw), labels)
    expected = exact.predict_log_proba(scaler.transform(raw))
    assert_allclose(torch.log_softmax(probe.logits(raw), 1), expected, atol=1e-3)


def test_train_probe__folded_weights_use_raw_rows(rng):
    raw, labels = planted(rng)
    raw[:, 4] = 2.5
    probe = train_probe(raw, labels, 3, lr=0.1, recipe=QUICK)
    logits = reference.logits(raw[:5].astype(float), probe.weights.numpy(), probe.bias.numpy())
    assert_allclose(probe.logits(raw[:5]), logits, rtol=1e-9)
    assert_array_equal(probe.weights[:, 4], np.zeros(3))
    rows = rows_of(raw, labels)
    fitted = fit(rows, np.arange(120), 3, lrs=[0.1], recipe=QUICK)
    standardised = next(rows.take(np.arange(5)))[0]
    assert_allclose(fitted.logits(standardised)[:, 0], logits, atol=SINGLE)


def test_train_probe__ignores_the_scale_of_columns(rng):
    raw, labels = planted(rng)
    scale = 2.0 ** rng.integers(-8, 8, 10).astype(np.float32)
    first = train_probe(raw, labels, 3, lr=0.1, recipe=QUICK).logits(raw)
    assert_allclose(
        train_probe(raw * scale, labels, 3, lr=0.1, recipe=QUICK).logits(raw * scale), first, atol=SINGLE
    )


def test_train_probe__searches_the_rate_and_is_seeded(rng):
    raw, labels = planted(rng)
    probe = train_probe(raw, labels, 3, candidates=(1e-6, 0.1), recipe=QUICK)
    again = train_probe(raw, labels, 3, candidates=(1e-6, 0.1), recipe=QUICK)
    assert set(probe.searched) == {1e-6, 0.1} and probe.lr == 0.1
    assert_array_equal(probe.weights, again.weights)


def test_train_probe__checks_its_inputs(rng):
    raw, labels = planted(rng)
    with pytest.raises(ShapeError, match="120.*119"):
        train_probe(raw, labels[1:], 3)
    with pytest.raises(SettingsError, match="--lr -1"):
        train_probe(raw, labels, 3, lr=-1.0)


@pytest.mark.parametrize("memory", [16, 1 << 20], ids=["bounded", "whole"])
def test_rows__an_epoch_meets_each_row_once_and_mixes_a_sorted_listing(rng, monkeypatch, memory):
    monkeypatch.setattr(linear_probe, "RUN_ROWS", 4)
    raw = np.arange(200, dtype=np.float32)[:, None]
    labels = np.repeat([0, 1], 100)
    rows = rows_of(raw, labels, memory_entries=memory)
    used = np.setdiff1d(np.arange(200), np.arange(0, 200, 7))
    seen, pure = [], 0
    for x, y in rows.batches(used, 16, np.random.default_rng(0)):
        values = np.rint(x[:, 0].numpy() * raw.std() + raw.mean()).astype(int)
        assert_array_equal(labels[values], y)
        seen.extend(values)
        pure += len(set(y.tolist())) == 1 and len(y) > 8
    assert_array_equal(np.sort(seen), used)
    assert pure <= 2
    taken = np.concatenate([y.numpy() for _, y in rows.take(used)])
    assert_array_equal(taken, labels[used])


def test_bounded_memory__learns_as_well(rng, monkeypatch):
    monkeypatch.setattr(linear_probe, "RUN_ROWS", 4)
    raw, labels = planted(rng, 400)
    order = np.argsort(labels, kind="stable")
    raw, labels = raw[order], labels[order]
    rows = rows_of(raw, labels, memory_entries=320)
    fitted = fit(rows, np.arange(400), 3, lrs=[0.1], recipe=QUICK)
    accuracy, _ = accuracy_and_loss(fitted, rows, np.arange(400))
    whole = fit(rows_of(raw, labels), np.arange(400), 3, lrs=[0.1], recipe=QUICK)
    expected, _ = accuracy_and_loss(whole, rows, np.arange(400))
    assert abs(accuracy[0] - expected[0]) < 0.03


def test_compute_probe__verdicts_follow_from_the_stored_weights(shared_study):
    study = open_study(shared_study)
    table, raw = study.table("probe"), study.array("representations")[:].astype(float)
    logits = raw @ study.vector("probe_weights").astype(float).T + study.vector("probe_bias")
    names = np.array(study.class_names)
    assert_allclose(study.array("val_logits")[:], logits[study.is_val], rtol=1e-4, atol=1e-4)
    assert_array_equal(table["predicted"], names[logits.argmax(1)])
    assert_array_equal(table["correct"], table["predicted"] == study.images["label"])
    top5 = [label in names[np.argsort(-row)[:5]] for label, row in zip(table["true"], logits, strict=True)]
    assert_array_equal(table["top5_correct"], top5)
    summary = study.summary("probe")
    assert_allclose(summary["top1"], table.loc[study.is_val, "correct"].mean())
    assert summary["penalty"] > 0 and summary["n_classes"] == 4


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"labels": False}, "the images have no labels"),
        ({"n_classes": 1}, "one class only: every labelled"),
        (
            {"n_val": 0, "n_features": 96, "n_classes": 40, "class_names": tuple(f"c{n}" for n in range(40))},
            "there are no evaluation images, and train has one image of each class",
        ),
        (
            {"n_val": 7},
            "too few images to evaluate a probe: 7 of 7 evaluation images with a class that train",
        ),
        (
            {"n_classes": 45, "n_features": 96, "class_names": tuple(f"c{n}" for n in range(45))},
            "too few images to evaluate a probe: 5 of 10 evaluation images",
        ),
    ],
    ids=["no labels", "one class", "one image a class", "few images", "classes that train lacks"],
)
def test_compute_probe__says_why_there_is_none(study_path, options, reason):
    options = {"n_train": 40, "n_val": 10, "n_features": 32, **options}
    study = open_study(study_path(pictures=False, **options))
    assert reason in study.summary("probe")["skipped"] and not study.has("probe")
    metrics = study.table("quality_metrics")
    assert metrics["auroc"].isna().all() and metrics["note"].str.contains(reason).all()
    quality = study.table("quality")
    assert quality["q_score"].notna().all() and quality["confidence"].isna().all()
    trust = read_check(study)
    assert trust is not None and trust.word == "" and reason in trust.sentence.why


def overlapping(rng: np.random.Generator, n: int = 300):
    labels = rng.integers(0, 3, n)
    return (rng.normal(size=(n, 5)) + 0.7 * np.eye(5)[labels]).astype(np.float32), labels


@pytest.mark.parametrize("memory", [64, 1 << 20], ids=["bounded", "whole"])
@pytest.mark.parametrize("penalty", [0.1, 1e-4])
def test_fit_optimum__is_scikit_learn_on_used_rows_and_allowed_features(rng, monkeypatch, memory, penalty):
    monkeypatch.setattr(linear_probe, "PART_ROWS", 100)
    raw, labels = overlapping(rng)
    used, mask = np.arange(20, 300), np.array([True, True, False, True, True])
    rows = rows_of(raw, labels, memory_entries=memory)
    recipe = Recipe(penalty=penalty)
    fitted = fit(rows, used, 3, lrs=[0.0], recipe=recipe, masks=torch.from_numpy(mask[None]))
    x = StandardScaler().fit_transform(raw.astype(float))[used][:, mask]
    exact = LogisticRegression(C=1 / (penalty * len(used)), max_iter=1000, tol=1e-8).fit(x, labels[used])
    expected = exact.predict_log_proba(x)
    standardised = next(rows.take(used[:50]))[0]
    assert_allclose(torch.log_softmax(fitted.logits(standardised)[:, 0], 1), expected[:50], atol=5e-3)
    assert not fitted.weights[0][:, ~mask].any()


def test_train_probe__of_the_best_penalty(rng):
    raw, labels = overlapping(rng)
    candidates = (1e4, 1e-4, 0.03, 1e-5, 1.0)
    probe = train_probe(raw, labels, 3, strengths=candidates)
    again = train_probe(raw, labels, 3, strengths=candidates)
    assert_array_equal(probe.weights, again.weights)
    assert_allclose(list(probe.searched)[:2], [1 / (1e-5 * 300), 1 / (1e-4 * 300)])
    assert probe.lr is None and probe.penalty is not None
    assert probe.losses[probe.penalty] == min(probe.losses.values()) < next(iter(probe.losses.values()))
    assert probe.losses.keys() == probe.searched.keys()
    alone = train_probe(raw, labels, 3, recipe=Recipe(penalty=probe.penalty))
    # Both end where no entry of the gradient is above 1e-4: the loss is there the least one to second order,
    # while the logits still move along what is nearly flat, on each processor otherwise.
    losses = [log_loss(labels, softmax(np.asarray(one.logits(raw), float), 1)) for one in (probe, alone)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert_allclose(probe.logits(raw), alone.logits(raw), atol=0.1)
    assert alone.penalty == probe.penalty and not alone.searched


def test_train_probe__tries_no_penalty_after_two_in_a_row_that_are_no_better(rng):
    raw = rng.normal(size=(200, 60)).astype(np.float32)
    labels = (raw[:, 0] + 2 * rng.normal(size=200) > 0).astype(int)
    probe = train_probe(raw, labels, 2, strengths=tuple(10.0 ** np.arange(-5, 9)))
    assert probe.penalty is not None
    assert list(probe.searched).index(probe.penalty) == len(probe.searched) - 3 < 11


def test_compute_probe__to_its_optimum(study_path, run):
    path = study_path(n_train=300, n_val=60, n_features=24, pictures=False)
    assert run("probe", path, "--solver", "lbfgs", "--device", "cpu").code == 0
    summary = open_study(path).summary("probe")
    strengths = 1 / (np.array(ProbeConfig.strengths) * 300)
    assert np.isclose(summary["penalty"], strengths).any() and "lr" not in summary
    losses = {float(one): loss for one, loss in summary["penalty_loss"].items()}
    assert min(losses, key=lambda one: losses[one]) == pytest.approx(summary["penalty"], rel=1e-5)
    assert summary["penalty_accuracy"].keys() == summary["penalty_loss"].keys() and summary["top1"] > 0.5
    assert "date" in run("probe", path, "--device", "cpu").err
    assert run("quality", path, "--calibrate", 40, "--device", "cpu").code == 0
    assert open_study(path).has("quality_calibration")
    refused = run("probe", path, "--lr", "0.1", "--device", "cpu")
    assert refused.code != 0 and all(part in refused.err for part in ("--lr", "--solver"))
    assert run("probe", path, "--solver", "sgd", "--lr", "0.1", "--device", "cpu").code == 0
    assert open_study(path).summary("probe")["lr"] == 0.1
