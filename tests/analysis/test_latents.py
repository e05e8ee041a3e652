"""Heatmaps of latents: against a loop over positions, stored and on request."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from core.analysis.gradcam import direction_maps, gradcam_maps
from core.analysis.heatmaps_on_demand import on_demand, study_encoder
from core.bases.requests import add_basis
from core.cli import main
from core.concepts.crop_store import CropStore
from core.concepts.crops import Cropper, box_on_image
from core.config import BasisConfig
from core.errors import HeatmapNotStored
from core.pipeline import run as pipeline
from core.store import open_study
from core.study.heatmaps import combine
from core.study.overlay_image import feature_crop
from core.study.progress import Progress

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def in_basis(finished: Path, tmp_path: Path) -> Path:
    """A study with a dictionary and its heatmaps."""
    folder = Path(shutil.copytree(finished, tmp_path / "study"))
    config = BasisConfig(kind="topk", size=24, k=4, steps=60, seeds=1)
    add_basis(folder, "sae", config, Progress.silent(), device="cpu")
    for step in ("features", "heatmaps"):
        pipeline.run_step(step, folder / "bases" / "sae", {}, Progress.silent())
    return folder


def test_map_of_a_latent_has_the_mean_of_its_pre_activation(in_basis):
    study, whole = open_study(in_basis).in_basis("sae"), open_study(in_basis)
    encoder = study_encoder(study)
    pixels = torch.from_numpy(encoder.transform.pixels(study.image(int(study.heatmap_reader.rows[0]))))[None]
    latents = np.arange(24)
    with torch.inference_mode():
        maps = gradcam_maps(encoder, pixels, latents)[0].numpy()
        raw, positions = encoder.represent_with_map(pixels)
    part = {name: whole.vector(f"basis_sae_{name}") for name in ("encoder", "bias", "pre_bias")}
    for latent in latents:
        loop = np.zeros(positions.shape[2:])
        for y, x in np.ndindex(loop.shape):
            at = positions[0, :, y, x].numpy()
            loop[y, x] = part["encoder"][latent] @ (at - part["pre_bias"]) + part["bias"][latent]
        before = part["encoder"][latent] @ (raw[0].numpy() - part["pre_bias"]) + part["bias"][latent]
        assert loop.mean() == pytest.approx(before, abs=1e-3 * max(1.0, float(np.abs(loop).max())))
        np.testing.assert_allclose(maps[latent], np.maximum(loop, 0) / loop.size, rtol=1e-3, atol=1e-4)

    weights = np.zeros((1, 24), np.float32)
    weights[0, [3, 5]] = 1, 2
    with torch.inference_mode():
        summed = direction_maps(encoder, pixels, weights)[0, 0].numpy()
        both = [encoder.of_latents(torch.tensor([[latent]])) for latent in (3, 5)]
    at = positions[0].flatten(1).numpy()
    one, two = (rows[0, 0].numpy() @ at + float(constant) for rows, constant in both)
    np.testing.assert_allclose(summed.ravel(), np.maximum(one + 2 * two, 0) / one.size, rtol=1e-3, atol=1e-4)


def test_maps_are_stored_and_asked_for_like_those_of_features(in_basis, capsys):
    study = open_study(in_basis).in_basis("sae")
    reader = study.heatmap_reader
    row = int(reader.rows[0])
    missing = next(latent for latent in range(24) if latent not in reader.features_of(row))
    image = study.images["image_id"].iat[row]
    assert main(["heatmaps", str(in_basis), "--image", image, "--feature", f"sae/{missing}", "--json"]) == 0
    assert '"n_maps": 1' in capsys.readouterr().out
    assert study.heatmap(row, [missing]).shape == study.heatmap(row).shape
    assert open_study(in_basis).heatmap_reader.features_of(row).max() >= 0  # the units' own maps stay


def test_a_sum_of_latents_is_computed_from_the_image(in_basis, tmp_path):
    """Pre-activations are negative at some positions: the sum of what is above 0 is another map."""
    study = open_study(in_basis).in_basis("sae")
    encoder, reader, unlike, n_apart = study_encoder(study), study.heatmap_reader, 0.0, 0
    row = next(row for row in reader.rows.tolist() if len(reader.features_of(row)) > 1)
    with pytest.raises(HeatmapNotStored, match="features"):
        study.heatmap(row, reader.features_of(row)[:2].tolist(), "sum")
    pixels = torch.from_numpy(encoder.transform.pixels(study.image(row)))
    maps = gradcam_maps(encoder, pixels[None], np.arange(24))[0].numpy()
    cropper = Cropper(study, CropStore(tmp_path), lambda: encoder, None, 0.6)
    size, side, ones = study.image(row).size, encoder.transform.sides[0], np.ones(2)
    for pair in itertools.combinations(np.flatnonzero(maps.any((1, 2)))[:9].tolist(), 2):
        exact = on_demand(study, row, pair, "sum", encoder=encoder)
        unlike = max(unlike, float(np.abs(combine(maps[[*pair]], ones, "sum", side) - exact).max()))
        if feature_crop(combine(maps[[*pair]], ones, "min", side), 0.6) is None:
            region, frame = feature_crop(exact, 0.6) or (0, 0, side, side), study.transform.box(*size)
            box = box_on_image(region, frame, side, *size)
            assert cropper._box(maps[[*pair]], size, pixels, pair)[0] == box
            n_apart += 1
    assert unlike > 0.05 and n_apart


def test_an_encoder_in_a_basis_represents_images_by_their_codes(in_basis):
    study = open_study(in_basis).in_basis("sae")
    encoder, rows = study_encoder(study), [0, 5, 9]
    pixels = torch.from_numpy(np.stack([encoder.transform.pixels(study.image(row)) for row in rows]))
    with torch.inference_mode():
        codes = encoder.represent(pixels).numpy()
    np.testing.assert_allclose(codes, study.array("representations")[rows], rtol=0.02, atol=0.02)
