"""The command `compare`: studies of the same images, or two answers of one study."""

import argparse
from operator import attrgetter
from typing import Any

from core.cli import options, output
from core.cli.errors import refuse_options
from core.common import formatting
from core.common.inside import check_output_file
from core.config import RunOptions, reading
from core.errors import SettingsError
from core.study.progress import Progress

FORMATS = (".csv", ".json", ".md")


def add_compare(commands: Any) -> None:
    """Add the command `compare` to the command line."""
    sub = options.add_command(
        commands,
        "compare",
        compare,
        "compare studies of the same images: accuracy, Q-Scores, heatmaps, words, and changed predictions",
        "compare studies/before studies/after -o comparison.md",
    )
    sub.add_argument(
        "studies",
        type=options.folder,
        nargs="+",
        metavar="STUDY",
        help="two or more studies; the first is the reference. One with --answers",
    )
    sub.add_argument(
        "--answers",
        type=reading.names,
        metavar="NAME,NAME",
        help="two answers of one study against each other: head,probe",
    )
    sub.add_argument(
        "--checkpoints",
        action="store_true",
        help="the studies are of one training, in its order: which numbers and features change along it",
    )
    sub.add_argument(
        "--leaderboard",
        action="store_true",
        help="which encoder? All of them on the same images, folds and units of data, best first, with those "
        "that cannot be told apart; what is not computed yet is computed and kept",
    )
    options.add_where(sub, "only the images of this slice of the first study")
    options.add_output(
        sub, "also write the result: .csv, .json or .md; of a leaderboard also .tex", required=False
    )
    sub.add_argument(
        "--bootstrap",
        type=options.POSITIVE,
        metavar="N",
        help="bootstrap resamples; of a leaderboard 2000 (default: 1000)",
    )
    options.add_answer(sub)
    options.add_seed(sub, "the bootstrap")
    options.add_options(sub, RunOptions, "device")
    options.add_json(sub)


def compare(args: argparse.Namespace) -> None:
    """Run the command `compare`: compare studies or answers, print the result, and write it to a file."""
    from core.compare.answers import compare_answers
    from core.compare.compare import compare as compare_studies
    from core.compare.compare import report
    from core.compare.text import comparison_text, numbers_table
    from core.measures.slice import Slice
    from core.store import Study

    given = vars(args)
    if "leaderboard" in given:
        return _leaderboard(given)
    refuse_options(given, ("device",), "computes a leaderboard; leave it out without --leaderboard")
    if "output" in given:
        check_output_file(given["output"], "a comparison", FORMATS)
    settings: dict[str, Any] = {"among": Slice.parse(given.get("where", ""))}
    settings |= {"resamples": given.get("bootstrap", 1000), "seed": given.get("seed", 0)}
    studies = [Study(path) for path in given["studies"]]
    read = studies if "answers" in given else [study.answering(given.get("answer")) for study in studies]
    if "checkpoints" in given:
        return _along(read, settings, given)
    if "answers" in given:
        if len(studies) != 1 or len(given["answers"]) != 2 or "answer" in given:
            raise SettingsError("--answers A,B is of one study: name it, and two of its answers")
        comparison = compare_answers(studies[0], *given["answers"], **settings)
    else:
        comparison = compare_studies(read, **settings)
    _say(comparison, _facts(comparison), numbers_table, report, comparison_text, given)


def _leaderboard(given: dict[str, Any]) -> None:
    """Compute what the leaderboard lacks, print it, and write it if a file is named."""
    from core.answers.answer import CROSSFIT
    from core.charts.table_file import provenance_of_all
    from core.compare.leaderboard import RESAMPLES, leaderboard, leaderboard_report, leaderboard_text
    from core.compare.shared_folds import shared_folds
    from core.store import Study

    refuse_options(
        given, ("where", "answer", "answers", "checkpoints"), "is no part of a leaderboard; leave it out"
    )
    if "output" in given:
        check_output_file(given["output"], "a leaderboard", (*FORMATS, ".tex"))
    paths = given["studies"]
    studies = [Study(path) for path in paths]
    if missing := shared_folds(studies).missing:
        from core.pipeline.leaderboard import answer_for_leaderboard

        with Progress.for_command(None, stages_total=len(missing)) as progress:
            answer_for_leaderboard(studies, given, progress)
        studies = [Study(path) for path in paths]
    board = leaderboard(studies, resamples=given.get("bootstrap", RESAMPLES), seed=given.get("seed", 0))
    if "output" in given and given["output"].suffix.lower() == ".tex":
        from core.charts.leaderboard import leaderboard_latex

        output.say(leaderboard_text(board), as_json=False)
        given["output"].parent.mkdir(parents=True, exist_ok=True)
        given["output"].write_text(leaderboard_latex(board), encoding="utf-8")
        print(given["output"])
        return
    facts = provenance_of_all(studies) | {"answer": CROSSFIT}
    _say(board, facts, attrgetter("frame"), leaderboard_report, leaderboard_text, given)


def _along(studies: list[Any], settings: dict[str, Any], given: dict[str, Any]) -> None:
    """Print the checkpoints of a training, and write what is printed if a file is named."""
    from core.compare.checkpoints import along, checkpoints_report, checkpoints_text

    if "answers" in given:
        raise SettingsError("--checkpoints is of studies, --answers of two answers of one study: give one")
    data = along(studies, **settings)
    _say(data, _facts(data.comparison), attrgetter("frame"), checkpoints_report, checkpoints_text, given)


def _facts(comparison: Any) -> dict[str, str]:
    """The studies with answer, basis and filter, in JSON and beside a table."""
    from core.charts.table_file import provenance_of_all

    return provenance_of_all(comparison.shared.studies, comparison.among)


def _say(
    compared: Any, facts: dict[str, str], table: Any, report: Any, text: Any, given: dict[str, Any]
) -> None:
    """Print a comparison as text or JSON; write the table (.csv), everything (.json) or the text (.md).

    Args:
        facts: of `_facts`, in JSON and beside a table.
    """
    as_json = "json" in given
    path = given.get("output")
    whole = formatting.json_text({**facts, **report(compared)})
    output.say(whole if as_json else text(compared), as_json=as_json)
    if path is None:
        return
    from core.common.csv_text import write_csv  # with pandas
    from core.publish.export_files import write_about

    ending = check_output_file(path, "a comparison", FORMATS)
    path.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".csv":
        write_csv(table(compared), path)
        write_about(path, facts)
    else:
        written = whole if ending == ".json" else text(compared, as_markdown=True)
        path.write_text(f"{written}\n", encoding="utf-8")
    if not as_json:
        print(path)
