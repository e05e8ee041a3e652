"""The commands that run one step of a study: embed to failures."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from core.cli import options
from core.cli.study import given
from core.common.worker_group import is_first
from core.config import (
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
from core.jobs.progress import Progress


@dataclass(frozen=True)
class StepCommand:
    """A step on the command line: its words, the config with its options, and the RunOptions it takes."""

    name: str
    summary: str
    example: str
    config: type
    running: tuple[str, ...] = ("device",)


IN_BATCHES = ("device", "batch_size", "workers")
STEP_COMMANDS = (
    StepCommand(
        "embed",
        "compute the representations of all images",
        "embed studies/mine --images photos --encoder torchvision:resnet50",
        EmbedConfig,
        (*IN_BATCHES, "strict"),
    ),
    StepCommand(
        "features",
        "find the features that fire, and which of them are discriminative",
        "features studies/mine --epsilon auto",
        FeaturesConfig,
    ),
    StepCommand(
        "neighbours",
        "find the train images nearest to each evaluation image",
        "neighbours studies/mine",
        NeighboursConfig,
    ),
    StepCommand(
        "probe",
        "train the linear probe that decides which images are classified correctly",
        "probe studies/mine",
        ProbeConfig,
    ),
    StepCommand(
        "quality",
        "compute Q-Scores and baseline scores, and evaluate how well they predict errors",
        "quality studies/mine",
        QualityConfig,
    ),
    StepCommand(
        "map",
        "place every image on a map where similar images are close together",
        "map studies/mine",
        MapConfig,
        (),
    ),
    StepCommand(
        "heatmaps",
        "compute and store heatmaps of the discriminative features",
        "heatmaps studies/mine --masks masks",
        HeatmapsConfig,
        IN_BATCHES,
    ),
    StepCommand(
        "overlap",
        "compare heatmaps with core and spurious masks (mIoU)",
        "overlap studies/mine --salient-imagenet masks --annotations discover_spurious_features.csv",
        OverlapConfig,
        IN_BATCHES,
    ),
    StepCommand(
        "concepts",
        "explain features and groups of features in words (FALCON)",
        "concepts studies/mine --captions captions.csv --clip ViT-B-32@openai",
        ConceptsConfig,
    ),
    StepCommand(
        "failures",
        "find the features behind the probe's errors",
        "failures studies/mine --top 5",
        FailuresConfig,
        (),
    ),
)


def add_steps(commands: Any) -> None:
    """Add the command of every step."""
    for step in STEP_COMMANDS:
        sub = options.add_command(commands, step.name, run_step, step.summary, step.example)
        options.add_study(sub)
        options.add_options(sub, step.config)
        if step.running:
            options.add_options(sub, RunOptions, *step.running)
        if step.name == "heatmaps":
            _add_single_heatmaps(sub)
        sub.add_argument("--redo", action="store_true", help="run the step even if nothing has changed")
        options.add_json(sub)


def _add_single_heatmaps(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("heatmaps of single images, cached with the study")
    group.add_argument("--image", metavar="ID", action="append", help="image id; may be repeated")
    group.add_argument(
        "--feature", type=options.FEATURES, metavar="J[,K]", help="features to show on those images"
    )


def run_step(args: argparse.Namespace) -> None:
    """Run the step and print its summary."""
    from core.cli import output
    from core.pipeline import run as pipeline
    from core.storage.manifest import refuse_foreign_folder

    refuse_foreign_folder(args.study)
    with Progress.for_command(args.study, stages_total=1) as progress:
        if args.command == "heatmaps" and ("image" in args or "feature" in args):
            summary = pipeline.request_heatmaps(args.study, given(args), progress)
        else:
            summary = pipeline.run_step(args.command, args.study, given(args), progress)
    if is_first():
        output.show(summary, output.summary_text, as_json="json" in args)
