"""The steps of a study: their settings, their inputs, and the modules of their functions."""

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
NEEDS: dict[str, tuple[str, ...]] = {  # if any other step is absent, only its columns stay empty
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
STEP_OPTIONS: dict[str, tuple[str, ...]] = {  # settings of a step that the dashboard may set
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
DECODES = ("heatmaps", "overlap")  # steps that read images in batches accept --batch-size and --workers
MODULES = {  # module of each step's function
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
    """Build the step's config: `options` (ignoring those of other steps) over `base` over the defaults."""
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
    """Read how fast and where to run from the same options; each torchrun process takes its own GPU."""
    names = {field.name for field in dataclasses.fields(RunOptions)}
    run = RunOptions(**{name: value for name, value in options.items() if name in names})
    if run.device == "cuda" and "LOCAL_RANK" in os.environ:
        return dataclasses.replace(run, device=f"cuda:{os.environ['LOCAL_RANK']}")
    return run


def check_device(options: Mapping[str, Any]) -> None:
    """Raise SettingsError for a device that is unknown or not available, before any work is done."""
    if options.get("device"):
        from core.common.device import resolve_device

        resolve_device(run_options(options).device)


def check_embed_options(options: dict[str, Any]) -> None:
    """Require images and an encoder, or precomputed representations (with or without images)."""
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
    """Check the map settings before the present map is deleted: method, sample size, umap-learn installed."""
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
    """Return the function `compute_STEP(study, step writer, config, progress=, device=)` of a step."""
    return getattr(import_module(MODULES[step]), f"compute_{step}")
