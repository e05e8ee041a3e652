from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from core.encoders.hugging_face_files import other_weights
from core.encoders.registry import load_encoder
from core.encoders.safe_load import read_checkpoint
from core.errors import CheckpointError, EncoderError

INDEX = "model.safetensors.index.json"
SHARDS = [f"model-{number:05d}-of-00002.safetensors" for number in (1, 2)]


def sharded(folder):
    weights = [{"a": torch.ones(2), "b": torch.zeros(3)}, {"c": torch.full((4,), 2.0)}]
    for name, part in zip(SHARDS, weights, strict=True):
        save_file(part, folder / name)
    places = {key: name for name, part in zip(SHARDS, weights, strict=True) for key in part}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def test_shards_by_folder_and_by_index(tmp_path):
    for path in (sharded(tmp_path), tmp_path / INDEX):
        assert {key: len(tensor) for key, tensor in read_checkpoint(path).items()} == {"a": 2, "b": 3, "c": 4}
    with pytest.raises(CheckpointError, match="checkpoint"):
        read_checkpoint(tmp_path / SHARDS[0])


def test_a_folder_with_one_file(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "weights.safetensors")
    assert list(read_checkpoint(tmp_path)) == ["a"]
    save_file({"b": torch.ones(1)}, tmp_path / "model.safetensors")
    assert list(read_checkpoint(tmp_path)) == ["b"]


def test_missing_and_damaged_shards(tmp_path):
    sharded(tmp_path)
    save_file({"d": torch.ones(1)}, tmp_path / SHARDS[1])
    with pytest.raises(CheckpointError, match="'c'.*promises"):
        read_checkpoint(tmp_path)
    (tmp_path / SHARDS[1]).unlink()
    with pytest.raises(CheckpointError, match="1.*2.*.model-00002"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "", "..", 7, INDEX], ids=str)
def test_an_index_reaches_no_file_elsewhere(tmp_path, name):
    sharded(tmp_path)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match="checkpoint"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{", '{"weight_map": 3}', "{}"])
def test_an_index_that_is_none(tmp_path, text):
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(CheckpointError, match="checkpoint"):
        read_checkpoint(tmp_path)


@pytest.mark.slow
def test_a_folder_of_timm_says_its_architecture(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", num_classes=0).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    config = {
        "architecture": "resnet10t",
        "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.4, 0.4, 0.4]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = load_encoder(str(tmp_path))
    assert encoder.arch == "timm:resnet10t" and encoder.transform.mean == (0.5, 0.5, 0.5)
    x = torch.randn(2, 3, 64, 64)
    assert_close(encoder.model(x), model(x), rtol=1e-4, atol=1e-5)
    (tmp_path / "config.json").write_text('{"architecture": "hf-hub:someone/else", "pretrained_cfg": {}}')
    with pytest.raises(Exception, match="architecture"):
        load_encoder(str(tmp_path))


@pytest.mark.slow
def test_a_folder_of_timm_says_which_view_its_weights_were_trained_on(tmp_path):
    save_file(timm.create_model("resnet10t", num_classes=0).state_dict(), tmp_path / "model.safetensors")
    said = {"input_size": [3, 96, 96], "crop_pct": 0.75, "interpolation": "lanczos", "crop_mode": "squash"}
    pixels = {"mean": [0.5, 0.5, 0.5], "std": [0.4, 0.4, 0.4]}
    for settings in (said | pixels, {"pretrained_cfg": said | pixels}):
        (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet10t", **settings}))
        transform = load_encoder(str(tmp_path)).transform
        assert (transform.input_size, transform.resize, transform.crop) == (96, 128, "squash center")
        assert transform.interpolation == "lanczos" and transform.std == (0.4, 0.4, 0.4)
    nonsense = {"input_size": [3, "x", 0], "crop_pct": "all", "interpolation": "none", "crop_mode": 3}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet10t", **nonsense, **pixels}))
    usual = load_encoder("timm:resnet10t").transform
    assert load_encoder(str(tmp_path)).transform == replace(usual, mean=(0.5,) * 3, std=(0.4,) * 3)


@pytest.mark.slow
def test_a_grid_of_patches_that_was_asked_for_outweighs_the_view_of_a_folder(tmp_path):
    name = "vit_tiny_patch16_224"
    save_file(timm.create_model(name, num_classes=0).state_dict(), tmp_path / "model.safetensors")
    said = {"input_size": [3, 224, 224], "crop_pct": 1.0}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": name, "pretrained_cfg": said}))
    assert load_encoder(str(tmp_path)).transform.resize == 224
    small = timm.create_model(name, num_classes=0, img_size=64).state_dict()
    save_file(small, tmp_path / "model.safetensors")
    asked = load_encoder(f"timm:{name}?img_size=64@{tmp_path}").transform
    assert (asked.input_size, asked.resize) == (64, 64)


@pytest.mark.parametrize("spec", ["hf:one", "hf:../x/y", "hf:a/b/c", "hf:a/b?file=x"])
def test_repositories_are_named_plainly(spec):
    with pytest.raises(EncoderError, match="write hf:ORG/NAME"):
        load_encoder(spec)


def test_a_repository_that_is_not_here_is_not_downloaded_for_a_file(monkeypatch):
    """A name in a study is not the owner's: only what is in the hub's cache is used."""
    asked = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: asked.append(k) or "/nowhere")
    with pytest.raises(EncoderError, match="safetensors"):
        load_encoder("hf:org/name?revision=v1")
    assert [one["local_files_only"] for one in asked] == [True, True]
    assert {one["revision"] for one in asked} == {"v1"}


@pytest.mark.slow
def test_a_repository_in_the_hub_s_cache(tmp_path, monkeypatch):
    save_file(timm.create_model("resnet10t", num_classes=0).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"architecture": "resnet10t"}')
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    assert load_encoder("hf:org/name").arch == "timm:resnet10t"


def test_other_weights_in_a_folder_are_named_with_their_dates(tmp_path):
    """accelerate saves several models side by side, and a training may leave shards beside an old file."""
    for name in ("model.safetensors", "model_1.safetensors", "model.fp16.safetensors"):
        save_file({"a": torch.ones(1)}, tmp_path / name)
    for name in ("pytorch_model.bin", "optimizer.bin", "model.safetensors.index.json"):
        (tmp_path / name).write_text("{}")
    os.utime(tmp_path / "model_1.safetensors", (0, 86400 * 366))
    taken, others = other_weights(tmp_path)
    assert taken.startswith("model.safetensors (20")
    assert [one.split(" ")[0] for one in others] == ["model.safetensors.index.json", "model_1.safetensors"]
    assert "1971-01-0" in others[1]
    assert other_weights(tmp_path / "model_1.safetensors")[1] == []


def test_shards_of_a_variant(tmp_path):
    parts = [f"model.fp16-{number:05d}-of-00002.safetensors" for number in (1, 2)]
    for key, name in zip("ab", parts, strict=True):
        save_file({key: torch.ones(1)}, tmp_path / name)
    index = {"metadata": {}, "weight_map": dict(zip("ab", parts, strict=True))}
    (tmp_path / "model.safetensors.index.fp16.json").write_text(json.dumps(index))
    assert sorted(read_checkpoint(tmp_path)) == ["a", "b"]
    assert other_weights(tmp_path)[1] == []
