"""The command `train-clip`. torch is imported only when the training starts."""

import argparse
import json
from typing import Any

from core.cli import options
from core.cli.train import FRESH, given_settings, print_values
from core.common.assets import configs_folder
from core.jobs.progress import Progress
from core.research.small_clip.config import ClipTrainConfig, read_clip_config

DEFAULT_CONFIG = configs_folder() / "clip_glyphworld.toml"
CLIP_OPTIONS = ("output", "steps", "seed", "device", "cache")
OF_CONFIG: dict[str, str] = dict.fromkeys(CLIP_OPTIONS[:-1], "as in CONFIG")


def add_train_clip(commands: Any) -> None:
    summary = "train the built-in CLIP model on Glyphworld"
    sub = options.add_command(commands, "train-clip", run_train_clip, summary, "train-clip")
    sub.add_argument(
        "config",
        nargs="?",
        metavar="CONFIG",
        help=f"settings as .toml or .json (default: configs/{DEFAULT_CONFIG.name})",
    )
    options.add_options(sub, ClipTrainConfig, *CLIP_OPTIONS, defaults=OF_CONFIG)
    sub.add_argument("--fresh", action="store_true", help=FRESH)


def run_train_clip(args: argparse.Namespace) -> None:
    """Train the CLIP model, and print its held-out metrics."""
    with Progress.for_command(None, stages_total=2) as progress:
        file = getattr(args, "config", None) or DEFAULT_CONFIG
        config = read_clip_config(file, **given_settings(args, CLIP_OPTIONS))
        from core.research.small_clip.training import train_clip

        path = train_clip(config, progress=progress, fresh=getattr(args, "fresh", False))
    metrics = json.loads(path.with_suffix(".metrics.json").read_text(encoding="utf-8"))["held_out"]
    print(f"{path}: {metrics['step']} steps, measured on {metrics['n']} held-out scenes")
    print_values(metrics, width=18)
