"""The log of steps: what is written, what an interrupted training keeps, and what an epoch's means are."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
import torch

from core.errors import SettingsError
from core.training import files
from core.training.config import fixed, from_dict, to_dict
from core.training.files import save_weights
from core.training.finetune import recorded_settings
from core.training.step_log import StepLog
from core.training.trainer import TrainingRun

pytestmark = pytest.mark.slow

QUICK = ("--epochs", "2", "--practical", "--workers", "1", "--device", "cpu")


@pytest.fixture
def quick(begun) -> tuple[str, ...]:
    return (*QUICK, "--cache", str(begun.parent / "cache"))


def test_step_log__writes_epochs_and_forgets_what_comes_after_a_state(tmp_path):
    log = StepLog(tmp_path / "a.safetensors", writes=True)
    for step in range(1, 7):
        log.add(step, {"rewarded": float(step), "ratio": math.nan if step == 1 else 0.5})
        if step % 3 == 0:
            assert log.end_epoch() == {"rewarded": step - 1.0, "ratio": 0.5}
    log.add(7, {})
    assert log.end_epoch() == {} and log.rows == []
    assert pd.read_csv(log.path)["step"].to_list() == [1, 2, 3, 4, 5, 6]
    log.path.write_text(log.path.read_text() + "7,1")  # a line that was cut off
    again = StepLog(tmp_path / "a.safetensors", writes=True)
    again.rows = [{"step": 4, "rewarded": 4.0, "ratio": 0.5}]
    again.begin(4)  # the state is that after step 4; its own row is not in the file yet
    again.end_epoch()
    assert pd.read_csv(log.path)["step"].to_list() == [1, 2, 3, 4]
    again.begin(0)
    assert not log.path.exists()


def test_step_log__is_whole_when_its_rewriting_is_killed(tmp_path, monkeypatch):
    log = StepLog(tmp_path / "a.safetensors", writes=True)
    log.add(1, {"rewarded": 1.0})
    log.end_epoch()
    before = log.path.read_text()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(StepLog, "_append", raising)
        log.begin(1)
    assert log.path.read_text() == before


def raising(*_: object) -> None:
    raise KeyboardInterrupt


def test_step_log__of_another_process_writes_nothing(tmp_path):
    log = StepLog(tmp_path / "a.safetensors", writes=False)
    log.add(1, {"rewarded": 1.0})
    log.begin(1)
    assert log.end_epoch() == {"rewarded": 1.0} and not log.path.exists()


def test_finetune__logs_every_step_and_stores_the_reading(run, begun, quick, tmp_path):
    out = tmp_path / "after.safetensors"
    outcome = run("finetune", begun, "--regularizer", "q", "--reading", "printed", "-o", out, *quick)
    assert outcome.code == 0, outcome.err
    assert "regulariser" in outcome.out
    sidecar = json.loads(files.sidecar_path(out).read_text())
    assert sidecar["regularizer"]["reading"] == "printed" == sidecar["settings"]["regularizer"]["reading"]
    steps, log = pd.read_csv(files.steps_path(out)), pd.read_csv(files.log_path(out))
    assert steps["step"].to_list() == list(range(1, len(steps) + 1)) and len(steps) % 2 == 0
    assert (steps["rows"] == 32).all() and (steps["scored"] > 0).all()
    assert (steps["rewarded"] < steps["scored"]).all() and (steps["rewarded"] > 0).any()
    assert (steps.loc[steps["rewarded"] > 0, "reward_gradient"] > 0).all()
    half = len(steps) // 2
    for name in ("rewarded", "reward_gradient", "norm_gradient"):
        assert log[name].to_numpy() == pytest.approx(
            [steps[name][:half].mean(), steps[name][half:].mean()], rel=1e-4
        )


def test_finetune__says_where_no_row_was_rewarded(run, begun, quick, tmp_path, monkeypatch):
    monkeypatch.setattr("core.training.penalty.discriminative_of", nothing_fires)
    outcome = run("finetune", begun, "--regularizer", "q", "-o", tmp_path / "a.safetensors", *quick)
    assert outcome.code == 0
    for epoch in (1, 2):
        assert f"warning: epoch {epoch}: no row was rewarded: of" in outcome.err


def nothing_fires(config, n_features):
    import torch

    return torch.ones(n_features, dtype=torch.bool), 1000.0


def test_finetune__interrupted_logs_each_step_once(run, begun, quick, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole.safetensors", tmp_path / "out.safetensors"
    assert run("finetune", begun, "-o", whole, *quick).code == 0
    real = TrainingRun.train_step

    def stopped(self):
        if self.step == 3:
            raise KeyboardInterrupt
        real(self)

    monkeypatch.setattr(TrainingRun, "train_step", stopped)
    assert run("finetune", begun, "-o", out, *quick).code == 130
    monkeypatch.setattr(TrainingRun, "train_step", real)
    assert run("finetune", begun, "-o", out, *quick).code == 0
    assert files.steps_path(out).read_text() == files.steps_path(whole).read_text()
    assert run("finetune", begun, "-o", out, "--fresh", *quick).code == 0
    assert files.steps_path(out).read_text() == files.steps_path(whole).read_text()


def test_training_of_the_first_version__is_neither_finished_nor_gone_on_with(tmp_path):
    regularizer = {"kind": "q", "study": "s"}
    config = from_dict({"images": "i", "output": str(tmp_path / "a.safetensors"), "regularizer": regularizer})
    old = to_dict(config)
    del old["regularizer"]["reading"]
    output = tmp_path / "a.safetensors"
    output.write_bytes(b"")
    files.sidecar_path(output).write_text(json.dumps({"settings": old}))
    with pytest.raises(SettingsError, match="training"):
        files.is_complete(output, config)
    with pytest.raises(SettingsError, match=".regularizer.reading"):
        files.refuse_other_settings(output, old, fixed(config))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"settings": 3}', "[" * 100_000, "{}"], ids=range(6))
def test_sidecar__that_is_none_says_nothing(tmp_path, text):
    weights = tmp_path / "a.safetensors"
    files.sidecar_path(weights).write_text(text)
    assert recorded_settings(str(weights)) == {}


def test_sidecar__odd_specs_and_files_say_nothing(tmp_path):
    for spec in ("", "asset:../../secret", "python:os:system", "a@b@c", "\0", "timm:resnet18"):
        assert recorded_settings(spec) == {}
    weights = tmp_path / "a.safetensors"
    settings = {"regularizer": {"kind": "q"}}
    files.sidecar_path(weights).write_text(json.dumps({"settings": settings, "more": "x" * (1 << 20)}))
    assert recorded_settings(str(weights)) == {}  # far larger than any sidecar of ours
    files.sidecar_path(weights).write_text(json.dumps({"settings": settings}))
    assert recorded_settings(str(weights)) == settings


def test_weights__are_as_readable_as_any_other_file(tmp_path):
    (tmp_path / "plain").touch()
    save_weights({"weight": torch.zeros(1)}, tmp_path / "weights.safetensors")
    assert (tmp_path / "weights.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
