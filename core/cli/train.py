"""`python -m core train`: arguments, and the call. torch is imported only when the training begins."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from core.common.assets import configs_folder
from core.common.worker_group import is_first
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.training.config import TrainConfig, from_dict, read_config

EXAMPLE = """examples:
  python -m core train configs/simclr_glyphworld.toml
  python -m core train --method byol --images photos/ --epochs 100 -o encoder.safetensors \\
      --arch timm:resnet18 --image-size 96 --crop-size 64

Several GPUs of a machine share each batch (--batch-size is that of all together):
  torchrun --nproc-per-node 2 -m core train CONFIG

An interrupted training goes on when the same command is given again."""

# option, setting, type, help; what is not given comes from CONFIG, else from the defaults
_OPTIONS: tuple[tuple[str, str, Any, str], ...] = (
    ("--method", "method", str, "simclr, swav, moco, byol, dino, simsiam, vicreg or barlow (default simclr)"),
    ("--images", "images", str, "image folder, or glyphworld; see `analyze --help`"),
    ("--val", "val", str, "folder of images on which the training is monitored"),
    ("--arch", "arch", str, "timm:NAME?key=value or torchvision:NAME"),
    ("--export-arch", "export_arch", str, "the same network with other arguments, for the analysis"),
    ("--stem", "stem", str, "standard, or cifar for images of 32 pixels"),
    ("--epochs", "epochs", int, "may be changed when a training goes on"),
    ("--batch-size", "batch_size", int, "images a step"),
    (
        "--accumulate",
        "accumulate",
        int,
        "micro-batches a step: less memory, but fewer negatives",
    ),
    ("--lr", "lr", float, "learning rate per 256 images"),
    ("--optimizer", "optimizer", str, "sgd, lars or adamw"),
    ("--temperature", "temperature", float, "of the contrastive loss"),
    ("--image-size", "image_size", int, "size at which images are kept and later analysed"),
    ("--crop-size", "crop_size", int, "size of the random crops trained on"),
    ("--precision", "precision", str, "fp32, or bf16 for mixed precision (CPU and CUDA)"),
    ("--seed", "seed", int, "of weights, order and views"),
    ("--device", "device", str, "auto, cpu, cuda or cuda:N"),
    ("--workers", "workers", int, "processes that decode the images once (0: one a core)"),
    ("--cache", "cache", str, "folder for the decoded images"),
)


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train`; `run_train` does what they say."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLE
    parser.add_argument("config", nargs="?", metavar="CONFIG", help=".toml or .json, see configs/")
    parser.add_argument("-o", "--output", metavar="FILE", help="weights to write (.safetensors)")
    for option, setting, kind, text in _OPTIONS:
        parser.add_argument(option, dest=setting, type=kind, metavar=setting.upper(), help=text)
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        default=None,
        help="event files too, in FILE.tensorboard",
    )
    parser.add_argument("--resume", action="store_true", help="insist on going on: fail if nothing was begun")
    parser.add_argument(
        "--fresh", action="store_true", help="forget what was begun or finished under this name"
    )


def config_from_arguments(arguments: argparse.Namespace) -> TrainConfig:
    """The config file, if any, with the given options on top."""
    names = ["output", "tensorboard", *(setting for _, setting, _, _ in _OPTIONS)]
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if arguments.config:
        return read_config(arguments.config, **given)
    missing = [option for option, name in (("--images", "images"), ("-o", "output")) if name not in given]
    if missing:
        raise SettingsError(
            f"Without a CONFIG, {' and '.join(missing)} must be given. Examples are in {configs_folder()}."
        )
    return from_dict(given, where="options")


def run_train(arguments: argparse.Namespace, *, progress: Progress | None = None) -> Path:
    """Train as told and say where the weights are."""
    config = config_from_arguments(arguments)
    if arguments.resume and arguments.fresh:
        raise SettingsError("--resume and --fresh contradict each other: give one of them.")
    if arguments.resume and not Path(config.output + ".resume.pt").exists():
        raise SettingsError(f"Nothing to resume: '{config.output}.resume.pt' does not exist.")
    from core.training.trainer import train

    with progress or Progress.for_command(None, stages_total=2) as reporter:
        output = train(config, progress=reporter, fresh=arguments.fresh)
    if not is_first():
        return output
    sidecar = json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))
    print(
        f"{output}: {sidecar['method']} {sidecar['arch']}, {sidecar['epochs']} epochs of {sidecar['images']}"
    )
    for name, value in sidecar["monitors"].items():
        print(f"  {name:12} {value}")
    return output
