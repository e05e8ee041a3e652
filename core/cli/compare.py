"""The command `compare`: studies of the same images, or two answers of one study."""

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
        help="two or more studies; the first is the reference. One with --answers",
    )
    sub.add_argument(
        "--answers",
        type=options.names,
        metavar="NAME,NAME",
        help="two answers of one study against each other: head,probe",
    )
    sub.add_argument(
        "--checkpoints",
        action="store_true",
        help="the studies are of one training, in its order: which numbers and features change along it",
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
    """Compare the studies or answers, print the result, and write it if a file is named."""
    from core.cli import output
    from core.common import formatting
    from core.comparison import text as comparison_text
    from core.comparison.answers import compare_answers
    from core.comparison.compare import compare as compare_studies
    from core.comparison.compare import report
    from core.errors import SettingsError
    from core.slices.slice import Slice
    from core.store import open_study

    given = vars(args)
    if "output" in given:
        comparison_text.check_output(given["output"])
    settings = {
        "among": Slice.parse(given.get("where", "")),
        "resamples": given.get("bootstrap", 1000),
        "seed": given.get("seed", 0),
    }
    studies = [open_study(path) for path in given["studies"]]
    if "checkpoints" in given:
        return _along([study.answering(given.get("answer")) for study in studies], settings, given)
    if "answers" in given:
        if len(studies) != 1 or len(given["answers"]) != 2 or "answer" in given:
            raise SettingsError("--answers A,B is of one study: name it, and two of its answers")
        comparison = compare_answers(studies[0], *given["answers"], **settings)
    else:
        studies = [study.answering(given.get("answer")) for study in studies]
        comparison = compare_studies(studies, **settings)
    text = (
        formatting.json_text(report(comparison)) if "json" in given else comparison_text.printed(comparison)
    )
    output.say(text, as_json="json" in given)
    if "output" in given:
        comparison_text.write_comparison(comparison, given["output"])
        if "json" not in given:
            print(given["output"])


def _along(studies: list[Any], settings: dict[str, Any], given: dict[str, Any]) -> None:
    """Print the checkpoints of a training, and write what is printed if a file is named."""
    from core.cli import output
    from core.common import formatting
    from core.comparison.checkpoints import along, checkpoints_report, checkpoints_text, write_checkpoints
    from core.errors import SettingsError

    if "answers" in given:
        raise SettingsError("--checkpoints is of studies, --answers of two answers of one study: give one")
    found, as_json = along(studies, **settings), "json" in given
    text = formatting.json_text(checkpoints_report(found)) if as_json else checkpoints_text(found)
    output.say(text, as_json=as_json)
    if "output" in given:
        write_checkpoints(found, given["output"])
        if not as_json:
            print(given["output"])
