"""Strict loading: what does not fit is an error that lists the keys."""

from __future__ import annotations

import json

import pytest
import torch
import torchvision
from torch.testing import assert_close

from core.encoders.registry import load_encoder
from core.encoders.spec import Sidecar, read_sidecar
from core.encoders.transform import IMAGENET_MEAN, IMAGENET_STD
from core.errors import AddressRefused, CheckpointError, CodeRefused, PeregrineError
from tests.encoders.planted import head, linear, narrow_resnet, reference, some_pixels, stir, under


@pytest.fixture(scope="module")
def resnet18():
    torch.manual_seed(0)
    model = torchvision.models.resnet18()
    stir(model)
    return model.eval()


def save(tmp_path, state):
    torch.save(state, tmp_path / "last.ckpt")
    return str(tmp_path / "last.ckpt")


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["{}", "resnet18@{}", "torchvision:resnet18@{}", "timm:resnet18@{}"])
def test_the_same_weights_give_the_same_numbers_however_they_are_named(spec, resnet18, tmp_path):
    path = save(tmp_path, {"state_dict": under("module.encoder_q.", dict(resnet18.state_dict()))})
    encoder = load_encoder(spec.format(path), input_size=64, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    model, pixels = torchvision.models.resnet18(), some_pixels(64)
    model.load_state_dict(resnet18.state_dict())
    model.set_submodule("fc", torch.nn.Identity())
    assert_close(
        encoder.represent(pixels), reference(model, pixels, IMAGENET_MEAN, IMAGENET_STD), rtol=1e-4, atol=1e-4
    )
    assert encoder.target_layer == "layer4.1" and encoder.n_features == 512
    assert encoder.report.dropped == {"module.encoder_q.fc": 2}


@pytest.mark.slow
def test_another_architecture_lists_the_keys_and_what_to_try(resnet18, tmp_path):
    path = save(tmp_path, dict(resnet18.state_dict()))
    with pytest.raises(CheckpointError) as caught:
        load_encoder(f"resnet34@{path}")
    message = str(caught.value)
    assert message.startswith(
        f"'{path}': the checkpoint (layout torchvision or timm) does not fit resnet34: "
    )
    assert "(layer1.2.conv1.weight" in message and " more)" in message
    assert message.endswith(f"resnet18@{path}") and "\n" not in message
    with pytest.raises(CheckpointError, match="different"):
        load_encoder(f"resnet18x2@{path}")
    with pytest.raises(CheckpointError, match=r"\(conv1.weight"):
        load_encoder(f"timm:resnet10t@{path}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("layer3.0.bn1.running_var"),
            r"1 encoder key is missing \(layer3.0.bn1.running_var\)",
        ),
        (
            lambda s: s.update({"layer4.0.se.weight": torch.ones(2)}),
            r"1 encoder key is unexpected \(layer4.0.se",
        ),
        (
            lambda s: s.update({"bn1.weight": torch.ones(3)}),
            r"bn1.weight \(3,\) in the file, \(64,\) in the model",
        ),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_one_wrong_key_is_enough(change, message, tmp_path):
    state = dict(narrow_resnet().state_dict())
    change(state)
    with pytest.raises(CheckpointError, match=message):
        load_encoder(save(tmp_path, under("backbone.", state)))


def test_heads_below_the_prefix_are_dropped_and_counted(tmp_path):
    state = dict(narrow_resnet().state_dict()) | linear("fc.") | head("projector.") | {"queue": torch.ones(2)}
    report = load_encoder(save(tmp_path, under("encoder.", state)), input_size=64).report
    assert report.dropped == {"encoder.fc": 2, "encoder.projector": 4, "encoder.queue": 1}


def test_checkpoints_from_before_batchnorm_counters(tmp_path):
    state = {k: v for k, v in narrow_resnet().state_dict().items() if "num_batches_tracked" not in k}
    report = load_encoder(save(tmp_path, state), input_size=64).report
    assert report.matched == len(state) and all("num_batches_tracked" in key for key in report.missing)


def test_half_precision_weights_are_used_in_single(tmp_path):
    model = narrow_resnet()
    halves = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    encoder = load_encoder(save(tmp_path, halves), input_size=64)
    assert encoder.represent(some_pixels(64)).dtype == torch.float32
    model.load_state_dict({k: v.float() for k, v in halves.items()})
    expected = reference(model, some_pixels(64), IMAGENET_MEAN, IMAGENET_STD)
    assert_close(encoder.represent(some_pixels(64)), expected, rtol=1e-4, atol=1e-4)


def test_a_sidecar_is_read(tmp_path):
    path = tmp_path / "a.ckpt"
    assert read_sidecar(path) == Sidecar()
    (tmp_path / "a.ckpt.json").write_text(json.dumps({"arch": "timm:resnet18", "stem": "cifar", "log": [1]}))
    source = "the sidecar a.ckpt.json"
    assert read_sidecar(path) == Sidecar(arch="timm:resnet18", stem="cifar", source=source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot read the sidecar .*correct or remove it"),
        ("[]", "must be a JSON object"),
        ('{"arch": 3}', "'arch' in the sidecar .* must be a str, got 3"),
    ],
)
def test_a_bad_sidecar_is_an_error(text, message, tmp_path):
    (tmp_path / "a.ckpt.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        read_sidecar(tmp_path / "a.ckpt")


def test_weights_by_address_are_those_of_the_file(server, resnet18, tmp_path, monkeypatch):
    """Through a server that fails and cuts answers, with the sidecar beside them, which may change later."""
    path = save(server.root, dict(resnet18.state_dict()))
    spec, sidecar = f"resnet18@{server.url}/last.ckpt", server.root / "last.ckpt.json"
    sidecar.write_text(json.dumps({"transform": {"input_size": 64}}))
    server.delay, server.broken, server.cut = 0.01, 2, 2
    encoder = load_encoder(spec)
    assert encoder.fingerprint == load_encoder(f"resnet18@{path}").fingerprint
    assert encoder.transform.input_size == 64 and encoder.spec == spec
    server.requests.clear()
    sidecar.write_text(json.dumps({"transform": {"input_size": 96}, "arch": "python:os:system"}))
    with pytest.raises(CodeRefused, match="named by a file|Python's library"):
        load_encoder(f"{server.url}/last.ckpt")
    assert "GET /last.ckpt" not in server.requests  # the weights are those in the cache


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("none.ckpt", CheckpointError, "cannot read the weights .*no such object"),
        ("page.ckpt", CheckpointError, "page.ckpt"),
        ("?Signature=Wb7secret", PeregrineError, "^(?!.*Wb7secret)"),
    ],
)
def test_weights_by_address_that_are_none(server, name, error, match):
    (server.root / "page.ckpt").write_text("<!DOCTYPE html><p>Not found")
    with pytest.raises(error, match=match):
        load_encoder(f"resnet18@{server.url}/{name}")


def test_weights_that_a_file_names_by_address_are_not_fetched(server, resnet18, monkeypatch):
    save(server.root, dict(resnet18.state_dict()))
    monkeypatch.setenv("PEREGRINE_URLS", "")
    with pytest.raises(AddressRefused, match="named"):
        load_encoder(f"resnet18@{server.url}/last.ckpt")
    assert server.requests == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("layer1.0.conv1.lora_A.default.weight", "merge_and_unload"),
        ("layer1.0.lin._packed_params._packed_params", "quantised"),
        ("layer1.0.conv1.parametrizations.weight.original0", "remove_parametrizations"),
        ("layer1.0.conv1.weight_mask", "prune.remove"),
    ],
)
def test_what_stands_between_a_file_and_its_network_is_named(tmp_path, name, message):
    state = dict(narrow_resnet().state_dict()) | {name: torch.ones(2)}
    with pytest.raises(CheckpointError, match=message):
        load_encoder(save(tmp_path, state))


def test_a_folder_of_torch_distributed_is_named_with_the_way_out(tmp_path):
    (tmp_path / ".metadata").write_bytes(b"x")
    (tmp_path / "__0_0.distcp").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="dcp_to_torch"):
        load_encoder(str(tmp_path))
