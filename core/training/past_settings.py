"""Settings of earlier versions, and which differences keep a training from being resumed. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import SettingsError
from core.training.config import FREE_ON_RESUME, from_dict, to_dict
from core.training.objective import method_name
from core.training.regularizers.config import was_penalty_alone

# What a method computed before a setting existed, where its present default is another.
BEFORE: dict[str, dict[str, Any]] = {
    "dino": {"weight_decay_end": None},
    "simsiam": {"objective": {"constant_predictor_rate": False}},
    "swav": {"objective": {"prototype_bias": True}},
}
FOURIER_BEFORE = {"amplitude_mean": False, "mixture_isotropic": True, "clip_each": True}


def as_it_was(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Add to stored settings what an earlier version, which lacked these settings, computed.

    Args:
        settings: stored by this or an earlier version; may lack any.
    """
    completed = dict(settings)
    for name, value in BEFORE.get(_method(completed), {}).items():
        given = completed.setdefault(name, value)
        if isinstance(value, dict) and isinstance(given, dict):
            completed[name] = {**value, **given}
    augment = completed.get("augment")
    if isinstance(augment, dict) and isinstance(augment.get("fourier"), dict):
        completed["augment"] = {**augment, "fourier": {**FOURIER_BEFORE, **augment["fourier"]}}
    return completed


def _method(settings: Mapping[str, Any]) -> str:
    try:
        return method_name(settings.get("method", "simclr"))
    except SettingsError:
        return ""


def complete_settings(old: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a training: stored ones, and those that its version did not have.

    A setting that did not exist has its value of then (see `as_it_was`), which for most is the present
    default. Settings that this version does not know cannot be interpreted: they are returned unchanged.
    """
    try:
        completed = to_dict(from_dict({"images": "", "output": "", **as_it_was(old)})) if old else {}
    except SettingsError:
        return dict(old)
    if was_penalty_alone(old.get("regularizer") or {}):
        completed["regularizer"]["reading"] = "none (its reward was zero)"
    return completed


def setting_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """List the differences that keep settings `new` from resuming a run with `old`: "lr 0.5 -> 0.3"."""
    old, new = _one_level(complete_settings(old)), _one_level(new)
    keys = [key for key in new if key not in FREE_ON_RESUME]
    return [f"{key} {old.get(key)} -> {new[key]}" for key in keys if old.get(key) != new[key]]


def _one_level(settings: dict[str, Any]) -> dict[str, Any]:
    """Flatten {"augment": {"blur": 0}} to {"augment.blur": 0}."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        inner = _one_level(value) if isinstance(value, dict) else None
        flat |= {key: value} if inner is None else {f"{key}.{k}": v for k, v in inner.items()}
    return flat
