"""Image towers of open_clip, with random weights: nothing is downloaded."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from core.encoders.clip_towers import activations_differ, agreed_pixels, silent_logs, tower_transform
from core.encoders.layouts import recognise
from core.encoders.registry import load_encoder
from core.errors import CheckpointError, CodeRefused, EncoderError
from tests.encoders.planted import under

SPEC = "open_clip:Tower-32?force_image_size=64"
TEXT = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
TOWERS = {  # as ViT-S-32 and ViT-B-16-SigLIP-256 are described, but small
    "Tower-32": {
        "embed_dim": 48,
        "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "patch_size": 32},
        "text_cfg": TEXT,
    },
    "Tower-16-map": {
        "embed_dim": 96,
        "custom_text": True,
        "vision_cfg": {
            **{"image_size": 160, "timm_model_name": "test_vit3", "timm_model_pretrained": False},
            **{"timm_pool": "map", "timm_proj": "none"},
        },
        "text_cfg": TEXT,
    },
}


@pytest.fixture(scope="module", autouse=True)
def towers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Open_clip knows the small ones while these tests run."""
    folder = tmp_path_factory.mktemp("towers")
    factory = importlib.import_module("open_clip.factory")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factory, "_MODEL_CONFIGS", dict(factory._MODEL_CONFIGS))
        patch.setattr(factory, "_MODEL_CONFIG_PATHS", list(factory._MODEL_CONFIG_PATHS))
        for name, config in TOWERS.items():
            (folder / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(folder)
        yield


@pytest.fixture(scope="module")
def clip() -> Any:
    torch.manual_seed(3)
    with silent_logs():
        return open_clip.create_model("Tower-32", force_image_size=64).eval()


def test_a_tower_reads_a_picture_as_open_clip_does(clip, tmp_path):
    torch.save({"state_dict": {f"module.{k}": v for k, v in clip.state_dict().items()}}, tmp_path / "clip.pt")
    encoder = load_encoder(f"{SPEC}@{tmp_path / 'clip.pt'}")
    assert encoder.report.prefix == "module.visual." and encoder.n_features == 48
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8))
    config = PreprocessCfg(**clip.visual.preprocess_cfg)
    preprocess: Any = image_transform_v2(config, is_train=False)
    with torch.no_grad():
        expected = clip.encode_image(preprocess(picture)[None])
    pixels = torch.from_numpy(encoder.transform.pixels(picture)[None])
    torch.testing.assert_close(encoder.represent(pixels), expected, rtol=1e-3, atol=1e-3)


def test_random_weights_are_said_to_be_random():
    encoder = load_encoder(SPEC, tokens="cls")
    assert encoder.assumptions[0].startswith(f"RANDOM WEIGHTS: {SPEC} has not been trained")
    assert any("add pretrained=TAG" in note for note in encoder.assumptions)
    assert torch.equal(encoder.base.get_parameter("proj"), load_encoder(SPEC).base.get_parameter("proj"))


def test_squashed_images_and_other_means():
    encoder = load_encoder("open_clip:Tower-16-map?force_image_size=32")
    assert encoder.transform.crop in ("center", "squash") and encoder.transform.input_size == 32
    assert encoder.token_rule is not None and encoder.token_rule.tokens == "attnpool"


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("open_clip:ViT-S-33", EncoderError, "open_clip has no model 'ViT-S-33'. Did you mean 'ViT-S-32'"),
        ("open_clip:ViT-B-32?pretrained=opemai", EncoderError, "has no weights 'opemai'; it has openai,"),
        ("open_clip:ViT-S-32?pretrained=any", EncoderError, "has no weights 'any'; it has none, give @PATH"),
        ("open_clip:ViT-S-32?layers=3", EncoderError, "'layers' is not a setting of open_clip:ViT-S-32"),
        ("open_clip:ViT-S-32?cache_dir=x", CodeRefused, "'cache_dir' of ViT-S-32 may name a file"),
        ("open_clip:hf-hub:someone/model", CodeRefused, "is not a plain architecture name"),
        ("open_clip:ViT-S-32@missing.pt", CheckpointError, "missing.pt"),
    ],
)
def test_one_clear_line(spec, error, message):
    with pytest.raises(error) as caught:
        load_encoder(spec)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_under_a_model_s_name_has_the_pixels_on_which_all_its_weights_agree():
    agreed = agreed_pixels("ViT-B-16-SigLIP")
    assert agreed["mean"] == (0.5, 0.5, 0.5) and agreed["resize_mode"] == "squash"
    assert agreed_pixels("MobileCLIP-S1")["mean"] == (0.0, 0.0, 0.0)
    assert agreed_pixels("ViT-S-32") == {}  # open_clip has no weights of it
    assert activations_differ("ViT-B-32") and not activations_differ("MobileCLIP-S1")
    tower: Any = torch.nn.Identity()
    tower.preprocess_cfg = {"size": 224, "mean": (0.1,) * 3, "std": (0.2,) * 3}
    transform, _ = tower_transform(tower, agreed)
    assert (transform.mean, transform.crop) == ((0.5, 0.5, 0.5), "squash")


def test_a_tower_that_holds_a_network_of_timm_is_found_as_a_whole():
    trunk = under("trunk.", dict(timm.create_model("test_vit", num_classes=0).state_dict()))
    tower = trunk | {"head.proj.weight": torch.ones(4, 64)}
    layout = recognise(under("visual.", tower) | under("text.", trunk), expected=tower.keys())
    assert layout.prefix == "visual." and layout.state.keys() == tower.keys()


TAGS = [("openai", "", True), ("laion2b_e16", "", False), ("openai", "&force_quick_gelu=false", False)]


@pytest.mark.parametrize(("tag", "given", "quick"), TAGS)
def test_weights_of_a_tag__get_the_activation_they_were_trained_with(monkeypatch, tag, given, quick):
    asked: dict[str, Any] = {}

    def create(name: str, **options: Any) -> None:
        asked.update(options)
        raise OSError("stop here")

    monkeypatch.setattr(open_clip, "create_model", create)
    with pytest.raises(EncoderError):
        load_encoder(f"open_clip:ViT-B-32?pretrained={tag}{given}")
    assert asked.get("force_quick_gelu", False) is quick
