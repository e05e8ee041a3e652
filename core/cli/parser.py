"""The parser of the whole command line."""

import argparse
from typing import Any

from core.cli import compare, concepts, dashboard, figures, jobs, search, slices, steps, study, train
from core.cli.options import Commands, Formatter, Parser, example
from core.common.command_line import PROGRAM
from core.common.topics import function_named, topics

GROUPS = {  # the headings of `--help`, with what adds the commands below each
    "make a study": (
        study.add_demo,
        study.add_analyze,
        study.add_resume,
        study.add_info,
        study.add_verify,
        search.add_fetch,
    ),
    "one step of a study": (steps.add_steps, search.add_search),
    "whose mistakes, and which features": (steps.add_answers, steps.add_basis),
    "look at studies": (
        *(dashboard.add_dashboard, jobs.add_jobs, slices.add_slices, slices.add_inspect, slices.add_notes),
        *(concepts.add_decompose, compare.add_compare),
    ),
    "take something with you": (
        *(figures.add_figure, study.add_export, figures.add_report, figures.add_publish),
        dashboard.add_mcp,
    ),
    "train an encoder": (train.add_train, train.add_finetune),
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands, in the order in which `--help` lists them."""
    parser = Parser(
        prog=PROGRAM,
        description="Peregrine opens up image encoders: features, Q-Scores and the causes of errors.",
        epilog=example("demo", "analyze studies/mine --images photos --encoder torchvision:resnet50"),
        formatter_class=Formatter,
    )
    parser.set_defaults(parser=parser)
    commands: Any = parser.add_subparsers(
        dest="command", metavar="COMMAND", title="commands", action=Commands
    )
    for heading, adding in GROUPS.items():
        commands.begin(heading)
        for add in adding:
            add(commands)
    commands.begin("research")
    for topic in topics():
        for step in topic.steps:
            steps.add_step(commands, step)
        for name in topic.commands:
            function_named(name)(commands)
    return parser
