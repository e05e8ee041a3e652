"""The command `finetune`. torch is imported only when the training starts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli import options
from core.cli.train import FRESH, given_settings
from core.common.command_line import command_line
from core.common.processes import is_first
from core.common.step_facts import FeaturesFacts
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.training.config import OF_READING, TrainConfig
from core.training.finetuning.defaults import PAPER
from core.training.regularizers.config import RegularizerConfig

if TYPE_CHECKING:
    from core.store import Study

FINETUNE_NOTES = """\
For a baseline, run the same training with --regularizer none. At the learning rate of the paper, the
weights hardly change (the log states by how much); --practical uses a tenth of the method's own rate.
To continue an interrupted training, run the same command again."""
TRAIN_OPTIONS = (
    *("method", "images", "val", "lr", "optimizer", "epochs", "warmup_epochs", "batch_size", "crop_size"),
    *("precision", "seed", "device", "workers", "cache"),
)
AS_TRAINED = "as the encoder was trained"
DEFAULTS = {
    **PAPER,
    **dict.fromkeys(("method", "batch_size", "crop_size", "precision"), AS_TRAINED),
    "images": "the study's",
    "warmup_epochs": "a tenth of the epochs",
}
LAMBDAS = ("lambda1", "lambda2", "weight", "reading")


def add_finetune(commands: Any) -> None:
    sub = options.add_command(
        commands,
        "finetune",
        run_finetune,
        "fine-tune the encoder of a study, with or without a regulariser",
        "finetune studies/demo --regularizer q -o finetuned/q.safetensors",
        "finetune studies/demo --regularizer none --practical --epochs 5 -o finetuned/base.safetensors",
        notes=FINETUNE_NOTES,
    )
    add_studied(sub)
    options.add_options(sub, TrainConfig, "output")
    options.add_options(sub, RegularizerConfig, "kind", *LAMBDAS, defaults={"kind": "q"})
    add_training_options(sub)
    options.add_options(sub, TrainConfig, "frozen")
    sub.add_argument("--fresh", action="store_true", help=FRESH)
    sub.add_argument(
        "--half", action="store_true", help="write weights in half precision, which rounds off small changes"
    )


def add_studied(sub: argparse.ArgumentParser) -> None:
    """Add the argument of the study whose encoder is fine-tuned."""
    sub.add_argument(
        "study",
        type=options.folder,
        metavar="STUDY",
        help="study whose encoder, images and discriminative features are used",
    )


def add_training_options(sub: argparse.ArgumentParser) -> None:
    """Add the options that decide how a fine-tuning trains."""
    options.add_options(sub, TrainConfig, *TRAIN_OPTIONS, defaults=DEFAULTS)
    sub.add_argument(
        "--practical",
        action="store_true",
        help="use a tenth of the method's own learning rate, and its own optimiser",
    )


def training_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings given for the training itself, by the names of `finetune_config`."""
    return given_settings(args, TRAIN_OPTIONS) | {"practical": "practical" in args}


def run_finetune(args: argparse.Namespace) -> None:
    """Fine-tune, and print what changed and what to run next."""
    with Progress.for_command(None, stages_total=2) as progress:
        if not getattr(args, "output", ""):
            raise SettingsError("which file? Give -o FILE.safetensors")
        from core.store import Study
        from core.training.finetuning.finetune import finetune, finetune_config

        study = Study(args.study)
        regularizer = {"kind": "q", **given_settings(args, ("kind", *LAMBDAS))}
        given = training_options(args) | {"frozen": "frozen" in args, "half": "half" in args or None}
        config = finetune_config(study, args.output, regularizer=regularizer, **given)
        sidecar = finetune(config, progress=progress, fresh="fresh" in args)
    if is_first():
        print("\n".join(report(study, sidecar, config.output)))


def report(study: Study, sidecar: dict[str, Any], output: str) -> list[str]:
    """Return what was trained, how far the weights moved, and the commands that evaluate the result."""
    kind = sidecar["regularizer"]["kind"]
    if kind == "q":
        kind += f" (reading {sidecar['regularizer']['reading']})"
    frozen = ", weights frozen" if sidecar["frozen"] else ""
    lines = [f"{output}: {sidecar['method']} {sidecar['epochs']} epochs, regulariser {kind}{frozen}"]
    lines += [f"  {name:18} {value}" for name, value in sidecar["monitors"].items()]
    after = study.path.with_name(f"{study.path.name}-{Path(output).stem}")
    settings, epsilon = study.settings("embed"), study.facts(FeaturesFacts).known_epsilon
    same = {name: settings.get(name) or None for name in ("val", *OF_READING, "seed")}
    evaluate = command_line(
        "analyze", after, images=settings["images"], encoder=output, **same, epsilon=f"{epsilon:g}"
    )
    return [*lines, "next:", f"  {evaluate}", f"  {command_line('compare', study.path, after)}"]
