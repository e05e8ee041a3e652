"""The step `rotation`: each turn is a pass of the turned picture, and the most confident one is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from core.analysis.heatmaps_on_demand import encoder_of
from core.pictures.rotation import TURNS
from core.pipeline import run as pipeline
from core.store import open_study
from core.study.progress import Progress


@pytest.mark.slow
def test_rotation__is_the_turn_of_the_largest_probability(tmp_path, rng):
    for number in range(32):
        path = tmp_path / "images" / ("train", "train", "train", "val")[number % 4] / "ab"[number // 4 % 2]
        path.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 40)).save(path / f"{number}.png")
    folder, options = tmp_path / "study", {"workers": 0, "device": "cpu"}
    asked = {"images": str(tmp_path / "images"), "encoder": "timm:resnet10t", "input_size": 32, "resize": 32}
    pipeline.run_step("embed", folder, {**asked, **options}, Progress.silent())
    pipeline.run_step("features", folder, {}, Progress.silent())
    pipeline.run_step("probe", folder, {"epochs": 2}, Progress.silent())
    summary = pipeline.run_step("rotation", folder, {**options, "batch_size": 7}, Progress.silent())
    study = open_study(folder)
    table = study.table("rotation")
    assert list(table["image_id"]) == list(study.images["image_id"]) and summary["n_images"] == 32
    encoder = encoder_of(study)
    weights, bias = study.vector("probe_weights"), study.vector("probe_bias")
    for row in (0, 7, 31):
        picture = study.image(row)
        confidences = []
        for quarter in range(4):
            turned = np.rot90(np.asarray(picture), quarter)
            view = encoder.transform.pixels(Image.fromarray(turned))
            raw = encoder.represent(torch.from_numpy(view)[None])[0].detach().numpy()
            logits = weights @ raw + bias
            confidences.append(np.exp(logits - logits.max()).max() / np.exp(logits - logits.max()).sum())
        best = int(np.argmax(confidences))
        assert table["rotation"][row] == TURNS[best]
        assert table["rotation_gain"][row] == pytest.approx(confidences[best] - confidences[0], abs=1e-4)
    assert summary["n_turned"] == (table["rotation"] > 0).sum()
