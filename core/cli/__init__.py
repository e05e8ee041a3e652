"""The command line: every command parses, calls one library function and prints.

Nothing heavy is imported here; a command imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli import options
from core.cli.compare import add_compare
from core.cli.concepts import add_concept_steps, add_map_steps, add_transfer
from core.cli.dashboard import add_dashboard
from core.cli.decompose import add_decompose
from core.cli.errors import run_guarded
from core.cli.export import add_export
from core.cli.figures import add_figure, add_figure_sheet
from core.cli.probe import add_transfer_probe
from core.cli.report import add_report
from core.cli.search import add_look_steps, add_search
from core.cli.slices import add_slices
from core.cli.training import add_training
from core.common.worker_group import SHARED, is_first, takes_part
from core.encoders.trusted_code import allowing
from core.jobs.progress import Progress
from core.steps import STEPS

if TYPE_CHECKING:
    from core.store import Study

NO_SETTINGS = ("command", "run", "parser", "study", "json", "debug", "dry_run", "trust")
NAMES_CODE = ("encoder", "captioner", "arch", "export_arch")  # options with which the owner may name code
DEFAULT_STUDIES = "studies"


def given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings given on the command line, by name; what was not given is absent."""
    return {key: value for key, value in vars(args).items() if key not in NO_SETTINGS}


def demo(args: argparse.Namespace) -> None:
    from core.pipeline.demo import ENCODERS, FIRST, build

    root = Path(args.studies if "studies" in args else os.environ.get("PEREGRINE_STUDIES", DEFAULT_STUDIES))
    if "background" in args:
        return _demo_in_background(root / FIRST, fresh="fresh" in args)
    for name in [FIRST] if "single" in args else list(ENCODERS):
        args.study = root / name
        with Progress.for_command(root / name, stages_total=len(STEPS)) as progress:
            build(root, name, fresh="fresh" in args, progress=progress)
    _print_study(root / FIRST, as_json="json" in args)


def _demo_in_background(folder: Path, *, fresh: bool) -> None:
    from core.jobs.commands import BuildDemo
    from core.jobs.jobs import read_job
    from core.jobs.runner import start_job

    job = read_job(folder)
    if job is None or not job.running:
        start_job(BuildDemo(folder.parent, fresh), folder=folder)
    print(f"the demo study is being built in {folder}; the dashboard shows its progress")


def analyze(args: argparse.Namespace) -> None:
    from core.cli import output
    from core.pipeline import run as pipeline
    from core.storage.manifest import refuse_foreign_folder

    settings = given(args)
    refuse_foreign_folder(args.study)
    if "dry_run" in args:
        from core.pipeline.dry_run import plan

        with Progress.for_command(None, stages_total=4) as progress:
            found = plan(args.study, settings, progress)
            output.show(found, output.plan_text, as_json="json" in args)
        return
    with Progress.for_command(args.study, stages_total=len(STEPS)) as progress:
        pipeline.analyze(args.study, settings, progress)
    _print_study(args.study, as_json="json" in args)


def resume(args: argparse.Namespace) -> None:
    from core.pipeline import run as pipeline

    with Progress.for_command(args.study, stages_total=len(STEPS)) as progress:
        pipeline.resume(args.study, given(args), progress)
    _print_study(args.study, as_json="json" in args)


def step(args: argparse.Namespace) -> None:
    from core.cli import output
    from core.pipeline import run as pipeline
    from core.storage.manifest import refuse_foreign_folder

    refuse_foreign_folder(args.study)
    with Progress.for_command(args.study, stages_total=1) as progress:
        if args.command == "heatmaps" and ("image" in args or "feature" in args):
            summary = pipeline.request_heatmaps(args.study, given(args), progress)
        else:
            summary = pipeline.run_step(args.command, args.study, given(args), progress)
    if is_first():
        output.show(summary, output.summary_text, as_json="json" in args)


def info(args: argparse.Namespace) -> None:
    _print_study(args.study, as_json="json" in args)


def verify(args: argparse.Namespace) -> int:
    from core.cli import output
    from core.pipeline.verify import verify as find_problems

    problems = [str(problem) for problem in find_problems(args.study)]
    report = {"study": str(args.study), "ok": not problems, "problems": problems}
    output.show(report, output.verify_text, as_json="json" in args)
    return 1 if problems else 0


def _open(folder: Path) -> Study:
    from core.store import open_study

    return open_study(folder)


def _print_study(folder: Path, *, as_json: bool) -> None:
    """Say what a study holds; of several processes, the first speaks: the others leave while it works on."""
    if not is_first():
        return
    from core.cli import output
    from core.export.summary import info as describe

    output.show(describe(_open(folder)), output.info_text, as_json=as_json)


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The whole parser. `command` is the one about to run, which those that train need to know."""
    parser = options.Parser(
        prog="python -m core",
        description="Peregrine opens up image encoders: features, Q-Scores and what goes wrong.",
        epilog=options.example("demo", "analyze studies/mine --images photos --encoder torchvision:resnet50"),
        formatter_class=options.Formatter,
    )
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_making(commands)
    _add_steps(commands)
    _add_reading(commands)
    add_dashboard(commands, _add)
    add_figure(commands, _add)
    add_figure_sheet(commands, _add)
    add_decompose(commands, _add)
    add_compare(commands, _add)
    add_report(commands, _add)
    add_transfer_probe(commands, _add)
    add_training(commands, _add, command)
    return parser


def _add(commands: Any, name: str, run: Any, summary: str, sample: str) -> argparse.ArgumentParser:
    sub = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=options.example(sample),
        formatter_class=options.Formatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    sub.set_defaults(run=run, parser=sub)
    sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
    sub.add_argument(
        "--trust",
        action="append",
        metavar="SPEC",
        help="let code run that a study or checkpoint names, if it is exactly this: python:module:factory",
    )
    return sub


def _add_making(commands: Any) -> None:
    sub = _add(commands, "demo", demo, "build the embedded demo study", "demo")
    sub.add_argument("--fresh", action="store_true", help="build it anew")
    sub.add_argument("--background", action="store_true", help="start it and return at once")
    sub.add_argument("--single", action="store_true", help="without the fine-tuned encoder's study beside it")
    sub.add_argument(
        "--studies",
        type=Path,
        metavar="FOLDER",
        help="where it goes (default: PEREGRINE_STUDIES, or studies/)",
    )
    options.add_json(sub)

    sample = "analyze studies/mine --images photos --encoder resnet18@simclr.ckpt --epsilon auto"
    sub = _add(commands, "analyze", analyze, "do every step: images and an encoder become a study", sample)
    options.add_study(sub)
    options.add_images(sub)
    options.add_encoder(sub)
    group = sub.add_argument_group("analysis")
    options.add_epsilon(group)
    options.add_lr(group)
    options.add_masks(sub)
    options.add_captions(sub)
    options.add_running(sub)
    options.add_dry_run(sub)
    options.add_json(sub)

    summary = "run the steps that a study lacks, with the settings it has"
    sub = _add(commands, "resume", resume, summary, "resume studies/mine")
    options.add_study(sub)
    options.add_epsilon(sub)
    options.add_batches(options.add_device(sub))
    options.add_json(sub)


def _add_steps(commands: Any) -> None:
    def add(name: str) -> argparse.ArgumentParser:
        sub = _add(commands, name, step, STEPS[name].summary, STEPS[name].example)
        options.add_study(sub)
        sub.add_argument("--redo", action="store_true", help="run it even if nothing has changed")
        options.add_json(sub)
        return sub

    sub = add("embed")
    options.add_images(sub)
    options.add_encoder(sub)
    options.add_running(sub)

    sub = add("features")
    options.add_epsilon(sub)
    options.add_device(sub)

    sub = add("neighbours")
    sub.add_argument("--k", type=options.POSITIVE, metavar="N", help="how many neighbours (default 10)")
    options.add_device(sub)
    options.add_seed(sub)

    sub = add("probe")
    options.add_lr(sub)
    sub.add_argument(
        "--curves", action="store_true", help="also accuracy against the number of kept features"
    )
    options.add_device(sub)
    options.add_seed(sub)

    sub = add("quality")
    sub.add_argument("--bootstrap", type=options.POSITIVE, metavar="N", help="resamples of the intervals")
    options.add_device(sub)
    options.add_seed(sub)

    add_look_steps(add)
    add_map_steps(add)
    add_concept_steps(add)
    for name in STEPS:
        if name not in commands.choices:  # it has no options but these
            options.add_device(add(name))


def _add_reading(commands: Any) -> None:
    add_transfer(lambda *words: _add(commands, *words))
    add_search(lambda *words: _add(commands, *words))

    sub = _add(commands, "info", info, "say what a study holds, and what is missing", "info studies/demo")
    options.add_study(sub)
    options.add_json(sub)

    add_export(lambda *words: _add(commands, *words))
    add_slices(lambda *words: _add(commands, *words))

    sub = _add(
        commands, "verify", verify, "check every array and table against the manifest", "verify studies/demo"
    )
    options.add_study(sub)
    options.add_json(sub)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        the exit code (see `core.cli.errors`).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser(words[0] if words else None)
    args, unknown = parser.parse_known_args(words)
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if args.command is None:
        parser.print_help()
        return 0
    shared = args.command in SHARED and not ("dry_run" in args or "background" in args)
    if not takes_part(shared):
        return 0
    named = [getattr(args, name, None) for name in NAMES_CODE]
    with allowing(*named, *getattr(args, "trust", ())):
        return run_guarded(args)
