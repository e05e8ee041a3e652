"""The command `human-study`: people rate words."""

import argparse
from pathlib import Path
from typing import Any

from core.cli import options, output
from core.common.command_line import command_line
from core.errors import SettingsError


def add_human_study(commands: Any) -> None:
    sub = options.add_command(
        commands,
        "human-study",
        human_study,
        "export a study in which people rate words, or read their answers",
        "human-study export studies/demo -o tasks --groups 20",
    )
    sub.add_argument(
        "action", choices=["export", "read"], help="write the tasks and their web page, or read the answers"
    )
    sub.add_argument(
        "folder", type=Path, metavar="STUDY|FOLDER", help="export: a study; read: the folder of the tasks"
    )
    sub.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="export: new folder for the tasks")
    sub.add_argument(
        "--groups",
        type=options.POSITIVE,
        metavar="N",
        help="export: number of features, drawn at random (default: all)",
    )
    options.add_seed(sub, "the selection and the order of tasks")
    options.add_json(sub)


def human_study(args: argparse.Namespace) -> None:
    """Export the tasks of a study, or summarise the answers as in the paper's tables."""
    from core.common import formatting
    from core.research.human_study.methods import answers_report, answers_text, methods_of
    from core.research.human_study.study import PAGE, check_has_words, export_tasks, read_study_answers
    from core.store import open_study

    given = vars(args)
    if given["action"] == "read":
        answers = read_study_answers(given["folder"])
        text = formatting.json_text(answers_report(answers)) if "json" in given else answers_text(answers)
        output.say(text, as_json="json" in given)
        return
    if "output" not in given:
        raise SettingsError("which folder? Give -o FOLDER, a new folder for the tasks")
    study, seed = open_study(given["folder"]), given.get("seed", 0)
    check_has_words(study)
    counts = export_tasks(
        study, given["output"], methods=methods_of(study, seed=seed), n_groups=given.get("groups"), seed=seed
    )
    report = counts | {"folder": str(given["output"]), "page": str(given["output"] / PAGE)}
    output.show(report, _exported, as_json="json" in given)


def _exported(report: Any) -> str:
    tasks = f"{report['n_words']:,} rating tasks and {report['n_choices']:,} choice tasks"
    command = command_line("human-study", "read", report["folder"])
    return (
        f"{tasks} in {report['folder']}. Send {report['page']} to the raters, put the files that they save "
        f"into {report['folder']}, then run: {command}"
    )
