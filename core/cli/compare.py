"""The command `compare`: studies of the same images, or two answers of one study."""

import argparse
from typing import Any

from core.cli import options, output
from core.common import formatting
from core.common.inside import check_output_file
from core.errors import SettingsError


def add_compare(commands: Any) -> None:
    sub = options.add_command(
        commands,
        "compare",
        compare,
        "compare studies of the same images: accuracy, Q-Scores, heatmaps, words, and changed predictions",
        "compare studies/before studies/after -o comparison.md",
    )
    sub.add_argument(
        "studies",
        type=options.place,
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
        "--shared",
        nargs="?",
        const="",
        metavar="BASIS",
        help="what two encoders know of the latents of a dictionary that `basis --with` has fitted to both",
    )
    sub.add_argument(
        "--where",
        metavar="SLICE",
        help="only the images of this slice of the first study: 'label=bee correct=false', '@saved'",
    )
    options.add_output(sub, "also write the result: .csv, .json or .md", required=False)
    sub.add_argument(
        "--bootstrap", type=options.POSITIVE, metavar="N", help="bootstrap resamples (default: 1000)"
    )
    options.add_answer(sub)
    options.add_seed(sub, "the bootstrap")
    options.add_json(sub)


def compare(args: argparse.Namespace) -> None:
    """Compare the studies or answers, print the result, and write it if a file is named."""
    from core.comparison import text as comparison_text
    from core.comparison.answers import compare_answers
    from core.comparison.compare import compare as compare_studies
    from core.comparison.compare import report
    from core.comparison.result_files import FORMATS
    from core.slices.slice import Slice
    from core.store import open_study

    given = vars(args)
    if "output" in given:
        check_output_file(given["output"], "a comparison", FORMATS)
    settings: dict[str, Any] = {"among": Slice.parse(given.get("where", ""))}
    settings |= {"resamples": given.get("bootstrap", 1000), "seed": given.get("seed", 0)}
    studies = [open_study(path) for path in given["studies"]]
    read = studies if "answers" in given else [one.answering(given.get("answer")) for one in studies]
    if "shared" in given:
        return _shared(read, settings["among"], given)
    if "checkpoints" in given:
        return _along(read, settings, given)
    if "answers" in given:
        if len(studies) != 1 or len(given["answers"]) != 2 or "answer" in given:
            raise SettingsError("--answers A,B is of one study: name it, and two of its answers")
        comparison = compare_answers(studies[0], *given["answers"], **settings)
    else:
        comparison = compare_studies(read, **settings)
    _say(comparison, comparison_text.printed, report, comparison_text.write_comparison, given)


def _along(studies: list[Any], settings: dict[str, Any], given: dict[str, Any]) -> None:
    """Print the checkpoints of a training, and write what is printed if a file is named."""
    from core.comparison.checkpoints import along, checkpoints_report, checkpoints_text, write_checkpoints

    if "answers" in given:
        raise SettingsError("--checkpoints is of studies, --answers of two answers of one study: give one")
    _say(along(studies, **settings), checkpoints_text, checkpoints_report, write_checkpoints, given)


def _shared(studies: list[Any], among: Any, given: dict[str, Any]) -> None:
    """Print what either encoder knows of a shared dictionary, and write it if a file is named."""
    from core.comparison.shared_dictionary import shared_dictionary, shared_report, shared_text, write_shared

    if len(studies) != 2 or {"answers", "checkpoints"} & set(given):
        raise SettingsError("--shared is of two studies: name both, without --answers or --checkpoints")
    first, other = studies
    latents = shared_dictionary(first, other, given["shared"] or None, among=among)
    _say(latents, shared_text, shared_report, write_shared, given)


def _say(compared: Any, text: Any, report: Any, write: Any, given: dict[str, Any]) -> None:
    """Print a comparison as text or JSON, and write it if a file is named."""
    as_json = "json" in given
    output.say(formatting.json_text(report(compared)) if as_json else text(compared), as_json=as_json)
    if "output" in given:
        write(compared, given["output"])
        if not as_json:
            print(given["output"])
