"""`finetune` end to end on a small world, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from core.cli.train import finetune_report
from core.encoders.registry import load_encoder
from core.errors import EncoderError, SettingsError
from core.pipeline.run import run_step
from core.store import open_study
from core.study.progress import Progress
from core.training import files
from core.training.backbones import build_backbone
from core.training.config import OF_READING, from_dict
from core.training.finetune import architecture, finetune_config, recorded_settings
from core.training.setup import open_training_images
from core.training.trainer import TrainingRun
from tests.manifests import edited_manifest
from tests.sampling import sample

pytestmark = pytest.mark.slow


@pytest.fixture
def quick(begun: Path) -> tuple[str, ...]:
    cache = str(begun.parent / "cache")
    return ("--epochs", "2", "--practical", "--cache", cache, "--workers", "1", "--device", "cpu")


@pytest.mark.parametrize("kind", sample(["q", "none", "lasso"], 1))
def test_finetune__writes_what_analyze_takes(run, begun, quick, tmp_path, kind):
    out = tmp_path / "after.safetensors"
    outcome = run("finetune", begun, "--regularizer", kind, "-o", out, *quick)
    assert outcome.code == 0, outcome.err
    assert f"{out}: simclr 2 epochs, regulariser {kind}" in outcome.out
    after = begun.with_name("study-after")
    assert f"python -m core analyze {after} --images 'glyphworld?train=64&val=40&size=32'" in outcome.out
    assert "--epsilon 1.5" in outcome.out and f"python -m core compare {begun} {after}" in outcome.out
    log = pd.read_csv(files.log_path(out)).to_dict("list")
    assert len(log["mean_q"]) == 2 and min(log["mean_q"]) > 0
    assert [value != 0 for value in log["penalty"]] == [kind != "none"] * 2
    assert min(log["weight_change"]) > 1e-5
    study, encoder = open_study(begun), load_encoder(str(out))
    assert encoder.transform == study.transform
    assert encoder.target_layer == study.summary("embed")["encoder"]["layer"]
    sidecar = json.loads(files.sidecar_path(out).read_text())
    assert sidecar["regularizer"]["kind"] == kind and sidecar["method"] == "simclr"
    assert sidecar["start"] == study.settings("embed")["encoder"]
    copy = tmp_path / "after"
    words = ("embed", copy, "--images", "glyphworld?train=16&val=8&size=32", "--encoder", out)
    assert run(*words, "--device", "cpu", "--workers", "0").code == 0


def test_finetune__resumes_to_the_same_bits_and_facts(run, begun, quick, tmp_path, stopping_at):
    whole, out = tmp_path / "whole.safetensors", tmp_path / "out.safetensors"
    assert run("finetune", begun, "-o", whole, *quick).code == 0
    with stopping_at(6):
        assert run("finetune", begun, "-o", out, *quick).code != 0
    torch.manual_seed(999)
    assert run("finetune", begun, "-o", out, *quick).code == 0
    once, again = load_file(whole), load_file(out)
    assert once.keys() == again.keys() and all(torch.equal(once[key], again[key]) for key in once)
    facts = ["loss", "mean_q", "penalty", "l1", "weight_change", "statistics_change"]
    logs: list[Any] = [pd.read_csv(files.log_path(path))[facts] for path in (whole, out)]
    pd.testing.assert_frame_equal(*logs)


def test_finetune__frozen_moves_nothing_but_batchnorm_statistics(run, begun, quick, tmp_path):
    out = tmp_path / "frozen.safetensors"
    outcome = run("finetune", begun, "--regularizer", "none", "--frozen", "-o", out, *quick)
    assert outcome.code == 0 and "weights frozen" in outcome.out
    before = load_encoder(open_study(begun).settings("embed")["encoder"]).base.state_dict()
    after = load_file(out)
    moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert moved and all(key.split(".")[-1] in NOT_WEIGHTS for key in moved)
    log = pd.read_csv(files.log_path(out)).iloc[-1]
    assert log["weight_change"] == 0 == log["batchnorm_change"] and log["statistics_change"] > 0


NOT_WEIGHTS = ("running_mean", "running_var", "num_batches_tracked")


def test_finetune_config__is_the_papers_unless_told_otherwise(begun, tmp_path):
    study = open_study(begun)
    config = finetune_config(study, tmp_path / "a.safetensors")
    assert (config.optimizer, config.lr, config.epochs, config.warmup_epochs) == ("lars", 1e-5, 50, 5.0)
    assert (config.crop_size, config.batch_size, config.image_size) == (24, 16, 32)  # its own training's
    assert config.regularizer.study == str(begun) and not config.half
    practical = finetune_config(study, tmp_path / "a.safetensors", practical=True, epochs=10)
    assert (practical.optimizer, practical.lr, practical.warmup_epochs) == ("sgd", 0.05, 1.0)
    other = finetune_config(study, tmp_path / "a.safetensors", method="Barlow Twins", practical=True)
    assert (other.method, other.optimizer, other.head_out) == ("barlow", "adamw", 2048)
    assert other.lr == pytest.approx(1e-4) and other.crop_size == 24


def test_finetune_config__another_optimiser_brings_its_own_rate(begun, tmp_path, monkeypatch):
    study, out = open_study(begun), tmp_path / "a.safetensors"
    muon = finetune_config(study, out, practical=True, optimizer="muon")
    assert (muon.lr, muon.weight_decay, muon.momentum) == (pytest.approx(4e-4), 0.05, 0.95)
    adamw = finetune_config(study, out, practical=True, optimizer="adamw")
    assert (adamw.lr, adamw.momentum) == (pytest.approx(1e-4), 0.9)
    assert finetune_config(study, out, practical=True, optimizer="muon", lr=1e-3).lr == 1e-3
    with pytest.raises(SettingsError, match="1e-05.*--lr.*--optimizer"):
        finetune_config(study, out, optimizer="muon")
    assert finetune_config(study, out, optimizer="muon", lr=1e-3).weight_decay == 0.05
    recorded = recorded_settings(study.settings("embed")["encoder"])
    by_muon = recorded | {"optimizer": "muon", "lr": 4e-3, "weight_decay": 0.05, "momentum": 0.95}
    monkeypatch.setattr("core.training.finetune.recorded_settings", lambda spec: by_muon)
    paper = finetune_config(study, out)
    assert (paper.optimizer, paper.lr, paper.weight_decay, paper.momentum) == ("lars", 1e-5, 5e-4, 0.9)
    sgd = finetune_config(study, out, practical=True, optimizer="sgd")
    assert (sgd.lr, sgd.weight_decay, sgd.momentum) == (pytest.approx(0.05), 5e-4, 0.9)
    config = finetune_config(study, out, practical=True)
    assert (config.optimizer, config.lr, config.weight_decay) == ("muon", pytest.approx(4e-4), 0.05)


def test_finetune_config__keeps_the_studys_split_whatever_the_seed(begun, tmp_path):
    config = finetune_config(open_study(begun), tmp_path / "a.safetensors", seed=7)
    assert (config.seed, config.split_seed) == (7, 0)


def test_finetune__trains_on_no_evaluation_image_of_a_study_of_nested_folders(begun, tmp_path, rng):
    for number in range(48):
        place = tmp_path / "photos" / "AB"[number % 2] / ("cat", "dog", "fox")[number // 2 % 3]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(place / f"{number}.png")
    settings = {"images": str(tmp_path / "photos"), "encoder": open_study(begun).settings("embed")["encoder"]}
    options = {**settings, "class_level": 2, "device": "cpu", "workers": 0}
    options |= {"transparency": "drop", "range": "0,4095"}
    run_step("embed", tmp_path / "study", options, Progress.silent())
    run_step("features", tmp_path / "study", {"epsilon": "auto"}, Progress.silent())
    study = open_study(tmp_path / "study")
    config = finetune_config(study, tmp_path / "a.safetensors")
    opened = open_training_images(config)
    assert (opened.pixel_reading.transparency, opened.pixel_reading.value_range) == ("drop", (0.0, 4095.0))
    trained = opened.table
    pd.testing.assert_series_equal(trained.loc[:, "label"], study.images.loc[:, "label"])
    assert trained["split"].tolist() == study.images["split"].tolist()
    sidecar = {
        "regularizer": {"kind": "none"},
        "frozen": False,
        "method": "simclr",
        "epochs": 1,
        "monitors": {},
    }
    again = finetune_report(study, sidecar, "a.safetensors")[-2]
    assert all(option in again for option in ("--class-level 2", "--transparency drop", "--range 0,4095"))
    elsewhere = finetune_config(study, tmp_path / "a.safetensors", images="glyphworld?train=8&val=4")
    assert {getattr(elsewhere, name) for name in OF_READING} == {None}


def test_finetune_config__of_an_encoder_without_a_sidecar(run, tmp_path):
    study, spec = tmp_path / "plain", "timm:test_resnet?pretrained=false"
    small = ("--input-size", "32", "--resize", "36", "--device", "cpu", "--workers", "0")
    images = ("--images", "glyphworld?train=24&val=8&size=32")
    assert run("embed", study, *images, "--encoder", spec, *small).code == 0
    assert run("features", study, "--epsilon", "1").code == 0
    config = finetune_config(open_study(study), tmp_path / "a.safetensors", method="simsiam")
    assert config.arch == spec.split("?")[0] and config.export_arch is None
    assert (config.crop_size, config.image_size, config.method) == (32, 36, "simsiam")
    from core.training.setup import start_method, transform_of

    method = start_method(config)
    start = load_encoder(spec).base.state_dict()
    assert all(torch.equal(value, start[key]) for key, value in method.backbone.state_dict().items())
    assert transform_of(config, torch.zeros(1, 4, 4, 3).numpy()) == open_study(study).transform


def test_start__of_a_cifar_checkpoint_with_another_padding_comes_back_as_it_was(
    tiny_source, tiny_config, tmp_path
):
    network = build_backbone("torchvision:resnet18", "cifar", 32)[0]
    torch.save(network.state_dict(), tmp_path / "other.pt")
    (tmp_path / "other.pt.json").write_text('{"arch": "resnet18", "stem_padding": 2}')  # as solo-learn has it
    before, out = load_encoder(str(tmp_path / "other.pt")), tmp_path / "after.safetensors"
    config = tiny_config(start=before.spec, half=False, **architecture(before, {}))
    assert (config.arch, config.stem) == ("torchvision:resnet18", "cifar")
    TrainingRun(config, tiny_source, Progress.silent()).export(out)  # as after each epoch
    after = load_encoder(str(out))
    assert before.base.conv1.padding == after.base.conv1.padding == (2, 2)  # type: ignore
    pixels = torch.randint(0, 255, (2, 32, 32, 3), dtype=torch.uint8)
    assert torch.equal(before.represent(pixels), after.represent(pixels))


def test_finetune__of_ready_representations(run, shared_study, tmp_path):
    outcome = run("finetune", shared_study, "-o", tmp_path / "a.safetensors")
    assert "representations" in outcome.error


def test_finetune__without_features(run, begun, tmp_path):
    study = tmp_path / "study"
    shutil.copytree(begun, study)
    with edited_manifest(study) as manifest:
        gone = set(manifest["steps"].pop("features")["outputs"])
        manifest["items"] = {name: item for name, item in manifest["items"].items() if name not in gone}
    outcome = run("finetune", study, "-o", tmp_path / "a.safetensors")
    assert "'features'" in outcome.error


def test_finetune__over_another_training_or_its_own_start(run, begun, quick, tmp_path):
    out = tmp_path / "a.safetensors"
    shutil.copy(begun.parent / "start.safetensors", out)
    shutil.copy(begun.parent / "start.safetensors.json", f"{out}.json")
    assert "training" in run("finetune", begun, "-o", out, *quick).error
    start = begun.parent / "start.safetensors"
    outcome = run("finetune", begun, "-o", start, *quick, "--fresh")
    assert "encoder" in outcome.error and start.exists()


def test_finetune__without_its_images(run, begun, quick, tmp_path):
    outcome = run("finetune", begun, "-o", tmp_path / "a.safetensors", *quick, "--images", tmp_path / "gone")
    assert "opened" in outcome.error and outcome.error.endswith("Give them: --images DIR")


def test_finetune__with_an_unknown_method_or_no_output(run, begun, quick, tmp_path):
    outcome = run("finetune", begun, "--method", "simclri", "-o", tmp_path / "a.safetensors", *quick)
    assert "'simclr'" in outcome.error
    assert "FILE.safetensors" in run("finetune", begun).error


def test_finetune__of_an_encoder_that_has_changed(begun, tmp_path, monkeypatch):
    monkeypatch.setattr("core.encoders.encoder.Encoder._fingerprint", lambda self: "other")
    with pytest.raises(Exception, match="changed"):
        finetune_config(open_study(begun), tmp_path / "a.safetensors")


def test_start_backbone__of_another_architecture(begun, tmp_path):
    from core.training.setup import start_method

    config = finetune_config(open_study(begun), tmp_path / "a.safetensors", arch="timm:resnet10t")
    with pytest.raises(SettingsError, match="'timm:resnet10t'"):
        start_method(config)


def test_finetune_config__of_an_inner_layer(run, begun, tmp_path):
    study = tmp_path / "inner"
    words = ("--images", "glyphworld?train=24&val=8&size=32", "--encoder", begun.parent / "start.safetensors")
    small = ("--layer", "layer2", "--device", "cpu", "--workers", "0")
    assert run("embed", study, *words, *small).code == 0
    assert run("features", study, "--epsilon", "0.5").code == 0
    with pytest.raises(EncoderError, match="layer2"):
        finetune_config(open_study(study), tmp_path / "a.safetensors")
    small = ("--pool", "max", "--device", "cpu", "--workers", "0")
    study = tmp_path / "pooled"
    assert run("embed", study, *words, *small).code == 0
    assert run("features", study, "--epsilon", "0.5").code == 0
    with pytest.raises(EncoderError, match="--pool"):
        finetune_config(open_study(study), tmp_path / "a.safetensors")
    study, words = tmp_path / "tokens", (*words[:3], "timm:vit_tiny_patch16_224?img_size=32&depth=1")
    small = ("--tokens", "mean", "--device", "cpu", "--workers", "0")
    assert run("embed", study, *words, *small).code == 0
    assert run("features", study, "--epsilon", "0.5").code == 0
    with pytest.raises(EncoderError, match="--tokens"):
        finetune_config(open_study(study), tmp_path / "a.safetensors")


def test_start__with_an_input_that_is_not_square(tmp_path):
    from core.training.setup import build_exported

    start = "timm:vit_tiny_patch16_224?img_size=(32,48)&depth=1"
    values = {"images": "glyphworld", "output": str(tmp_path / "a.safetensors"), "start": start}
    config = from_dict(values, where="test")
    with pytest.raises(EncoderError, match="'timm:.*'.*48.*32"):
        build_exported(config)
