"""`transfer-probe` against a direct computation, and against the study it comes from."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import torch
from numpy.testing import assert_allclose
from sklearn.metrics import roc_auc_score

from core.analysis.features.definitions import normalise_rows
from core.analysis.probe.step import train_probe
from core.analysis.quality.scores import q_score
from core.data.sources.images import open_images
from core.encoders.registry import load_encoder
from core.store import open_study

QUICK = ("--device", "cpu", "--workers", "0", "--lr", "0.1", "--bootstrap", "50")
OTHER = "glyphworld?train=48&val=32&size=32&seed=5"


def test_transfer_probe__on_its_own_images_is_the_study(run, begun):
    study = open_study(begun)
    said = run("transfer-probe", begun, "--images", study.settings("embed")["images"], *QUICK, "--json")
    (row,) = json.loads(said.out)["rows"]
    assert_allclose(row["top1"], study.summary("probe")["top1"])
    assert_allclose(row["q_auroc"], study.summary("quality")["q_auroc"], rtol=1e-6)
    assert row["n_train"] == 64 and row["epsilon"] == 1.5


def test_transfer_probe__is_what_one_would_compute_by_hand(run, begun, tmp_path):
    out = tmp_path / "transfer.csv"
    said = run("transfer-probe", begun, "--images", OTHER, *QUICK, "-o", out)
    assert said.code == 0 and f"{begun} on {OTHER}: top-1 " in said.out
    study, source = open_study(begun), open_images(OTHER)
    encoder = load_encoder(study.settings("embed")["encoder"])
    pixels = [encoder.transform.pixels(source.read(row)) for row in range(len(source.table))]
    raw = encoder.represent(torch.from_numpy(np.stack(pixels))).numpy()
    codes = pd.factorize(source.table["label"], sort=True)[0]
    val = (source.table["split"] == "val").to_numpy()
    probe = train_probe(raw[~val], codes[~val], codes.max() + 1, lr=0.1)
    correct = probe.logits(raw[val]).argmax(1).numpy() == codes[val]
    chosen = study.table("features")["discriminative"].to_numpy()
    q = q_score(normalise_rows(raw[val]), chosen, epsilon=1.5).numpy()
    row = pd.read_csv(out).iloc[0]
    assert_allclose(row["top1"], correct.mean())
    assert_allclose(row["q_auroc"], roc_auc_score(correct, q), rtol=1e-6)
    assert_allclose(row["mean_q_correct"], q[correct].mean(), rtol=1e-5)
    assert row["top1_low"] <= row["top1"] <= row["top1_high"]
    assert (row["n_train"], row["n_val"], row["images"], row["study"]) == (48, 32, OTHER, str(begun))


def test_transfer_probe__refuses_what_cannot_be_tried(run, begun, shared_study, tmp_path):
    assert "there is no encoder" in run("transfer-probe", shared_study, "--images", OTHER).error
    assert "Give --images DIR" in run("transfer-probe", begun).error
    assert run("transfer-probe", begun, "--images", tmp_path / "gone").error
    twice = ("--images", OTHER, "--images", OTHER, "--val", "x")
    assert "--val belongs to one image set" in run("transfer-probe", begun, *twice).error
    said = run("transfer-probe", begun, "--images", OTHER, "-o", tmp_path / "a.json")
    assert "the table is written as .csv" in said.error
