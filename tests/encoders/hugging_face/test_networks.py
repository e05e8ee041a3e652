"""Weights of Hugging Face transformers: the network that timm has for them gives what theirs gave."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from core.encoders.readout.head import Head
from core.encoders.registry import load_encoder
from core.errors import CheckpointError
from tests.encoders.hugging_face.make_references import FILE, planted, planted_input
from tests.sentences import as_record

REFERENCES: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
IN_MEMORY = ["ViT", "DINOv2 registers", "DINOv3", "CLIP", "SigLIP", "Swin", "ConvNeXt V2"]
TOLERANCE: dict[str, Any] = {
    "rtol": 1e-3,
    "atol": 3e-4,
}  # outputs are of size 1 to 3, and rounded to five places


def write(folder: Path, name: str, *, config: bool = True) -> Path:
    """A folder as `save_pretrained` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(planted(REFERENCES[name]["shapes"]), folder / "model.safetensors")
    if config:
        (folder / "config.json").write_text(json.dumps(REFERENCES[name]["config"]))
    return folder


def own_tokens(name: str) -> str | None:
    """Those of which a network gives its output, where a classifier reads others; else None."""
    return ("attnpool" if name.startswith("SigLIP") else "cls") if "classifier" in name else None


def output(encoder: Any, name: str) -> torch.Tensor:
    return encoder.model(planted_input(REFERENCES[name]["size"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
def test_the_same_representation_as_transformers(tmp_path, name):
    encoder = load_encoder(str(write(tmp_path, name)), tokens=own_tokens(name))
    family = name.split()[0]
    assert encoder.report.layout == f"{family} (Hugging Face transformers)"
    assert encoder.arch.startswith(f"{family.lower()}[")
    assert_close(output(encoder, name), torch.tensor(REFERENCES[name]["output"]), **TOLERANCE)
    assert not any(as_record(line).kind == "heads_without_config" for line in encoder.assumptions)


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_MEMORY)
def test_as_transformers_5_names_them_in_memory_and_without_config(tmp_path, name):
    shapes, renamed = REFERENCES[name]["shapes"], REFERENCES[name]["in_memory"]
    on_disk = planted(shapes)
    names = {disk: memory for memory, disk in renamed.items()}
    state = {f"module.{names.get(key, key)}": tensor for key, tensor in on_disk.items()}
    torch.save({"state_dict": state}, tmp_path / "w.ckpt")
    encoder = load_encoder(str(tmp_path / "w.ckpt"), input_size=REFERENCES[name]["size"])
    assert_close(output(encoder, name), torch.tensor(REFERENCES[name]["output"]), **TOLERANCE)
    if name in ("ViT", "CLIP"):
        notes = [as_record(line) for line in encoder.assumptions]
        assert ("heads_without_config", 2) in [(note.kind, note.n) for note in notes]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "prefix"), [("ViT", "vit."), ("Swin", "swin."), ("ConvNeXt V2", "convnextv2.")]
)
def test_the_classifier_of_a_transformers_checkpoint_is_its_head(tmp_path, name, prefix):
    state = {f"{prefix}{key}": tensor for key, tensor in planted(REFERENCES[name]["shapes"]).items()}
    encoder = load_encoder(str(write(tmp_path / "plain", name)))
    torch.manual_seed(0)
    weight, bias = torch.randn(3, encoder.n_features), torch.randn(3)
    save_file(state | {"classifier.weight": weight, "classifier.bias": bias}, tmp_path / "model.safetensors")
    config = REFERENCES[name]["config"] | {"id2label": {"0": "tench", "2": "elk", "1": "cat, puss"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = load_encoder(str(tmp_path))
    head = encoder.find_head()
    assert isinstance(head, Head) and head.names == [["tench"], ["cat, puss"], ["elk"]] and not head.assumed
    x = planted_input(REFERENCES[name]["size"])
    with head.reading(encoder.base) as logits:
        raw = encoder.model(x)
        assert_close(
            logits(), torch.tensor(REFERENCES[name]["output"]) @ weight.T + bias, rtol=1e-2, atol=1e-2
        )
    assert head.linear is not None
    assert_close(raw @ head.linear[0].T + head.linear[1], logits(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in REFERENCES if "classifier" in name])
def test_a_classifier_reads_the_tokens_that_it_reads_in_transformers(tmp_path, name):
    folder, expected = write(tmp_path, name), torch.tensor(REFERENCES[name]["logits"])
    encoder = load_encoder(str(folder), tokens=own_tokens(name))
    head, x = encoder.find_head(), planted_input(REFERENCES[name]["size"])
    assert isinstance(head, Head) and head.linear is None
    with head.reading(encoder.base) as logits:
        encoder.model(x)
        assert_close(logits(), expected, rtol=1e-3, atol=1e-3)
    for layer in (None, "head-input"):  # by itself: the classifier reads other tokens than the network gives
        deeper = load_encoder(str(folder), layer=layer)
        head = deeper.find_head()
        assert isinstance(head, Head) and head.linear is not None
        assert_close(deeper.model(x) @ head.linear[0].T + head.linear[1], expected, rtol=1e-3, atol=1e-3)
        assert not head.independent
    several = REFERENCES[name]["config"] | {"problem_type": "multi_label_classification"}
    (folder / "config.json").write_text(json.dumps(several))
    head = load_encoder(str(folder)).find_head()
    assert isinstance(head, Head) and head.independent
    (folder / "config.json").write_text(
        json.dumps(REFERENCES[name]["config"] | {"architectures": ["MyClassifier"]})
    )
    assert load_encoder(str(folder)).find_head() == "what the classifier of MyClassifier reads is not known"


def test_images_are_prepared_as_the_preprocessor_says(tmp_path):
    folder = write(tmp_path, "ConvNeXt V2")
    assert load_encoder(str(folder)).transform.mean[0] == 0.485
    said = {
        "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "resample": 2, "do_center_crop": True,
        "size": {"shortest_edge": 300}, "crop_size": {"height": 224, "width": 224},
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    encoder = load_encoder(str(folder))
    transform = encoder.transform
    assert "transform from preprocessor_config.json" in encoder.assumptions
    assert not any(as_record(line).kind.startswith("pixels") for line in encoder.assumptions)
    assert (transform.mean, transform.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert (transform.resize, transform.input_size, transform.interpolation) == (300, 224, "bilinear")


@pytest.mark.parametrize(
    ("said", "view"),
    [
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.9}, (384, None, "squash")),
        ({"size": {"shortest_edge": 288}, "crop_pct": 0.9}, (288, 320, "center")),
        ({"size": {"shortest_edge": 224}}, (224, 256, "center")),
        ({"size": 192, "crop_pct": 0.75}, (192, 256, "center")),  # of old versions
        ({"size": {"shortest_edge": "x"}, "crop_pct": 0.5}, (224, 256, "center")),
        ({"size": {"shortest_edge": 224}, "crop_pct": 1e-320}, (224, 256, "center")),
        ({"size": {"shortest_edge": 384}, "resample": [3]}, (224, 256, "center")),  # damaged: as none
    ],
)
def test_a_convnext_sees_pictures_as_its_own_processor_shows_them(tmp_path, said, view):
    folder = write(tmp_path, "ConvNeXt V2")
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    transform = load_encoder(str(folder)).transform
    assert (transform.input_size, transform.resize, transform.crop) == view


def test_a_clip_resizes_pictures_to_its_input(tmp_path):
    """Without a preprocessor beside it, and with one of an old version as OpenAI's repositories have it."""
    folder = write(tmp_path, "CLIP")
    usual = load_encoder(str(folder)).transform
    side = usual.input_size
    assert (usual.resize or side, usual.crop, usual.interpolation) == (side, "center", "bicubic")
    said = {"size": side, "crop_size": side, "do_center_crop": True, "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    assert load_encoder(str(folder)).transform == replace(usual, resize=side)
    (folder / "preprocessor_config.json").write_text(json.dumps(said | {"size": 2 * side}))
    assert load_encoder(str(folder)).transform == replace(usual, resize=2 * side)


def test_a_swin_sees_whole_pictures_where_its_processor_shows_them(tmp_path):
    folder = write(tmp_path, "Swin")
    usual = load_encoder(str(folder)).transform
    assert usual.crop == "center" and usual.resize
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_resize": True, "size": 224}))
    assert load_encoder(str(folder)).transform == replace(usual, resize=None, crop="squash")


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"num_attention_heads": "x", "layer_norm_eps": {}, "hidden_act": ["a"]}',
             '{"num_attention_heads": 7, "image_size": 1e9, "layer_norm_eps": -1, "hidden_act": "os.system"}']
)  # fmt: skip
def test_a_config_is_data_and_a_damaged_one_is_as_none(tmp_path, text):
    folder = write(tmp_path, "ViT", config=False)
    (folder / "config.json").write_text(text)
    (folder / "preprocessor_config.json").write_text('{"image_mean": ["x"], "size": 3, "resample": "os"}')
    encoder = load_encoder(str(folder))
    assert_close(output(encoder, "ViT"), torch.tensor(REFERENCES["ViT"]["output"]), **TOLERANCE)


def test_weights_of_a_damaged_network(tmp_path):
    state = planted(REFERENCES["Swin"]["shapes"])
    table = "swin.encoder.layers.1.blocks.0.attention.self.relative_position_bias_table"
    torch.save({key: tensor for key, tensor in state.items() if key != table}, tmp_path / "w.bin")
    with pytest.raises(CheckpointError, match="transformers"):
        load_encoder(str(tmp_path / "w.bin"))


def test_a_timm_name_takes_weights_of_transformers(tmp_path):
    folder = write(tmp_path, "ViT", config=False)
    spec = "timm:vit_tiny_patch16_224?img_size=32&patch_size=8&embed_dim=128&depth=2&num_heads=2&mlp_ratio=2"
    encoder = load_encoder(f"{spec}@{folder / 'model.safetensors'}")
    assert_close(output(encoder, "ViT"), torch.tensor(REFERENCES["ViT"]["output"]), rtol=1e-2, atol=1e-2)
