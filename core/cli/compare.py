"""The command `compare`: studies of the same images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from core.cli import options


def add_compare(commands: Any) -> None:
    """Add the command `compare`."""
    sub = options.add_command(
        commands,
        "compare",
        compare,
        "compare studies of the same images: accuracy, Q-Scores, heatmaps, words, and changed predictions",
        "compare studies/before studies/after -o comparison.md",
    )
    sub.add_argument(
        "studies",
        type=Path,
        nargs="+",
        metavar="STUDY",
        help="two or more studies; the first is the reference",
    )
    sub.add_argument(
        "--where",
        metavar="SLICE",
        help="only the images of this slice of the first study: 'label=bee correct=false', '@saved'",
    )
    sub.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="also write the result: .csv, .json or .md"
    )
    sub.add_argument(
        "--bootstrap", type=options.POSITIVE, metavar="N", help="bootstrap resamples (default: 1000)"
    )
    options.add_answer(sub)
    options.add_seed(sub, "the bootstrap")
    options.add_json(sub)


def compare(args: argparse.Namespace) -> None:
    """Compare the studies, print the result, and write it if a file is named."""
    from core.cli import output
    from core.common import formatting
    from core.comparison import text as comparison_text
    from core.comparison.compare import compare as compare_studies
    from core.comparison.compare import report
    from core.slices.slice import Slice
    from core.store import open_study

    given = vars(args)
    if "output" in given:
        comparison_text.check_output(given["output"])
    comparison = compare_studies(
        [open_study(path).answering(given.get("answer")) for path in given["studies"]],
        among=Slice.parse(given.get("where", "")),
        resamples=given.get("bootstrap", 1000),
        seed=given.get("seed", 0),
    )
    text = (
        formatting.json_text(report(comparison)) if "json" in given else comparison_text.printed(comparison)
    )
    output.say(text, as_json="json" in given)
    if "output" in given:
        comparison_text.write_comparison(comparison, given["output"])
        if "json" not in given:
            print(given["output"])
