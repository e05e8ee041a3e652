from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from core.analysis.scores import rankme, spectra
from core.cli.train import add_train_arguments, run_train
from core.encoders.registry import load_encoder
from core.errors import PeregrineError, SettingsError, UnreadableImage
from core.study.progress import Progress
from core.training import files, setup, step_log
from core.training.backbones import build_backbone
from core.training.methods import SimCLR
from core.training.optimise import build_optimiser, learning_rate, set_rates
from core.training.setup import start_method
from core.training.step_log import events_path
from core.training.trainer import TrainingRun, train
from tests import reference
from tests.data.pictures import picture

pytestmark = pytest.mark.slow


def test_output__that_can_have_no_folder_is_refused_before_anything_is_trained(tmp_path, run):
    for name in ("a", "b"):
        (tmp_path / "images" / "train" / name).mkdir(parents=True)
        (tmp_path / "images" / "train" / name / "1.png").write_bytes(picture())
    words = ("--images", tmp_path / "images", "--epochs", 1, "--batch-size", 2, "--device", "cpu")
    refused = run("train", *words, "-o", "/dev/null/x.safetensors")
    assert refused.code == 2 and "'/dev/null'" in refused.error


def log_rows(output) -> list[dict[str, str]]:
    with open(files.log_path(output), encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_train__writes_weights_sidecar_and_log(tiny_source, tiny_config):
    config = tiny_config(epochs=8, lr=0.5, temperature=0.5)
    output = train(config)
    rows = log_rows(output)
    losses = [float(row["loss"]) for row in rows]
    assert len(rows) == 8 and np.isfinite(losses).all() and losses[-1] < losses[0]
    assert {"near_zero", "firing_4", "firing_2", "rankme", "knn"} <= set(rows[-1])
    sidecar = json.loads(files.sidecar_path(output).read_text())
    assert sidecar["arch"] == "timm:test_resnet" and sidecar["epochs"] == 8
    assert sidecar["transform"]["input_size"] == 24 and len(sidecar["transform"]["mean"]) == 3
    backbone, _ = build_backbone(sidecar["arch"], sidecar["stem"])
    weights = load_file(output)
    assert set(weights) == set(backbone.state_dict())
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16, torch.int64}
    backbone.load_state_dict(weights)
    assert not files.resume_path(output).exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "lars"},
        {"optimizer": "muon", "lr": 4e-3, "weight_decay": 0.05},
        {"objective": {"local_pairs": 2}, "accumulate": 2},
        {"precision": "bf16", "arch": "timm:test_resnet?output_stride=16"},
    ],
    ids=str,
)
def test_train__resumes_to_the_same_bits(tiny_source, tiny_config, tmp_path, stopping_at, changes):
    """Each state that a method does not have; tests/contract/test_resume.py interrupts every method."""
    changes = {"half": False, "epochs": 1, "batch_size": 32, **changes}
    whole = train(tiny_config(**changes, output=str(tmp_path / "whole.safetensors")))
    config = tiny_config(**changes)
    with stopping_at(1), pytest.raises(KeyboardInterrupt):
        train(config)
    torch.manual_seed(999)  # another process would start from another state
    output = train(config)
    for name, tensor in load_file(whole).items():
        assert torch.equal(tensor, load_file(output)[name]), name
    assert [row["loss"] for row in log_rows(output)] == [row["loss"] for row in log_rows(whole)]


def test_train__logs_the_facts_of_a_method(tiny_source, tiny_config, monkeypatch):
    monkeypatch.setattr(SimCLR, "facts", lambda method: {"moved": 1.23456789e-4})
    run = TrainingRun(tiny_config(epochs=1), tiny_source, Progress.silent())
    run.run()
    assert [row["moved"] for row in log_rows(run.output)] == ["0.00012346"]


def test_build_optimiser__passes_over_frozen_parameters(tiny_config):
    method = start_method(tiny_config())
    n_trained = sum(p.requires_grad for p in method.parameters())
    next(method.backbone.parameters()).requires_grad_(False)
    groups = build_optimiser(method, tiny_config()).param_groups
    assert sum(len(group["params"]) for group in groups) == n_trained - 1


def test_build_optimiser__muon_moves_weights_orthogonally_and_leaves_biases_to_nadamw(tiny_config):
    config = tiny_config(optimizer="muon", lr=0.1, weight_decay=0.0, warmup_epochs=1.0)
    method = start_method(config)
    method.depthwise = nn.Conv2d(6, 6, 3, groups=6)  # a kernel that is no matrix
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    optimiser = build_optimiser(method, config)
    torch.manual_seed(0)
    for p in method.parameters():
        p.grad = torch.randn_like(p) * torch.logspace(-3, 0, p.shape[-1])  # of unlike singular values
    set_rates(optimiser, 0, config, steps_per_epoch=10)
    rate = learning_rate(0, config, 10)
    assert rate == pytest.approx(0.1 * config.batch_size / 256 / 10)
    optimiser.step()
    for name, p in method.named_parameters():
        step, gradient = p.detach() - before[name], cast(torch.Tensor, p.grad)
        if p.ndim > 1 and not name.startswith("depthwise"):
            # five Newton-Schulz steps bring all but the smallest singular values close together
            steps, gradients = (torch.linalg.svdvals(x.flatten(1)) for x in (step, gradient))
            assert steps.quantile(0.1) > 0.6 * steps.max(), name
            assert steps.quantile(0.1) / steps.max() > gradients.quantile(0.1) / gradients.max(), name
        else:
            large = gradient.abs() > 1e-4  # beside which Adam's epsilon is nothing
            expected = -1.9 * rate * gradient[large].sign()  # 1 + .9 of Nesterov's momentum
            np.testing.assert_allclose(step[large], expected, rtol=0.05)


def test_train__refuses_other_settings(tiny_source, tiny_config, monkeypatch):
    monkeypatch.setattr(TrainingRun, "train_step", lambda run: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config())
    monkeypatch.undo()
    monkeypatch.setattr("core.training.setup.open_training_images", lambda config: tiny_source)
    with pytest.raises(SettingsError, match="1.0.*0.5.*--fresh"):
        train(tiny_config(lr=0.5))
    assert train(tiny_config(lr=0.5, epochs=1), fresh=True).exists()


def test_train__complete_output_is_left_alone(tiny_source, tiny_config, monkeypatch):
    output = train(tiny_config(epochs=1))
    monkeypatch.setattr(TrainingRun, "train_step", lambda run: pytest.fail("trained again"))
    assert train(tiny_config(epochs=1)) == output
    with pytest.raises(SettingsError, match="training"):
        train(tiny_config(epochs=2))


def test_train__does_without_labels(tiny_config, monkeypatch):
    from tests.training.conftest import TinySource

    monkeypatch.setattr("core.training.setup.open_training_images", lambda config: TinySource(labels=False))
    rows = log_rows(train(tiny_config(epochs=1)))
    assert "knn" not in rows[0] and "near_zero" in rows[0]


def test_train__says_how_many_images_cannot_be_read(tiny_source, tiny_config, monkeypatch, capsys):
    def read(row: int) -> Image.Image:
        if row in (3, 70, 71):
            raise UnreadableImage("truncated")
        return Image.fromarray(tiny_source.images[row])

    monkeypatch.setattr(tiny_source, "read", read)
    for fresh in (False, True):  # also where the pixels are in the cache
        train(tiny_config(epochs=1), progress=Progress(None, terminal=True), fresh=fresh)
        said = capsys.readouterr().err
        assert said.count("3 images cannot be read and take no part in the training") == 1


def test_train__batch_larger_than_the_images(tiny_source, tiny_config):
    with pytest.raises(SettingsError, match="batch_size.*65.*64"):
        train(tiny_config(batch_size=65))


def test_train__lost_weights_are_noticed(tiny_source, tiny_config, monkeypatch):
    real = TrainingRun.train_step

    def losing(run: TrainingRun) -> None:
        real(run)
        next(run.method.parameters()).data[0] = float("nan")

    monkeypatch.setattr(TrainingRun, "train_step", losing)
    with pytest.raises(PeregrineError, match="no longer finite|loss is nan"):
        train(tiny_config())


def test_train__exports_another_output_stride(tiny_source, tiny_config):
    config = tiny_config(arch="timm:resnet10t", export_arch="timm:resnet10t?output_stride=16", epochs=1)
    output = train(config)
    sidecar = json.loads(files.sidecar_path(output).read_text())
    assert sidecar["arch"] == "timm:resnet10t?output_stride=16"
    assert sidecar["arguments"] == {"output_stride": 16}
    assert "output" not in sidecar["settings"] and "cache" not in sidecar["settings"]
    with pytest.raises(SettingsError, match="different"):
        train(tiny_config(export_arch="timm:resnet10t"), fresh=True)


def test_train__unknown_device(tiny_source, tiny_config):
    with pytest.raises(SettingsError, match="'tpu9'"):
        train(tiny_config(device="tpu9"))


def test_run_train__options_make_a_config(tiny_source, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    output = str(tmp_path / "e.safetensors")
    options = [
        "--images",
        "tiny",
        "-o",
        output,
        "--arch",
        "timm:test_resnet",
        "--epochs",
        "1",
        "--crop-size",
        "16",
    ]
    options += [
        "--image-size",
        "24",
        "--batch-size",
        "32",
        "--device",
        "cpu",
        "--cache",
        str(tmp_path / "cache"),
    ]
    run_train(parser.parse_args([*options, "--accumulate", "2", "--tensorboard"]))
    assert "simclr timm:test_resnet, 1 epochs of tiny" in capsys.readouterr().out
    assert json.loads((tmp_path / "e.safetensors.json").read_text())["settings"]["accumulate"] == 2
    assert list((tmp_path / "e.safetensors.tensorboard").iterdir())
    with pytest.raises(SettingsError, match="Nothing"):
        run_train(parser.parse_args([*options, "--resume"]))
    with pytest.raises(SettingsError, match="--images"):
        run_train(parser.parse_args([]))


def test_learning_rate__warms_up_then_falls_to_zero(tiny_config):
    config = tiny_config(epochs=10, warmup_epochs=2, lr=0.8, batch_size=64)
    rates = [learning_rate(step, config, 5) for step in range(50)]
    assert_allclose(rates[:10], 0.2 * np.arange(1, 11) / 10)
    assert_allclose(rates[30], 0.1)  # half of the peak, half-way down
    assert rates[-1] < 0.001 and all(a >= b for a, b in zip(rates[10:], rates[11:], strict=False))


def test_channel_statistics__match_numpy(rng):
    images = rng.integers(0, 256, (40, 6, 6, 3), dtype=np.uint8)
    mean, std = setup.channel_statistics(images, 0)
    assert_allclose(mean, images.mean((0, 1, 2)) / 255, atol=6e-5)
    assert_allclose(std, images.std((0, 1, 2)) / 255, atol=6e-5)


def test_monitors__rankme_is_the_studys(rng):
    raw = rng.gamma(0.4, size=(40, 12)).astype(np.float32)
    rank = step_log.representation_statistics(torch.from_numpy(raw))["rankme"]
    assert rank == pytest.approx(rankme(spectra(raw)[0]), rel=1e-9)
    assert rank == pytest.approx(reference.rankme(raw), rel=1e-9)


def test_monitors__hand_cases():
    sparse = torch.zeros(4, 100)
    sparse[:, 3] = 1.0
    values = step_log.representation_statistics(sparse)
    assert values["near_zero"] == pytest.approx(0.99) and values["dead"] == pytest.approx(0.99)
    collapsed = step_log.representation_statistics(torch.zeros(4, 8))  # no row has a positive entry
    assert collapsed["near_zero"] == collapsed["dead"] == 1.0
    assert values["firing_4"] == 1.0 and values["rankme"] == pytest.approx(1.0, abs=1e-3)
    assert step_log.representation_statistics(torch.eye(8))["rankme"] == pytest.approx(8.0, abs=1e-3)
    train, labels = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), np.array([0, 0, 1])
    val = torch.tensor([[1.0, 0.05], [0.1, 1.0]])
    assert step_log.knn_accuracy(train, labels, val, np.array([0, 1]), k=1) == 1.0
    assert step_log.knn_accuracy(train, labels, val, np.array([1, 1]), k=1) == 0.5


@pytest.mark.parametrize("name", ["byol", "simsiam"])
def test_accumulate__is_the_same_step_where_images_do_not_meet(tiny_source, tiny_config, monkeypatch, name):
    """Without BatchNorm's batch and without negatives, micro-batches add up to the gradient of the whole."""
    monkeypatch.setattr(TrainingRun, "train_step", after_eval(TrainingRun.train_step))
    changes = {"method": name, "half": False, "lr": 0.1}
    whole, parts = (
        TrainingRun(tiny_config(**changes, accumulate=n), tiny_source, Progress.silent()) for n in (1, 4)
    )
    begun = whole.method.backbone.state_dict()
    begun = {name: tensor.clone() for name, tensor in begun.items()}
    for run in (whole, parts):
        run.train_step()
    assert_allclose(parts.losses, whole.losses, rtol=1e-4)
    for key, tensor in whole.method.backbone.state_dict().items():
        moved = (tensor.double() - begun[key].double()).norm()
        apart = (tensor.double() - parts.method.backbone.state_dict()[key].double()).norm()
        assert apart <= 1e-3 * moved + 1e-7, key


def after_eval(step):
    """The step with BatchNorm that uses its running statistics."""

    def in_eval(run: TrainingRun) -> None:
        run.method.train = lambda mode=True: run.method  # type: ignore[method-assign]
        run.method.eval = lambda: run.method  # type: ignore[method-assign]
        for module in run.method.modules():
            module.training = False
        step(run)

    return in_eval


def test_accumulate__other_negatives_make_another_loss(tiny_source, tiny_config):
    """What the docstring of `train` warns of: 4 negatives an anchor instead of 30."""
    losses = []
    for n in (1, 4):
        run = TrainingRun(tiny_config(accumulate=n), tiny_source, Progress.silent())
        run.train_step()
        losses += run.losses
    assert losses[1] < losses[0] - 0.5


@pytest.mark.parametrize(("batch_size", "accumulate"), [(16, 3), (16, 16), (16, 0)])
def test_accumulate__parts_that_cannot_be(tiny_config, batch_size, accumulate):
    with pytest.raises(SettingsError, match="accumulate"):
        tiny_config(batch_size=batch_size, accumulate=accumulate)


def test_keep_every__leaves_the_weights_of_each_epoch_and_changes_nothing_else(
    tiny_source, tiny_config, tmp_path
):
    plain = train(tiny_config(epochs=2, output=str(tmp_path / "plain.safetensors")))
    output = train(tiny_config(epochs=2, keep_every=1, output=str(tmp_path / "kept.safetensors")))
    first, last = (tmp_path / f"kept-epoch{epoch}.safetensors" for epoch in (1, 2))
    assert last.read_bytes() == output.read_bytes() == plain.read_bytes() != first.read_bytes()
    assert [json.loads(files.sidecar_path(one).read_text())["epochs"] for one in (first, last)] == [1, 2]
    assert not (tmp_path / "plain-epoch1.safetensors").exists()
    assert load_encoder(str(first), device="cpu").n_features == load_encoder(str(output)).n_features


def test_tensorboard__holds_what_the_log_holds_also_after_an_interruption(
    tiny_source, tiny_config, tmp_path, stopping_at
):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert not events_path(train(tiny_config(epochs=1, output=str(tmp_path / "plain")))).exists()
    config = tiny_config(epochs=2, tensorboard=True)
    with stopping_at(6), pytest.raises(KeyboardInterrupt):
        train(config)
    output = train(config)
    events = EventAccumulator(str(events_path(output))).Reload()
    assert [event.step for event in events.Scalars("step/loss")] == list(range(1, 9))
    rows = log_rows(output)
    assert [event.step for event in events.Scalars("epoch/loss")] == [4, 8]
    for name in ("loss", "knn", "rankme"):
        assert_allclose(
            [e.value for e in events.Scalars(f"epoch/{name}")], [float(r[name]) for r in rows], rtol=1e-5
        )
    train(tiny_config(epochs=1, tensorboard=True), fresh=True)
    again = EventAccumulator(str(events_path(output))).Reload()
    assert [event.step for event in again.Scalars("step/loss")] == [1, 2, 3, 4]  # those of before are gone


def test_tensorboard__missing_is_said_before_the_first_step(tiny_source, tiny_config, monkeypatch):
    for name in list(sys.modules):
        if name.startswith(("torch.utils.tensorboard", "tensorboard.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    config = tiny_config(epochs=1, tensorboard=True)
    with pytest.raises(SettingsError, match="tensorboard"):
        train(config)
    assert not Path(config.output).exists()


def test_train__bf16_reaches_the_network_in_one_process_too(tiny_source, tiny_config, monkeypatch):
    seen = []
    config = tiny_config(precision="bf16", arch="timm:resnet10t", crop_size=32, image_size=32, epochs=1)
    run = TrainingRun(config, tiny_source, Progress.silent())
    backbone: Any = run.method.backbone
    backbone.conv1[0].register_forward_hook(lambda module, _, out: seen.append(out.dtype))
    run.train_step()
    assert seen == [torch.bfloat16]
    assert {parameter.dtype for parameter in run.method.parameters()} == {torch.float32}
