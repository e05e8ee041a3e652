"""The command `report`: one study, or a comparison of several, as an HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from core.cli import options


def add_report(commands: Any) -> None:
    """Add the command `report`."""
    sample = "report studies/demo -o demo.html"
    summary = "write a self-contained HTML report of a study, or of a comparison of several"
    sub = options.add_command(commands, "report", report, summary, sample)
    sub.add_argument(
        "studies", type=Path, nargs="+", metavar="STUDY", help="one study, or several of the same images"
    )
    sub.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="file to write: .html")
    sub.add_argument(
        "--interactive",
        action="store_true",
        help="charts with tooltips and zoom; adds plotly.js (4.5 MB) to the file",
    )


def report(args: argparse.Namespace) -> None:
    """Write the report, and print its path and size."""
    from core.jobs.progress import Progress
    from core.report.write import check_report_file, write_report
    from core.store import open_study

    check_report_file(args.output)
    studies = [open_study(path) for path in args.studies]
    with Progress.for_command(None, stages_total=2 if len(studies) == 1 else 3) as progress:
        written = write_report(studies, args.output, interactive="interactive" in args, progress=progress)
    print(f"{written}: {written.stat().st_size / 1e6:.1f} MB")
