from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.concepts import blame, failures
from core.config import FailuresConfig
from core.store import open_study
from core.study.progress import Progress
from core.study.writer import StepRun, write_study


@pytest.fixture(scope="module")
def intervened(shared_study, tmp_path_factory):
    """A study with interventions on its failures in both splits."""
    folder = shutil.copytree(shared_study, tmp_path_factory.mktemp("blame") / "study")
    with write_study(folder) as writer, writer.step("failures", {}) as step:
        config = FailuresConfig(split="all")
        failures.compute_failures(open_study(folder), step, config, StepRun(Progress.silent()))
    return open_study(folder)


def removed_by_loop(study, row, k):
    """Prediction of an image whose k largest contributions to it were replaced by train means."""
    raw = study.vector("representations").astype(float)
    weights, bias = study.vector("probe_weights").astype(float), study.vector("probe_bias").astype(float)
    train = [i for i in range(study.n_images) if not study.is_val[i]]
    h = raw[row].copy()
    before = int(np.argmax([h @ weights[c] + bias[c] for c in range(len(weights))]))
    values = [h[j] * weights[before, j] for j in range(len(h))]
    order = sorted((j for j in range(len(h)) if values[j] > 0), key=lambda j: (-values[j], j))
    for j in order[:k]:
        h[j] = sum(raw[i, j] for i in train) / len(train)
    return before, int(np.argmax([h @ weights[c] + bias[c] for c in range(len(weights))]))


def test_rates__match_loop(intervened):
    table = intervened.table("interventions").set_index(["order", "removed", "images"])
    names = intervened.class_names
    probe = intervened.table("probe")
    for kind, is_right in (("misclassified", False), ("correct", True)):
        rows = np.flatnonzero(probe["correct"].astype(bool).to_numpy() == is_right)
        assert len(rows) >= 2
        for k in (1, 3, 5):
            predictions = [removed_by_loop(intervened, row, k) for row in rows]
            line = table.loc["contribution", k, kind]
            assert line["n"] == len(rows)
            assert line["flip_rate"] == pytest.approx(np.mean([a != b for a, b in predictions]))
            true = [names.index(one) for one in probe["true"].iloc[rows]]
            changed = [a != b and b == y for (a, b), y in zip(predictions, true, strict=True)]
            if kind == "misclassified":
                assert line["to_true"] == pytest.approx(np.mean(changed))
                assert line["flip_low"] <= line["flip_rate"] <= line["flip_high"]
            else:
                assert np.isnan(line["to_true"])


def test_difference__is_to_random_features_on_the_same_images(intervened):
    table = intervened.table("interventions")
    random = table[table["order"] == "random"].set_index(["removed", "images"])["flip_rate"]
    others = table[table["order"] != "random"]
    base = [random[line.removed, line.images] for line in others.itertuples()]
    assert_allclose(others["difference"], others["flip_rate"] - base, atol=1e-12)
    assert table.loc[table["order"] == "random", "difference"].isna().all()
    assert (others["difference_low"] <= others["difference"]).all()


def test_means__are_the_stored_ones_or_made(intervened, shared_study):
    assert intervened.has("feature_means")
    probe, made = blame.ProbeWithMeans.of(intervened), blame.ProbeWithMeans.of(open_study(shared_study))
    assert_allclose(probe.means, made.means)


def test_sentence__names_the_control(intervened):
    sentence = intervened.summary("failures")["interventions"]
    table = intervened.table("interventions").set_index(["order", "removed", "images"])
    for order in ("contribution", "random"):
        assert f"{100 * table.loc[order, 1, 'misclassified']['flip_rate']:.1f} %" in sentence
    assert "break" in sentence


def test_no_causes__without_planted_attributes(intervened):
    assert not intervened.has("interventions_by_cause") and not intervened.has("planted_attributes")


def test_causes__of_planted_scenes(shared_study, tmp_path, rng):
    folder = shutil.copytree(shared_study, tmp_path / "study")
    study = open_study(folder)
    raw = study.vector("representations")
    cause = np.where(np.arange(study.n_images) % 2 == 0, "background", "small")
    background = np.where(raw[:, 0] > np.median(raw[:, 0]), "sand", "sky")
    with write_study(folder) as writer, writer.step("extra", {}) as step:
        columns = {"cause": cause, "background": background, "companion": "key"}
        step.table("attributes", pd.DataFrame({"image_id": study.images["image_id"], **columns}))
    study = open_study(folder)
    every = np.arange(study.n_images)
    wrong = {"misclassified": (every, np.zeros(len(every), int))}
    probe = blame.ProbeWithMeans.of(study)
    removal = blame.intervene(study, probe, wrong, progress=Progress.silent())
    assert removal.by_cause is not None and removal.planted is not None
    table = removal.by_cause.set_index(["cause", "order"])
    hits = []
    for row in every[cause == "background"]:
        weights, bias = probe.classifier.weights, probe.classifier.bias
        values = raw[row].astype(float) * weights[np.argmax(weights @ raw[row] + bias)]
        planted = removal.planted.iloc[int(np.argmax(values))]
        hits.append(planted["column"] == "background" and planted["value"] == background[row])
    assert table.loc[("background", "contribution"), "of_cause"] == pytest.approx(np.mean(hits))
    assert table.loc[("background", "contribution"), "n"] == len(hits)
    assert np.isnan(table.loc[("small", "contribution"), "of_cause"])
    assert removal.planted["column"].iloc[0] in ("background", "label")


def test_option__leaves_interventions_out(shared_study, tmp_path):
    folder = shutil.copytree(shared_study, tmp_path / "study")
    with write_study(folder) as writer, writer.step("failures", {}) as step:
        config = FailuresConfig(split="all", interventions=False)
        failures.compute_failures(open_study(folder), step, config, StepRun(Progress.silent()))
    assert not open_study(folder).has("interventions")
