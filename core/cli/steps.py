"""The commands that run one step of a study, `search` excepted."""

from __future__ import annotations

import argparse
from typing import Any

from core.cli import options
from core.cli.study import given
from core.common.worker_group import is_first
from core.config import RunOptions
from core.config.step import Step
from core.jobs.progress import Progress
from core.steps import STEPS
from core.topics import topics


def add_steps(commands: Any) -> None:
    """Add the command of every step of the workbench."""
    guests = {step.name for topic in topics() for step in topic.steps}
    for step in STEPS.values():
        if step.name != "search" and step.name not in guests:  # search takes a text, too: core/cli/search.py
            add_step(commands, step)


def add_step(commands: Any, step: Step) -> None:
    """Add the command of a step."""
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
