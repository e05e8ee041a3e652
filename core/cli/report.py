"""The command `report`: a study, or several compared, as one HTML file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_report(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser; `add` makes a subcommand from name, function, summary and example."""
    sample = "report studies/demo -o demo.html"
    summary = "write a self-contained HTML report of a study, or of several compared"
    sub = add(commands, "report", report, summary, sample)
    sub.add_argument(
        "studies", type=Path, nargs="+", metavar="STUDY", help="one, or several over the same images"
    )
    sub.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".html")
    sub.add_argument(
        "--interactive",
        action="store_true",
        help="charts that can be hovered and zoomed; plotly.js comes along (4.5 MB) and the page runs it",
    )


def report(args: argparse.Namespace) -> None:
    """Write it and print where."""
    from core.jobs.progress import Progress
    from core.report.write import check_report_file, write_report
    from core.store import open_study

    check_report_file(args.output)
    studies = [open_study(path) for path in args.studies]
    with Progress.for_command(None, stages_total=2 if len(studies) == 1 else 3) as progress:
        written = write_report(studies, args.output, interactive="interactive" in args, progress=progress)
    print(f"{written}: {written.stat().st_size / 1e6:.1f} MB")
