"""The commands `compare` (studies over the same images) and `human-study` (people judge words)."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.cli import options
from core.common.command_line import command_line


def add_compare(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add both to the parser; `add` makes a subcommand from name, function, summary and example."""
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
    sub.add_argument(
        "--where",
        metavar="SLICE",
        help="only images of this slice of the first study: 'label=bee correct=false', '@saved'",
    )
    sub.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write it: .csv, .json or .md")
    sub.add_argument(
        "--bootstrap", type=options.POSITIVE, metavar="N", help="resamples of the intervals (default 1000)"
    )
    options.add_seed(sub)
    options.add_json(sub)

    sub = add(
        commands,
        "human-study",
        human_study,
        "export tasks with which people judge words, with a page for them; read their answers",
        "human-study export studies/demo -o tasks --groups 20",
    )
    sub.add_argument("action", choices=["export", "read"], help="write tasks, or read the answers")
    sub.add_argument(
        "folder", type=Path, metavar="STUDY|FOLDER", help="export: a study; read: the tasks' folder"
    )
    sub.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="export: a new folder for the tasks")
    sub.add_argument(
        "--groups", type=options.POSITIVE, metavar="N", help="export: so many features, drawn by the seed"
    )
    options.add_seed(sub)
    options.add_json(sub)


def compare(args: argparse.Namespace) -> None:
    """Compare, print, and write where a file is named."""
    from core.common import formatting
    from core.comparison import text as comparison_text
    from core.comparison.compare import compare as compare_studies
    from core.comparison.compare import report
    from core.slices.slice import Slice
    from core.store import open_study

    given = vars(args)
    if "output" in given:
        comparison_text.check_output(given["output"])
    found = compare_studies(
        [open_study(path) for path in given["studies"]],
        among=Slice.parse(given.get("where", "")),
        resamples=given.get("bootstrap", 1000),
        seed=given.get("seed", 0),
    )
    print(formatting.json_text(report(found)) if "json" in given else comparison_text.printed(found))
    if "output" in given:
        comparison_text.write_comparison(found, given["output"])
        if "json" not in given:
            print(given["output"])


def human_study(args: argparse.Namespace) -> None:
    """Export the tasks of a study, or turn answers into the paper's tables."""
    from core.cli import output
    from core.common import formatting
    from core.concepts.human_study.methods import answers_report, answers_text, methods_of
    from core.concepts.human_study.study import PAGE, check_has_words, export_tasks, read_study_answers
    from core.errors import SettingsError
    from core.store import open_study

    given = vars(args)
    if given["action"] == "read":
        found = read_study_answers(given["folder"])
        print(formatting.json_text(answers_report(found)) if "json" in given else answers_text(found))
        return
    if "output" not in given:
        raise SettingsError("which folder? Give -o FOLDER, a new one for the tasks")
    study, seed = open_study(given["folder"]), given.get("seed", 0)
    check_has_words(study)
    counts = export_tasks(
        study, given["output"], methods=methods_of(study, seed=seed), n_groups=given.get("groups"), seed=seed
    )
    report = counts | {"folder": str(given["output"]), "page": str(given["output"] / PAGE)}
    output.show(report, _exported, as_json="json" in given)


def _exported(report: Any) -> str:
    tasks = f"{report['n_words']:,} tasks on words and {report['n_choices']:,} choices"
    command = command_line("human-study", "read", report["folder"])
    return (
        f"{tasks} in {report['folder']}. Give {report['page']} to the workers; put the files that they save "
        f"into {report['folder']}, then run: {command}"
    )
