"""Studies made with a pooling or a token rule: what they remember, and that everything later uses it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from core.analysis.heatmaps_on_demand import encoder_of, on_demand, study_encoder
from core.cli.output import info_text
from core.compare.compare import fact_table
from core.compare.images import shared_images
from core.errors import EncoderError, SettingsError
from core.pipeline import run as pipeline
from core.pipeline.dry_run import plan
from core.publish.report_sections import _encoder as report_facts
from core.publish.summary import info
from core.research.transfer_learning_transfer import transfer_probe
from core.store import open_study
from core.study import manifest as manifests
from core.study.progress import Progress
from tests.analysis.heatmap_studies import ENCODER, HALF, HERE, VIT, heatmaps, make, make_images


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def pooled(tmp_path_factory, pictures):
    return make(tmp_path_factory.mktemp("studies") / "max", pictures, ENCODER | {"pool": "max"})


def represent(study, encoder):
    pixels = np.stack([encoder.transform.pixels(study.image(row)) for row in range(study.n_images)])
    return encoder.represent(torch.from_numpy(pixels)).numpy()


@pytest.mark.slow
def test_pooled_study__stores_pooled_vectors_and_says_so(pooled, pictures, tmp_path):
    study = open_study(pooled)
    plain = open_study(make(tmp_path / "gap", pictures))
    about, before = (one.summary("embed")["encoder"] for one in (study, plain))
    assert (about["pool"], before["pool"]) == ("max", "gap") and about["fingerprint"] != before["fingerprint"]
    encoder = study_encoder(study)
    assert encoder.pool == encoder_of(study).pool == "max"
    stored = study.array("representations")[:]
    np.testing.assert_allclose(stored, represent(study, encoder), rtol=1e-4, atol=1e-5)
    assert (stored > 1.2 * plain.array("representations")[:]).mean() > 0.5
    assert "maximum pooling" in info_text(info(study)) and "average pooling" in info_text(info(plain))
    assert ("One vector from", "maximum pooling") in report_facts(study)
    assert any("maximum pooling" in line for line in about["assumptions"])
    compared = fact_table(shared_images([plain, study]))["encoder"].tolist()
    assert compared == [plain.encoder_name, f"{plain.encoder_name}, maximum pooling"]


@pytest.mark.slow
def test_pooled_study__heatmaps_are_those_of_its_encoder(pooled):
    summary = heatmaps(pooled)
    study = open_study(pooled)
    assert summary["method"] == "closed form"
    row = int(study.vector("heatmap_rows")[0])
    np.testing.assert_allclose(study.heatmap(row), on_demand(study, row), atol=HALF)


@pytest.mark.slow
def test_pooled_study__transfer_probe_pools_too(pooled, pictures):
    table = transfer_probe([open_study(pooled)], [str(pictures)], device="cpu", progress=Progress.silent())
    assert table["n_skipped"].tolist() == [0] and table["n_train"].tolist() == [12]


@pytest.mark.slow
def test_another_pooling__makes_the_study_again_and_the_same_does_not(pooled, pictures, capsys):
    before = open_study(pooled).manifest["steps"]["embed"]
    pipeline.run_step("embed", pooled, HERE, Progress.silent())
    assert open_study(pooled).manifest["steps"]["embed"] == before
    pipeline.run_step("embed", pooled, {"pool": "gem3"} | HERE, Progress.silent())
    assert open_study(pooled).summary("embed")["encoder"]["pool"] == "gem3"
    pipeline.run_step("embed", pooled, {"pool": "max"} | HERE, Progress.silent())
    assert open_study(pooled).summary("embed")["encoder"] == before["summary"]["encoder"]


@pytest.mark.slow
def test_older_study__has_no_pooling_in_its_manifest_and_stays_current(pictures, tmp_path):
    folder = make(tmp_path / "old", pictures)
    manifest = manifests.read_manifest(folder)
    embed = manifest["steps"]["embed"]
    for name in ("pool", "tokens", "token_norm"):
        del embed["settings"][name], embed["summary"]["encoder"][name]
    manifests.write_manifest(folder, manifest)
    pipeline.run_step("embed", folder, HERE, Progress.silent())
    study = open_study(folder)
    assert "pool" not in study.summary("embed")["encoder"]  # it was not made again
    assert study.state("features") == "done" and study_encoder(study).pool == "gap"
    assert "average pooling" in info_text(info(study))


@pytest.mark.slow
def test_tokens__are_stored_with_the_norms_of_every_rule(pictures, tmp_path):
    folder = tmp_path / "mean"
    options = {"images": str(pictures), **VIT, "tokens": "mean", "token_norm": "before"}
    about = pipeline.run_step("embed", folder, options | HERE, Progress.silent())["encoder"]
    assert (about["tokens"], about["token_norm"], about["pool"]) == ("mean", "before", None)
    assert set(about["token_norms"]) == {
        f"{tokens} {norm}" for tokens in ("cls", "mean", "cls+mean") for norm in ("after", "before")
    }
    study = open_study(folder)
    norms = np.linalg.norm(study.array("representations")[:], axis=1)
    assert about["token_norms"]["mean before"] == pytest.approx(
        np.sort(norms)[(len(norms) - 1) // 2], rel=1e-4
    )
    for encoder in (study_encoder(study), encoder_of(study)):
        assert encoder.token_rule is not None and encoder.token_rule.tokens == "mean"
    assert "mean of the patch tokens before the final norm" in info_text(info(study))


WIDE = "timm:vit_small_patch14_reg4_dinov2?img_size=(56,84)&embed_dim=32&depth=2&num_heads=2"


@pytest.mark.slow
def test_study__of_an_input_that_is_not_square(pictures, tmp_path):
    """Registers, patch 14, 4 x 6 patches: heatmaps, masks, overlap and overlays in the same frame."""
    masks, ids = tmp_path / "masks", []
    folder, images = tmp_path / "wide", {"images": str(pictures), "encoder": WIDE}
    for step, options in (("embed", images), ("features", {"epsilon": 1.0})):
        pipeline.run_step(step, folder, options | HERE, Progress.silent())
    study = open_study(folder)
    for image_id in study.images["image_id"][:4]:
        path = (masks / "core" / str(image_id)).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        half = np.zeros((70, 90), np.uint8)
        half[:, :45] = 255
        Image.fromarray(half).save(path)
        ids.append(str(image_id))
    summary = heatmaps(folder, masks=str(masks))
    pipeline.run_step("overlap", folder, {"masks": str(masks)} | HERE, Progress.silent())
    study = open_study(folder)
    assert (summary["native"], summary["input_size"]) == ([4, 6], [56, 84])
    row = study.row_of(ids[0])
    heat, mask = study.heatmap(row), study.mask(row, "core")
    assert heat.shape == mask.shape == (56, 84)
    np.testing.assert_allclose(heat, on_demand(study, row), atol=HALF)
    assert mask[:, :38].min() > 0.9 and mask[:, 46:].max() < 0.1  # the left half of the picture is seen so
    found = study.table("overlap").set_index("image_id").loc[ids]
    left = (heat * (mask >= 0.5)).sum() / heat.sum()
    assert found["energy"].iloc[0] == pytest.approx(left, abs=0.05)
    assert study.overlay(row).size == study.image(row).size


@pytest.mark.slow
def test_dry_run__says_it(pictures, tmp_path):
    options = {"images": str(pictures), **ENCODER, "pool": "top4"} | HERE
    told = plan(tmp_path / "none", options, Progress.silent())
    assert told["encoder"]["pool"] == "top4" and json.dumps(told)


def test_vectors__have_nothing_to_pool(pictures, tmp_path, rng):
    vectors = tmp_path / "raw.npy"
    np.save(vectors, rng.random((18, 5), dtype=np.float32))
    given = {"images": str(pictures), "representations": str(vectors)} | HERE
    for option in ({"pool": "max"}, {"tokens": "cls"}, {"token_norm": "before"}):
        with pytest.raises(SettingsError, match="raw.npy'.*--encoder"):
            pipeline.run_step("embed", tmp_path / "given", given | option, Progress.silent())
    with pytest.raises(EncoderError, match="--pool"):
        pipeline.run_step(
            "embed",
            tmp_path / "vit",
            {"images": str(pictures), **VIT, "pool": "max"} | HERE,
            Progress.silent(),
        )
