"""The command `compare`: two or more studies over the same images side by side."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core import cli_options as options


def add_compare(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser; `add` makes a subcommand from name, function, summary and example."""
    sub = add(
        commands,
        "compare",
        compare,
        "compare studies over the same images: accuracy, Q, heatmaps, words, images that changed sides",
        "compare studies/before studies/after -o comparison.md",
    )
    sub.add_argument(
        "studies",
        type=Path,
        nargs="+",
        metavar="STUDY",
        help="two or more; the first is the one to start from",
    )
    sub.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write it: .csv, .json or .md")
    sub.add_argument(
        "--bootstrap", type=options.POSITIVE, metavar="N", help="resamples of the intervals (default 1000)"
    )
    options.add_seed(sub)
    options.add_json(sub)


def compare(args: argparse.Namespace) -> None:
    """Compare, print, and write where a file is named."""
    from core import cli_print, compare_print
    from core.compare import compare as compare_studies
    from core.compare import report
    from core.store import open_study

    given = vars(args)
    if "output" in given:
        compare_print.check_output(given["output"])
    found = compare_studies(
        [open_study(path) for path in given["studies"]],
        resamples=given.get("bootstrap", 1000),
        seed=given.get("seed", 0),
    )
    print(cli_print.json_text(report(found)) if "json" in given else compare_print.printed(found))
    if "output" in given:
        compare_print.write(found, given["output"])
        if "json" not in given:
            print(given["output"])
