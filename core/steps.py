"""The steps of a study: their settings, what they read, and where their functions lie."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from core.config import (
    MAP_METHODS,
    ConceptsConfig,
    EmbedConfig,
    FailuresConfig,
    FeaturesConfig,
    HeatmapsConfig,
    MapConfig,
    NeighboursConfig,
    OverlapConfig,
    ProbeConfig,
    QualityConfig,
    RunOptions,
)
from core.errors import SettingsError

CONFIGS: dict[str, type] = {
    "embed": EmbedConfig,
    "features": FeaturesConfig,
    "neighbours": NeighboursConfig,
    "probe": ProbeConfig,
    "quality": QualityConfig,
    "map": MapConfig,
    "heatmaps": HeatmapsConfig,
    "overlap": OverlapConfig,
    "concepts": ConceptsConfig,
    "failures": FailuresConfig,
}
INPUTS: dict[str, tuple[str, ...]] = {
    "embed": (),
    "features": ("representations", "images"),
    "neighbours": ("representations", "images"),
    "probe": ("representations", "images"),
    "quality": ("representations", "images", "features", "firing_features", "probe", "neighbours"),
    "map": ("representations", "images"),
    "heatmaps": ("representations", "images", "features", "firing_features"),
    "overlap": ("images", "features", "firing_features", "heatmap_maps", "probe"),
    "concepts": ("representations", "images"),
    "failures": ("representations", "images", "probe", "probe_weights", "concepts"),
}
NEEDS: dict[str, tuple[str, ...]] = {  # other steps whose absence only leaves columns empty
    "features": ("embed",),
    "neighbours": ("embed",),
    "probe": ("embed",),
    "quality": ("embed", "features"),
    "map": ("embed",),
    "heatmaps": ("embed", "features"),
    "overlap": ("embed", "features", "heatmaps"),
    "concepts": ("embed",),
    "failures": ("embed", "probe"),
}
STEP_OPTIONS: dict[str, tuple[str, ...]] = {  # settings that a click may give a step
    "features": ("epsilon",),
    "neighbours": (),
    "probe": (),
    "quality": (),
    "map": (),
    "heatmaps": (),
    "overlap": ("masks", "salient_imagenet"),
    "concepts": ("captions", "clip", "k", "min_images"),
    "failures": (),
}
DECODES = ("heatmaps", "overlap")  # read pictures in batches: take --batch-size and --workers
MODULES = {  # where a step's function lies
    "features": "core.analysis.features.step",
    "neighbours": "core.analysis.quality.neighbours",
    "probe": "core.analysis.probe.step",
    "quality": "core.analysis.quality.step",
    "map": "core.analysis.projection.step",
    "heatmaps": "core.analysis.gradcam.step",
    "overlap": "core.analysis.overlap.step",
    "concepts": "core.concepts.step",
    "failures": "core.concepts.failures",
}


def settings_of(step: str, options: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> Any:
    """The step's config from `options` (other steps' options are ignored) over `base` over the defaults."""
    names = {field.name for field in dataclasses.fields(CONFIGS[step])}
    names -= {field.name for field in dataclasses.fields(RunOptions)}  # --batch-size is not the probe's
    values = {**(base or {}), **options}
    chosen = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if name in names and value is not None
    }
    if step == "embed":
        check_embed_options(chosen)
    if step == "map":
        check_map_options(chosen)
    return CONFIGS[step](**chosen)


def run_options(options: Mapping[str, Any]) -> RunOptions:
    """How fast and where to run, from the same options; each process of a torchrun takes its own GPU."""
    names = {field.name for field in dataclasses.fields(RunOptions)}
    run = RunOptions(**{name: value for name, value in options.items() if name in names})
    if run.device == "cuda" and "LOCAL_RANK" in os.environ:
        return dataclasses.replace(run, device=f"cuda:{os.environ['LOCAL_RANK']}")
    return run


def check_device(options: Mapping[str, Any]) -> None:
    """Raise SettingsError for a device that is unknown or not here, before any work is done."""
    if options.get("device"):
        from core.common.device import resolve_device

        resolve_device(run_options(options).device)


def check_embed_options(options: dict[str, Any]) -> None:
    """Images and an encoder must be named, or ready representations (with or without images)."""
    if not options.get("images") and not options.get("representations"):
        raise SettingsError("which images? Give --images DIR (or a .csv, 'torchvision:NAME', 'glyphworld')")
    if bool(options.get("encoder")) == bool(options.get("representations")):
        raise SettingsError(
            "which encoder? Give either --encoder SPEC (e.g. torchvision:resnet50, resnet18@FILE.ckpt) "
            "or --representations FILE.npy"
        )
    options.setdefault("encoder", "")
    options.setdefault("images", "")


def check_map_options(options: Mapping[str, Any]) -> None:
    """Before the present map is given up: a known method, a sample to fit to, and umap-learn for UMAP."""
    method, sample = options.get("method", "pca"), options.get("sample", 2)
    if method not in MAP_METHODS:
        raise SettingsError(f"unknown map '{method}'; known: {', '.join(MAP_METHODS)}")
    if sample < 2:
        raise SettingsError(f"--sample must be at least 2, got {sample}")
    if method == "umap" and not (sys.modules.get("umap") or _installed("umap")):
        raise SettingsError("the UMAP map needs umap-learn. Run: pip install umap-learn; or use --method pca")


def _installed(module: str) -> bool:
    return module not in sys.modules and find_spec(module) is not None


def step_function(step: str) -> Callable[..., None]:
    """`compute_STEP(study, step writer, config, progress=, device=)` of a step after `embed`."""
    return getattr(import_module(MODULES[step]), f"compute_{step}")
