"""`python -m core train-clip`: arguments, and the call. torch is imported only when the training begins."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from core.common.assets import configs_folder
from core.concepts.clip.config import read_clip_config
from core.jobs.progress import Progress

DEFAULT_CONFIG = configs_folder() / "clip_glyphworld.toml"

# option, setting, type, help
_OPTIONS: tuple[tuple[str, str, Any, str], ...] = (
    ("--output", "output", str, "path of the asset, without ending"),
    ("--steps", "steps", int, "may be changed when a training goes on"),
    ("--seed", "seed", int, "of weights, pictures and captions"),
    ("--device", "device", str, "auto, cpu, cuda or cuda:N"),
    ("--cache", "cache", str, "folder for the rendered scenes"),
)


def add_train_clip_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train-clip`; `run_train_clip` does what they say."""
    parser.add_argument(
        "config", nargs="?", metavar="CONFIG", help=".toml or .json (default: configs/clip_glyphworld.toml)"
    )
    for option, setting, kind, text in _OPTIONS:
        parser.add_argument(option, dest=setting, type=kind, metavar=setting.upper(), help=text)
    parser.add_argument("--fresh", action="store_true", help="forget what was begun under this name")


def run_train_clip(arguments: argparse.Namespace, *, progress: Progress | None = None) -> Path:
    """Train as told, and say where the asset is and what it can do."""
    given = {name: getattr(arguments, name, None) for _, name, _, _ in _OPTIONS}
    config = read_clip_config(getattr(arguments, "config", None) or DEFAULT_CONFIG, **given)
    from core.concepts.clip.training import train_clip

    with progress or Progress(None, terminal=True, stages_total=2) as reporter:
        path = train_clip(config, progress=reporter, fresh=getattr(arguments, "fresh", False))
    figures = json.loads(path.with_suffix(".metrics.json").read_text(encoding="utf-8"))["held_out"]
    print(f"{path}: {figures['step']} steps, measured on {figures['n']} held-out scenes")
    for name, value in figures.items():
        print(f"  {name:18} {value}")
    return path
