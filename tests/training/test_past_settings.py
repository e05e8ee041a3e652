"""Trainings begun by earlier versions: gone on with to the same bits, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core.errors import SettingsError
from core.training import files
from core.training.config import from_dict, to_dict
from core.training.past_settings import as_it_was, complete_settings, setting_changes
from core.training.trainer import train
from tests.sampling import sample

# What each method computed before its default became the paper's.
THEN: dict[str, dict[str, Any]] = {
    "swav": {"objective": {"prototype_bias": True}},
    "byol": {"objective": {"momentum": 0.99}},
    "dino": {"objective": {"momentum": 0.99}, "weight_decay_end": None},
    "simsiam": {"objective": {"constant_predictor_rate": False}},
    "simclr": {
        "augment": {
            "fourier": {
                "amplitude_mean": False,
                "mixture_isotropic": True,
                "clip_each": True,
                "amplitude": 0.5,
            }
        }
    },
}
FOURIER = ("amplitude_mean", "mixture_isotropic", "clip_each")
NEW = ("weight_decay_end", "constant_predictor_rate", "prototype_bias", *FOURIER)
SMALL = {"prototypes": 8, "local_crops": 0, "bottleneck": 6, "queue": 24}


def settings(name: str, *, then: bool) -> dict[str, Any]:
    of_method = THEN[name] if then else {}
    table = {"fourier": {"amplitude": 0.5}} if name == "simclr" else {}
    return {
        "method": name,
        "half": False,
        "lr": 0.1,
        **{key: value for key, value in of_method.items() if key not in ("objective", "augment")},
        "objective": {**SMALL, **of_method.get("objective", {})},
        "augment": of_method.get("augment", table),
    }


def without_new(values: Any) -> Any:
    """Stored settings as an earlier version wrote them."""
    if not isinstance(values, dict):
        return values
    return {key: without_new(value) for key, value in values.items() if key not in NEW}


@pytest.fixture
def begun(tiny_source, tiny_config, stopping_at):
    """A training of an earlier version that was interrupted after five of eight steps; its resume file."""

    def make(name: str) -> Path:
        config = tiny_config(**settings(name, then=True))
        with stopping_at(5), pytest.raises(KeyboardInterrupt):
            train(config)
        path = files.resume_path(Path(config.output))
        state = torch.load(path, weights_only=True)
        state["settings"] = without_new(state["settings"])
        for group in state["optimiser"]["param_groups"]:
            del group["decayed"], group["constant_rate"]
        torch.save(state, path)
        return path

    return make


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(("dino", "simclr", "swav", "byol", "simsiam"), 2))
def test_resume__of_an_earlier_version(begun, tiny_config, tmp_path, name):
    path = begun(name)
    with pytest.raises(SettingsError) as caught:
        train(tiny_config(**settings(name, then=False)))
    message = str(caught.value)
    assert message.startswith(f"'{path}' was started with other settings (") and "\n" not in message
    assert "Change them back, or start over with --fresh." in message
    for key in flat(THEN[name]):
        if key != "amplitude":
            assert key in message
    output = train(tiny_config(**settings(name, then=True)))
    whole = tiny_config(**settings(name, then=True), output=str(tmp_path / "whole.safetensors"))
    once, again = load_file(train(whole)), load_file(output)
    assert all(torch.equal(tensor, again[key]) for key, tensor in once.items())


def flat(values: dict[str, Any]) -> list[str]:
    inner = (flat(value) if isinstance(value, dict) else [key] for key, value in values.items())
    return [key for keys in inner for key in keys]


@pytest.mark.parametrize("name", ["simclr", "moco", "vicreg", "barlow"])
def test_changes__methods_without_new_defaults_go_on(name):
    config = from_dict({"images": "a", "output": "b", "method": name})
    assert setting_changes(without_new(to_dict(config)), to_dict(config)) == []


@pytest.mark.parametrize("name", ["swav", "byol", "dino", "simsiam"])
def test_defaults__of_then_are_refused_and_can_be_asked_for(name):
    new = from_dict({"images": "a", "output": "b", "method": name})
    old = from_dict({"images": "a", "output": "b", "method": name, **THEN[name]})
    stored = without_new(to_dict(old))
    assert setting_changes(stored, to_dict(old)) == []
    assert len(setting_changes(stored, to_dict(new))) == len(flat(THEN[name]))
    assert setting_changes(to_dict(new), to_dict(new)) == []


def test_as_it_was__leaves_what_is_stored():
    stored = {"method": "SwAV", "objective": {"prototype_bias": False}}
    assert as_it_was(stored) == stored
    assert as_it_was({"method": "nothing"}) == {"method": "nothing"} and as_it_was({}) == {}
    assert as_it_was({"method": "swav"})["objective"] == {"prototype_bias": True}
    assert as_it_was({"augment": {"fourier": None}}) == {"augment": {"fourier": None}}


def test_complete_settings__of_another_version_cannot_be_read():
    assert complete_settings({"method": "simclr", "speed": 3}) == {"method": "simclr", "speed": 3}
    assert complete_settings({}) == {}
    assert json.dumps(complete_settings({"method": "dino"}))


@pytest.mark.slow
def test_run__writes_the_log_that_a_killed_process_did_not(tiny_source, tiny_config, monkeypatch):
    """The state after the last step is stored before the log's last line."""

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "write_log", killed)
        train(tiny_config(epochs=1))
    output = Path(tiny_config().output)
    assert files.resume_path(output).exists() and not files.log_path(output).exists()
    train(tiny_config(epochs=1))
    assert files.log_path(output).read_text().startswith("epoch,loss")
    assert not files.resume_path(output).exists()
