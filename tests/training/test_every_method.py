"""Every method through the trainer: begun, exported and loaded back (tests/contract interrupts each)."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import load_file

from core.cli.train import add_train_arguments, run_train
from core.encoders.registry import load_encoder
from core.errors import EncoderError, PeregrineError, SettingsError
from core.training import files
from core.training.methods import METHODS
from core.training.optimise import naming_memory
from core.training.trainer import TrainingRun, train
from tests.sampling import sample
from tests.sentences import numbers

pytestmark = pytest.mark.slow

SMALL = {"queue": 24, "queue_from": 0.3, "prototypes": 8, "local_crops": 2, "bottleneck": 6}
HEADS = {"head_hidden": 16, "head_out": 12, "objective": SMALL, "lr": 0.2, "warmup_epochs": 0.5}


def test_train__what_it_writes_loads_back_as_the_same_encoder(tiny_source, tiny_config, tmp_path):
    settings = {"method": "byol", "epochs": 1, "half": False, **HEADS}
    output = train(tiny_config(**settings))
    once = load_file(output)
    assert not any(key.startswith(("target", "head", "backbone")) for key in once)

    encoder = load_encoder(str(output))
    assert encoder.transform.input_size == 24
    run = TrainingRun(
        tiny_config(**settings, output=str(tmp_path / "third.safetensors")), tiny_source, silent()
    )
    run.method.backbone.load_state_dict(once)
    images = tiny_source.images[:3]
    expected = run.represent(images)
    assert_allclose(encoder.represent(torch.from_numpy(images)), expected, rtol=1e-4, atol=1e-5)


def silent():
    from core.study.progress import Progress

    return Progress.silent()


@pytest.mark.parametrize("name", ["moco", "byol", "dino"])
def test_train__exports_the_online_backbone(tiny_source, tiny_config, monkeypatch, name):
    runs: list[TrainingRun] = []
    monkeypatch.setattr(
        TrainingRun, "export", lambda run, plain=TrainingRun.export: (runs.append(run), plain(run))
    )
    output = train(tiny_config(method=name, half=False, epochs=1, **HEADS))
    method = runs[-1].method
    stored = load_file(output)
    key = next(key for key in stored if key.endswith("weight") and stored[key].ndim == 4)
    assert torch.equal(stored[key], method.backbone.state_dict()[key])
    assert not torch.equal(stored[key], method.target_backbone.state_dict()[key])  # type: ignore[union-attr]


@pytest.mark.parametrize("name", sample([*METHODS], 1))
def test_run_train__needs_no_config_file(tiny_source, tmp_path, capsys, name):
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    output = tmp_path / "e.safetensors"
    quick = ["--arch", "timm:test_resnet", "--image-size", "24", "--crop-size", "16", "--batch-size", "32"]
    words = ["--method", name, "--images", "tiny", "--epochs", "1", "-o", str(output), "--device", "cpu"]
    run_train(parser.parse_args([*words, *quick, "--cache", str(tmp_path / "cache")]))
    assert f"{name} timm:test_resnet, 1 epochs of tiny" in capsys.readouterr().out
    sidecar = json.loads(files.sidecar_path(output).read_text())
    assert sidecar["method"] == name and math.isfinite(sidecar["monitors"]["rankme"])


def test_train__a_loss_that_is_lost_stops_and_keeps_the_last_good_state(
    tiny_source, tiny_config, monkeypatch
):
    config = tiny_config(epochs=3)
    real = TrainingRun.views

    def poisoned(run: TrainingRun, step: int, part: int):
        large, local = real(run, step, part)
        return (large * math.nan if step == 6 else large), local

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "views", poisoned)
        with pytest.raises(PeregrineError) as caught:
            train(config)
    message = str(caught.value)
    resume_file = files.resume_path(Path(config.output))
    assert numbers(message.replace(str(resume_file), ""))[:2] == ["6", "4"] and f"'{resume_file}'" in message
    assert "\n" not in message and "nan" in message and "--lr" in message
    state = torch.load(resume_file, weights_only=True)
    assert state["step"] == 4 and all(torch.isfinite(x).all() for x in state["method"].values())
    assert train(config).exists()  # and from there it goes on


def test_save__never_writes_weights_that_are_lost(tiny_source, tiny_config):
    run = TrainingRun(tiny_config(), tiny_source, silent())
    run.train_step()
    run.save()
    next(run.method.parameters()).data[0] = math.inf
    lost = "Weights of '.*' are no longer finite at step 1. The state after step 1"
    with pytest.raises(PeregrineError, match=lost):
        run.save()
    state = torch.load(files.resume_path(run.output), weights_only=True)
    assert all(torch.isfinite(x).all() for x in state["method"].values())


@pytest.mark.parametrize("name", METHODS)
def test_config__batch_of_one(tiny_config, name):
    with pytest.raises(SettingsError, match="batch_size.*1"):
        tiny_config(method=name, batch_size=1)


@pytest.mark.parametrize("name", ["dino", "swav"])
def test_build__small_views_that_a_backbone_does_not_take(tiny_source, tiny_config, name):
    vit = "timm:test_vit?img_size=32"  # takes any size unless told otherwise
    changes = {"method": name, "crop_size": 32, "image_size": 32, "epochs": 1, **HEADS}
    with pytest.raises(EncoderError, match="16.*pixels.*dynamic_img_size=True") as caught:
        train(tiny_config(**changes, arch=f"{vit}&dynamic_img_size=False"))
    assert "\n" not in str(caught.value)
    assert train(tiny_config(**{**changes, "arch": vit, "optimizer": "adamw", "lr": 1e-3})).exists()


def test_naming_memory__says_which_setting_to_lower(tiny_config):
    message = "Out of memory with batch_size = 16 .* Lower --batch-size"
    with pytest.raises(PeregrineError, match=message), naming_memory(tiny_config()):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    with pytest.raises(RuntimeError, match="another reason"), naming_memory(tiny_config()):
        raise RuntimeError("another reason")
