"""`transfer-probe` against a direct computation, and against the study it comes from."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.metrics import roc_auc_score

from core.analysis.definitions import normalise_rows
from core.analysis.probe_step import train_probe
from core.analysis.scores import q_score
from core.data.images import open_images
from core.encoders.registry import load_encoder
from core.store import open_study
from tests.tables import rows_where

QUICK = ("--device", "cpu", "--workers", "0", "--lr", "0.1", "--bootstrap", "50", "--corrupted", "12")
OTHER = "glyphworld?train=48&val=32&size=32&seed=5"


@pytest.mark.slow
def test_transfer_probe__on_its_own_images_is_the_study(run, begun):
    study = open_study(begun)
    outcome = run("transfer-probe", begun, "--images", study.settings("embed")["images"], *QUICK, "--json")
    (row,) = json.loads(outcome.out)["rows"]
    assert_allclose(row["top1"], study.summary("probe")["top1"])
    assert_allclose(row["q_auroc"], study.summary("quality")["q_auroc"], rtol=1e-6)
    assert row["n_train"] == 64 and row["epsilon"] == 1.5


@pytest.mark.slow
def test_transfer_probe__is_what_one_would_compute_by_hand(run, begun, tmp_path):
    out = tmp_path / "transfer.csv"
    outcome = run("transfer-probe", begun, "--images", OTHER, *QUICK, "-o", out)
    assert outcome.code == 0 and f"{begun} on {OTHER}: top-1 " in outcome.out
    study, source = open_study(begun), open_images(OTHER)
    encoder = load_encoder(study.settings("embed")["encoder"])
    pixels = [encoder.transform.pixels(source.read(row)) for row in range(len(source.table))]
    raw = encoder.represent(torch.from_numpy(np.stack(pixels))).numpy()
    codes = pd.factorize(source.table["label"], sort=True)[0]
    val = (source.table["split"] == "val").to_numpy()
    probe = train_probe(raw[~val], codes[~val], codes.max() + 1, lr=0.1)
    correct = probe.logits(raw[val]).argmax(1).numpy() == codes[val]
    discriminative = study.table("features")["discriminative"].to_numpy()
    q = q_score(normalise_rows(raw[val]), discriminative, epsilon=1.5).numpy()
    row = pd.read_csv(out).iloc[0]
    assert_allclose(row["top1"], correct.mean())
    assert_allclose(row["q_auroc"], roc_auc_score(correct, q), rtol=1e-6)
    assert_allclose(row["mean_q_correct"], q[correct].mean(), rtol=1e-5)
    assert row["top1_low"] <= row["top1"] <= row["top1_high"]
    assert (row["n_train"], row["n_val"], row["images"], row["study"]) == (48, 32, OTHER, str(begun))


def test_transfer_probe__refuses_what_cannot_be_tried(run, begun, shared_study, tmp_path):
    assert "encoder" in run("transfer-probe", shared_study, "--images", OTHER).error
    assert "--images" in run("transfer-probe", begun).error
    assert run("transfer-probe", begun, "--images", tmp_path / "gone").error
    twice = ("--images", OTHER, "--images", OTHER, "--val", "x")
    assert "--val" in run("transfer-probe", begun, *twice).error
    outcome = run("transfer-probe", begun, "--images", OTHER, "-o", tmp_path / "a.json")
    assert "written" in outcome.error


@pytest.mark.slow
def test_own_probe__is_judged_with_and_without_labels(run, begun, tmp_path):
    (row,) = json.loads(run("transfer-probe", begun, "--images", OTHER, *QUICK, "--json").out)["rows"]
    study, source = open_study(begun), open_images(OTHER)
    encoder = load_encoder(study.settings("embed")["encoder"])
    val = np.flatnonzero(source.table["split"] == "val")
    pixels = np.stack([encoder.transform.pixels(source.read(int(row_number))) for row_number in val])
    raw = encoder.represent(torch.from_numpy(pixels)).numpy().astype(float)
    logits = raw @ study.vector("probe_weights").T.astype(float) + study.vector("probe_bias")
    predicted = np.array(study.class_names)[logits.argmax(1)]
    has_class = source.table["label"].iloc[val].isin(study.class_names).to_numpy()
    assert_allclose(row["own_top1"], (predicted == source.table["label"].iloc[val])[has_class].mean())
    shares = np.exp(logits - logits.max(1, keepdims=True))
    confidence = (shares / shares.sum(1, keepdims=True)).max(1)
    judged = rows_where(study.table("probe"), study.is_val)
    wrong = int((~judged["correct"].to_numpy(bool)).sum())
    cut = np.sort(judged["confidence"].to_numpy())[wrong]
    assert_allclose(row["atc"], np.mean(confidence >= cut), atol=1 / len(val))
    assert row["estimate"] == row[row["estimate_by"]] and row["estimate_low"] <= row["estimate_high"]
    for row_number in val[:12]:
        folder = tmp_path / "flat"
        folder.mkdir(exist_ok=True)
        source.read(row_number).save(folder / f"{row_number}.png")
    outcome = run("transfer-probe", begun, "--images", tmp_path / "flat", *QUICK, "--json")
    (flat,) = json.loads(outcome.out)["rows"]
    assert flat["top1"] is None and flat["own_top1"] is None and 0 <= flat["estimate"] <= 1
    line = run("transfer-probe", begun, "--images", tmp_path / "flat", *QUICK, "--corrupted", "4").out
    assert "tells" in line and "prediction interval" not in line
    assert "labels" in line and "right" in line
