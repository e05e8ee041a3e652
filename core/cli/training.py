"""Commands that train: train, train-clip, finetune, lambda-search. Their own modules hold the options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any

from core.jobs.progress import Progress

# command, what it does, example, module with its options and its function, their names
_COMMANDS = (
    (
        "train",
        "train a self-supervised encoder",
        "train configs/simclr_glyphworld.toml",
        "core.cli.train",
        "add_train_arguments",
        "run_train",
    ),
    (
        "train-clip",
        "train the embedded CLIP on Glyphworld",
        "train-clip",
        "core.cli.train_clip",
        "add_train_clip_arguments",
        "run_train_clip",
    ),
    (
        "finetune",
        "train a study's encoder further, with the Q-Score regulariser or without",
        "finetune studies/demo --regularizer q -o finetuned/q.safetensors",
        "core.cli.finetune",
        "add_finetune_arguments",
        "run_finetune",
    ),
    (
        "lambda-search",
        "fine-tune and judge with a grid of regulariser weights",
        "lambda-search studies/demo --values 1e-5,1e-4,1e-3 --practical --epochs 5 -o searches/demo",
        "core.cli.lambda_search",
        "add_search_arguments",
        "run_search",
    ),
)


def add_training(commands: Any, add: Callable[..., argparse.ArgumentParser], command: str | None) -> None:
    """Add the commands to the parser; only the one about to run needs its options.

    Args:
        add: makes a subcommand from its name, function, summary and example.
    """
    for name, summary, sample, module, options, function in _COMMANDS:
        sub = add(commands, name, _runner(module, function), summary, sample)
        if command == name:
            sub.argument_default = None  # its function reads every option
            getattr(import_module(module), options)(sub)


def _runner(module: str, function: str) -> Callable[[argparse.Namespace], None]:
    def run(args: argparse.Namespace) -> None:
        with Progress.for_command(None, stages_total=2) as progress:
            getattr(import_module(module), function)(args, progress=progress)

    return run
