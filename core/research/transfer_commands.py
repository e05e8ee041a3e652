"""The command `transfer`: concepts in another study."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.cli import options, output
from core.cli.output import summary_text
from core.common.formatting import aligned, number, percent
from core.config import RunOptions
from core.research.transfer_topic import TransferConfig
from core.study.progress import Progress


def add_transfer(commands: Any) -> None:
    """Add the research command `transfer` to the command line."""
    sub = options.add_command(
        commands,
        "transfer",
        transfer,
        "transfer the concepts of one study to another study of the same images",
        "transfer studies/first studies/second",
    )
    sub.add_argument("source", type=Path, metavar="SOURCE", help="study that has concepts")
    sub.add_argument("study", type=Path, metavar="TARGET", help="study that receives them")
    sub.add_argument("--redo", action="store_true", help="run the step even if nothing has changed")
    options.add_options(sub, TransferConfig)
    options.add_options(sub, RunOptions, "device")
    options.add_json(sub)


def transfer(args: argparse.Namespace) -> None:
    """Transfer the concepts of one study to another over the same images (research); return the summary."""
    from core.research.transfer_run import transfer

    settings = {name: value for name, value in vars(args).items() if name not in ("source", "study")}
    with Progress.for_command(args.study, stages_total=1) as progress:
        summary = transfer(args.source, args.study, settings, progress)
    output.show(summary, _transfer_text, as_json="json" in args)


def _transfer_text(report: Mapping[str, Any]) -> str:
    """Return what the research command `transfer` prints: each way of fitting, the closed form first."""
    from core.research.transfer_compared_words import METHODS, carries_words

    lines = []
    for method in METHODS:
        about, share = report[method], report["explained_share"][method]
        summary = f"explains {percent(share)} of the source; "
        if carries_words(share):
            summary += f"{about['n_with_words']:,} features get words; Jaccard index with their own "
            summary += f"{number(about['jaccard'])}, by chance {number(about['chance'])}"
        else:
            summary += "no words, because it explains less than the source's mean does"
        lines.append((method, summary))
    return f"{aligned(lines)}\n{summary_text(report)}"
