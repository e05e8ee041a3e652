"""The commands `perturbed` and `robust-features`: which features an encoder holds, by changing its inputs."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from core.cli import options, output
from core.config import RunOptions
from core.research.changed_inputs_topic import PerturbedConfig, RobustConfig
from core.study.progress import Progress

RUNNING = ("device", "batch_size", "workers")


def add_perturbed(commands: Any) -> None:
    """Add the research command `perturbed` to the command line."""
    sub = options.add_command(
        commands,
        "perturbed",
        perturbed,
        "find the images nearest to embeddings that were moved as IFM moves them",
        "perturbed studies/mine --epsilons 0,0.1,0.2,1",
        "figure studies/mine perturbed_sheet -o perturbed.pdf",
    )
    options.add_study(sub)
    sub.add_argument(
        "--epsilons",
        type=options.NUMBERS,
        metavar="A,B",
        help=f"sizes of the move (default: {options.default_text(PerturbedConfig().epsilons)})",
    )
    options.add_options(sub, PerturbedConfig, "pairs", "seed")
    _add_running(sub)


def add_robust_features(commands: Any) -> None:
    """Add the research command `robust-features` to the command line."""
    sub = options.add_command(
        commands,
        "robust-features",
        robust_features,
        "measure what a probe learns from images changed towards another class",
        "robust-features studies/mine",
        "figure studies/mine robust_bars --with studies/other -o robust.pdf",
    )
    options.add_study(sub)
    options.add_options(sub, RobustConfig)
    _add_running(sub)


def _add_running(sub: argparse.ArgumentParser) -> None:
    options.add_options(sub, RunOptions, *RUNNING)
    sub.add_argument("--redo", action="store_true", help="compute again even if nothing has changed")
    options.add_json(sub)


def perturbed(args: argparse.Namespace) -> None:
    """Run the research command `perturbed`: find the neighbours of moved embeddings, print the summary."""
    from core.research.changed_inputs_perturbed import run_perturbed

    _run(args, run_perturbed)


def robust_features(args: argparse.Namespace) -> None:
    """Run the research command `robust-features`: change images, train probes, print the accuracies."""
    from core.research.changed_inputs_robust_features import run_robust_features

    _run(args, run_robust_features)


def _run(args: argparse.Namespace, function: Callable[[Any, Mapping[str, Any], Progress], Any]) -> None:
    given = {name: value for name, value in vars(args).items() if name not in ("study", "json")}
    with Progress.for_command(args.study, stages_total=1) as progress:
        summary = function(args.study, given, progress)
    output.show(summary, output.summary_text, as_json="json" in args)
