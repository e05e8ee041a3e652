"""The commands `train` and `finetune`. torch is imported only when the training starts."""

from __future__ import annotations

import argparse
import dataclasses
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli import options
from core.cli.sentences import say_of_command
from core.common.assets import configs_folder
from core.common.command_line import command_line
from core.common.processes import is_first
from core.common.step_facts import FeaturesFacts
from core.errors import SettingsError
from core.study.progress import Progress
from core.training.config import OF_READING, PAPER, RegularizerConfig, TrainConfig, from_dict, read_config
from core.training.objective import DEFAULTS, OBJECTIVES, OPTIMIZER_DEFAULTS

if TYPE_CHECKING:
    from core.store import Study


# The command `train`. torch is imported only when the training starts.


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
    """Add the command `train` to the command line."""
    sub = options.add_command(
        commands,
        "train",
        run_train,
        "train a self-supervised encoder",
        "train configs/simclr_glyphworld.toml",
        "train --method byol --images photos/ --epochs 100 -o encoder.safetensors \\\n"
        "      --arch timm:resnet18 --image-size 96 --crop-size 64",
        notes=f"{NOTES}\n\n{_objective_notes()}",
    )
    add_train_arguments(sub)


def _objective_notes() -> str:
    """Return the help text of `train` on the settings of the table [objective], by method."""
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
    """Add the options of the command `train`; `run_train` reads them."""
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
    """Return those of the named settings of `train` that were given on the command line."""
    return {name: getattr(args, name) for name in names if name in args}


def _config_from_arguments(args: argparse.Namespace) -> TrainConfig:
    """Return the settings of `train`: those given as options, then the config file, then defaults."""
    given, file = given_settings(args, TRAIN_OPTIONS), getattr(args, "config", None)
    if file:
        return read_config(file, **given)
    missing = [option for option, name in (("--images", "images"), ("-o", "output")) if name not in given]
    if missing:
        raise SettingsError(
            say_of_command("without_config", names=tuple(missing), what=str(configs_folder()))
        )
    return from_dict(given, where="options")


def run_train(args: argparse.Namespace) -> None:
    """Run the command `train`: train an encoder, and print its monitors."""
    resume, fresh = getattr(args, "resume", False), getattr(args, "fresh", False)
    with Progress.for_command(None, stages_total=2) as progress:
        config = _config_from_arguments(args)
        if resume and fresh:
            raise SettingsError(say_of_command("resume_and_fresh"))
        if resume and not Path(config.output + ".resume.pt").exists():
            raise SettingsError(say_of_command("nothing_to_resume", what=f"{config.output}.resume.pt"))
        from core.training.trainer import train

        output = train(config, progress=progress, fresh=fresh)
    if is_first():
        sidecar = json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))
        method, arch = sidecar["method"], sidecar["arch"]
        network = (method, arch, sidecar["images"])
        print(say_of_command("trained", what=str(output), names=network, n=sidecar["epochs"]))
        _print_values(sidecar["monitors"], width=12)


def _print_values(values: dict[str, Any], *, width: int) -> None:
    """Print numbers of the command `train` by name, one a line."""
    for name, value in values.items():
        print(f"  {name:{width}} {value}")


# The command `finetune`. torch is imported only when the training starts.


FINETUNE_NOTES = """\
For a baseline, run the same training with --regularizer none. At the learning rate of the paper, the
weights hardly change (the log states by how much); --practical uses a tenth of the method's own rate.
To continue an interrupted training, run the same command again."""
OPTIONS_OF_TRAIN = (
    *("method", "images", "val", "lr", "optimizer", "epochs", "warmup_epochs", "batch_size", "crop_size"),
    *("precision", "seed", "device", "workers", "cache"),
)
AS_TRAINED = "as the encoder was trained"
FINETUNE_DEFAULTS = {
    **PAPER,
    **dict.fromkeys(("method", "batch_size", "crop_size", "precision"), AS_TRAINED),
    "images": "the study's",
    "warmup_epochs": "a tenth of the epochs",
}
LAMBDAS = ("lambda1", "lambda2", "weight", "reading")


def add_finetune(commands: Any) -> None:
    """Add the command `finetune` to the command line."""
    sub = options.add_command(
        commands,
        "finetune",
        _run_finetune,
        "fine-tune the encoder of a study, with or without a regulariser",
        "finetune studies/demo --regularizer q -o finetuned/q.safetensors",
        "finetune studies/demo --regularizer none --practical --epochs 5 -o finetuned/base.safetensors",
        notes=FINETUNE_NOTES,
    )
    _add_studied(sub)
    options.add_options(sub, TrainConfig, "output")
    options.add_options(sub, RegularizerConfig, "kind", *LAMBDAS, defaults={"kind": "q"})
    _add_training_options(sub)
    options.add_options(sub, TrainConfig, "frozen")
    sub.add_argument("--fresh", action="store_true", help=FRESH)
    sub.add_argument(
        "--half", action="store_true", help="write weights in half precision, which rounds off small changes"
    )


def _add_studied(sub: argparse.ArgumentParser) -> None:
    """Add the argument of the study whose encoder the command `finetune` fine-tunes."""
    sub.add_argument(
        "study",
        type=options.folder,
        metavar="STUDY",
        help="study whose encoder, images and discriminative features are used",
    )


def _add_training_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command `finetune` that decide how it trains."""
    options.add_options(sub, TrainConfig, *OPTIONS_OF_TRAIN, defaults=FINETUNE_DEFAULTS)
    sub.add_argument(
        "--practical",
        action="store_true",
        help="use a tenth of the method's own learning rate, and its own optimiser",
    )


def _training_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings given for the training itself, by the names of `finetune_config`."""
    return given_settings(args, OPTIONS_OF_TRAIN) | {"practical": "practical" in args}


def _run_finetune(args: argparse.Namespace) -> None:
    """Run the command `finetune`, and print what changed and what to run next."""
    with Progress.for_command(None, stages_total=2) as progress:
        if not getattr(args, "output", ""):
            raise SettingsError("which file? Give -o FILE.safetensors")
        from core.store import Study
        from core.training.finetune import finetune, finetune_config

        study = Study(args.study)
        regularizer = {"kind": "q", **given_settings(args, ("kind", *LAMBDAS))}
        given = _training_options(args) | {"frozen": "frozen" in args, "half": "half" in args or None}
        config = finetune_config(study, args.output, regularizer=regularizer, **given)
        sidecar = finetune(config, progress=progress, fresh="fresh" in args)
    if is_first():
        print("\n".join(finetune_report(study, sidecar, config.output)))


def finetune_report(study: Study, sidecar: dict[str, Any], output: str) -> list[str]:
    """Return what the command `finetune` prints: what was trained, how far weights moved, how to evaluate."""
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
