"""The command `train`. torch is imported only when the training starts."""

import argparse
import dataclasses
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.cli import options
from core.common.assets import configs_folder
from core.common.processes import is_first
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.training.config import TrainConfig, from_dict, read_config
from core.training.objective import DEFAULTS, OBJECTIVES, OPTIMIZER_DEFAULTS

FRESH = "discard earlier training with the same output and start from scratch"
NOTES = """Several GPUs of one machine share each batch (--batch-size counts the images of all GPUs):
  torchrun --nproc-per-node 2 -m core train CONFIG

To continue an interrupted training, run the same command again."""
TRAIN_OPTIONS = (
    *("output", "method", "images", "val", "arch", "export_arch", "stem", "epochs", "batch_size"),
    *("accumulate", "lr", "optimizer", "temperature", "image_size", "crop_size", "precision", "seed"),
    *("device", "workers", "cache", "tensorboard", "keep_every"),
)


def add_train(commands: Any) -> None:
    sub = options.add_command(
        commands,
        "train",
        run_train,
        "train a self-supervised encoder",
        "train configs/simclr_glyphworld.toml",
        "train --method byol --images photos/ --epochs 100 -o encoder.safetensors \\\n"
        "      --arch timm:resnet18 --image-size 96 --crop-size 64",
        notes=f"{NOTES}\n\n{objective_notes()}",
    )
    add_train_arguments(sub)


def objective_notes() -> str:
    """Return the settings of the table [objective] of a CONFIG, with their defaults, by method."""
    width = max(map(len, OBJECTIVES))
    lines = ["settings of each method, in the table [objective] of CONFIG:"]
    for method, kind in OBJECTIVES.items():
        values = dataclasses.asdict(kind()) | DEFAULTS[method].get("objective", {})
        parts = [name if value is None else f"{name} = {json.dumps(value)}" for name, value in values.items()]
        text = ", ".join(parts)
        lines += textwrap.wrap(
            text, 98, initial_indent=f"  {method:<{width}}  ", subsequent_indent=" " * (width + 4)
        )
    return "\n".join(lines)


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `train`; `run_train` reads them."""
    parser.add_argument(
        "config", nargs="?", metavar="CONFIG", help="settings as .toml or .json; see configs/"
    )
    options.add_options(parser, TrainConfig, *TRAIN_OPTIONS, defaults=_defaults_of_simclr())
    parser.add_argument(
        "--resume", action="store_true", help="fail unless there is an interrupted training to continue"
    )
    parser.add_argument("--fresh", action="store_true", help=FRESH)


def _defaults_of_simclr() -> dict[str, str]:
    """Return, for the settings whose default depends on method or optimiser, those of SimCLR in words."""
    defaults = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
    by_optimizer = {name for values in OPTIMIZER_DEFAULTS.values() for name in values}
    vary = {name for values in DEFAULTS.values() for name in values if name in TRAIN_OPTIONS}
    return {
        name: f"{options.default_text(defaults[name])} for simclr; depends on the method"
        + (" and the optimiser" if name in by_optimizer else "")
        for name in vary
    }


def given_settings(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Return those of the named settings that were given on the command line."""
    return {name: getattr(args, name) for name in names if name in args}


def config_from_arguments(args: argparse.Namespace) -> TrainConfig:
    """Return the settings: those given as options, then those of the config file, then the defaults."""
    given, file = given_settings(args, TRAIN_OPTIONS), getattr(args, "config", None)
    if file:
        return read_config(file, **given)
    missing = [option for option, name in (("--images", "images"), ("-o", "output")) if name not in given]
    if missing:
        raise SettingsError(
            f"Without a CONFIG, {' and '.join(missing)} must be given. Examples are in {configs_folder()}."
        )
    return from_dict(given, where="options")


def run_train(args: argparse.Namespace) -> None:
    """Train an encoder, and print its monitors."""
    resume, fresh = getattr(args, "resume", False), getattr(args, "fresh", False)
    with Progress.for_command(None, stages_total=2) as progress:
        config = config_from_arguments(args)
        if resume and fresh:
            raise SettingsError("--resume and --fresh contradict each other: give only one of them.")
        if resume and not Path(config.output + ".resume.pt").exists():
            raise SettingsError(f"Nothing to resume: '{config.output}.resume.pt' does not exist.")
        from core.training.trainer import train

        output = train(config, progress=progress, fresh=fresh)
    if is_first():
        sidecar = json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))
        method, arch = sidecar["method"], sidecar["arch"]
        print(f"{output}: {method} {arch}, {sidecar['epochs']} epochs of {sidecar['images']}")
        print_values(sidecar["monitors"], width=12)


def print_values(values: dict[str, Any], *, width: int) -> None:
    """Print numbers by name, one a line."""
    for name, value in values.items():
        print(f"  {name:{width}} {value}")
