"""`python -m core finetune`: arguments, the call, and what to run next."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.common.command_line import command_line
from core.common.worker_group import is_first
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.training.regularizers.config import KINDS, READINGS

if TYPE_CHECKING:
    from core.store import Study

EXAMPLE = """examples:
  python -m core finetune studies/demo --regularizer q -o finetuned/q.safetensors
  python -m core finetune studies/demo --regularizer none --practical --epochs 5 -o finetuned/base.safetensors

The baseline of a comparison is the same training with --regularizer none. At the paper's rate hardly a
weight moves (the log names the relative change); --practical trains at a tenth of the method's own rate.
An interrupted fine-tuning goes on when the same command is given again."""

# option, setting, type, help; what is not given is as in the encoder's own training, else the default
_OPTIONS: tuple[tuple[str, str, Any, str], ...] = (
    ("--method", "method", str, "simclr, swav … (default: the one that the encoder was trained with)"),
    ("--images", "images", str, "other images than the study's"),
    ("--val", "val", str, "folder of images on which the training is monitored"),
    ("--lr", "lr", float, "learning rate per 256 images (default 1e-5)"),
    ("--optimizer", "optimizer", str, "lars (default), sgd or adamw"),
    ("--epochs", "epochs", int, "default 50; may be changed when a training goes on"),
    ("--warmup-epochs", "warmup_epochs", float, "default: a tenth of the epochs"),
    ("--batch-size", "batch_size", int, "images a step"),
    ("--crop-size", "crop_size", int, "size of the random crops trained on"),
    ("--precision", "precision", str, "fp32, or bf16 for mixed precision (CPU and CUDA)"),
    ("--seed", "seed", int, "of heads, order and views; the study's split stays"),
    ("--device", "device", str, "auto, cpu, cuda or cuda:N"),
    ("--workers", "workers", int, "processes that decode the images once (0: one a core)"),
    ("--cache", "cache", str, "folder for the decoded images"),
)
_LAMBDAS = (
    ("--lambda1", "lambda1", "of low Q-Scores (default 1e-4)"),
    ("--lambda2", "lambda2", "of features that are active on much of a batch (default 1e-4)"),
    ("--weight", "weight", "of the Lasso (default 1e-2)"),
)


def add_training_options(parser: argparse.ArgumentParser, *, but: tuple[str, ...] = ()) -> None:
    """The options of a fine-tuning that decide how it trains."""
    for option, setting, kind, text in _OPTIONS:
        if setting not in but:
            parser.add_argument(option, dest=setting, type=kind, metavar=setting.upper(), help=text)
    parser.add_argument(
        "--practical", action="store_true", help="a tenth of the method's own rate, with its own optimiser"
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """The option that says how eq. 3 is read."""
    parser.add_argument(
        "--reading",
        choices=READINGS,
        help="what q divides by a batch's rows: nothing (sum, default), the reward (printed), both (mean)",
    )


def add_finetune_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `finetune`; `run_finetune` does what they say."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLE
    parser.add_argument("study", type=Path, metavar="STUDY", help="whose encoder, images and D are used")
    parser.add_argument("-o", "--output", metavar="FILE", help="weights to write (.safetensors)")
    parser.add_argument("--regularizer", choices=KINDS, help="q (default), lasso or none")
    for option, setting, text in _LAMBDAS:
        parser.add_argument(option, dest=setting, type=float, metavar="L", help=text)
    add_reading(parser)
    add_training_options(parser)
    parser.add_argument(
        "--frozen", action="store_true", help="control: weights stand still, BatchNorm statistics do not"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="forget what was begun or finished under this name"
    )
    parser.add_argument(
        "--half",
        action="store_true",
        help="write half precision, which rounds small changes away",
    )


def training_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fields of TrainConfig, `method` and `practical`, as given; None where not given."""
    names = [setting for _, setting, _, _ in _OPTIONS]
    return {name: getattr(arguments, name, None) for name in names} | {
        "practical": bool(getattr(arguments, "practical", False))
    }


def run_finetune(arguments: argparse.Namespace, *, progress: Progress | None = None) -> Path:
    """Fine-tune as told, and say what changed and what to run next."""
    if not arguments.output:
        raise SettingsError("which file? Give -o FILE.safetensors")
    from core.store import open_study
    from core.training.finetuning.finetune import finetune, finetune_config

    study = open_study(arguments.study)
    lambdas = {name: getattr(arguments, name) for _, name, _ in _LAMBDAS}
    lambdas["reading"] = arguments.reading
    own = {"kind": arguments.regularizer or "q", **{k: v for k, v in lambdas.items() if v is not None}}
    given = training_options(arguments) | {"frozen": arguments.frozen, "half": arguments.half or None}
    config = finetune_config(study, arguments.output, regularizer=own, **given)
    with progress or Progress(None, terminal=True, stages_total=2) as reporter:
        sidecar = finetune(config, progress=reporter, fresh=arguments.fresh)
    if is_first():
        print("\n".join(report(study, sidecar, config.output)))
    return Path(config.output)


def report(study: Study, sidecar: dict[str, Any], output: str) -> list[str]:
    """What was done, how far the weights moved, and the commands that compare."""
    own = sidecar["regularizer"]["kind"]
    if own == "q":
        own += f" (reading {sidecar['regularizer']['reading']})"
    frozen = ", weights frozen" if sidecar["frozen"] else ""
    lines = [f"{output}: {sidecar['method']} {sidecar['epochs']} epochs, regulariser {own}{frozen}"]
    lines += [f"  {name:18} {value}" for name, value in sidecar["monitors"].items()]
    after = study.path.with_name(f"{study.path.name}-{Path(output).stem}")
    settings, epsilon = study.settings("embed"), study.summary("features")["epsilon"]
    same = {name: settings.get(name) or None for name in ("val", "seed")}
    judged = command_line(
        "analyze", after, images=settings["images"], encoder=output, **same, epsilon=f"{epsilon:g}"
    )
    return [*lines, "next:", f"  {judged}", f"  {command_line('compare', study.path, after)}"]
