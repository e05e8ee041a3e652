"""Commands on a whole study: demo, analyze, resume, info, verify and export."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import config
from core.cli import options, output
from core.cli.errors import refuse_options
from core.cli.left import refuse_left_name
from core.cli.sentences import say_of_command
from core.common.addresses import study_folder
from core.common.formatting import counted
from core.common.processes import is_first
from core.config import reading
from core.config.options import IN_ANALYZE, OPTIONS
from core.errors import DamagedManifest, PeregrineError, SettingsError
from core.publish.tool_names import TOOL_NAMES
from core.study.progress import Progress
from core.study.steps import in_analysis

if TYPE_CHECKING:
    from core.store import Study
    from core.study.commands import BuildDemo

NO_SETTINGS = ("command", "run", "parser", "study", "json", "debug", "dry_run", "trust")
DEFAULT_STUDIES = "studies"
OF_FRAMES = ("image", "feature", "combine", "mask")  # options of a heatmap or a mask


def given(args: argparse.Namespace) -> dict[str, Any]:
    """Map the settings given on a command's line to their values; those left out are absent."""
    return {key: value for key, value in vars(args).items() if key not in NO_SETTINGS}


def add_demo(commands: Any) -> None:
    """Add the command `demo` to the command line."""
    sub = options.add_command(commands, "demo", demo, "build the demo study", "demo")
    sub.add_argument("--fresh", action="store_true", help="rebuild it from scratch")
    sub.add_argument("--background", action="store_true", help="start a background job and return at once")
    sub.add_argument(
        "--single", action="store_true", help="build one study only, without the fine-tuned encoder's"
    )
    sub.add_argument(
        "--studies",
        type=Path,
        metavar="FOLDER",
        help=f"parent folder (default: $PEREGRINE_STUDIES, or {DEFAULT_STUDIES})",
    )
    options.add_options(sub, config.EmbedConfig, "pool")
    options.add_json(sub)


def add_analyze(commands: Any) -> None:
    """Add the command `analyze` to the command line."""
    sub = options.add_command(
        commands,
        "analyze",
        analyze,
        "run every step: make a study from images and an encoder",
        "analyze studies/mine --images photos --encoder resnet18@simclr.ckpt --epsilon auto",
    )
    options.add_study(sub)
    options.add_basis(sub)
    for of_step, names in IN_ANALYZE:
        options.add_options(sub, of_step, *names)
    sub.add_argument(
        "--answers",
        type=reading.names,
        metavar="KIND[,KIND]",
        help="answers to add besides the head, which is taken where one fits: knn, zero-shot",
    )
    sub.add_argument(
        "--dry-run",
        action="store_true",
        help="check the inputs and estimate time and disk space; write nothing",
    )
    sub.add_argument(
        "--samples",
        type=options.POSITIVE,
        metavar="N",
        help="with --dry-run --json: include N thumbnails, as data URIs",
    )
    sub.add_argument(
        "--after",
        type=options.folder,
        action="append",
        metavar="STUDY2",
        help="begin when the job of this study has ended; may be repeated",
    )
    options.add_json(sub)
    usual = [name for name, one in OPTIONS.items() if one.described["usual"]]
    options.shorten_help(sub, *usual, "dry_run", "json")


def add_resume(commands: Any) -> None:
    """Add the command `resume` to the command line."""
    summary = "run the steps that are missing from a study, with its settings"
    sub = options.add_command(commands, "resume", resume, summary, "resume studies/mine")
    options.add_study(sub)
    options.add_basis(sub)
    options.add_options(sub, config.FeaturesConfig, "epsilon")
    options.add_options(sub, config.RunOptions, "device", "batch_size", "workers")
    options.add_json(sub)


def add_info(commands: Any) -> None:
    """Add the command `info` to the command line."""
    summary = "summarise a study: its contents and what is missing"
    sub = options.add_command(commands, "info", info, summary, "info studies/demo")
    options.add_study(sub)
    options.add_basis(sub)
    options.add_json(sub)


def add_verify(commands: Any) -> None:
    """Add the command `verify` to the command line."""
    summary = "check every array and table against the manifest"
    sub = options.add_command(commands, "verify", verify, summary, "verify studies/demo")
    options.add_study(sub)
    options.add_json(sub)


def add_export(commands: Any) -> None:
    """Add the command `export` to the command line."""
    sample = 'export studies/demo quality -o worst.csv --where "correct=false q_score=..0.1"'
    summary = "write a table, a heatmap or a mask to a file"
    sub = options.add_command(commands, "export", export, summary, sample, notes=options.POPULATION)
    options.add_study(sub)
    sub.add_argument(
        "table",
        metavar="TABLE",
        help="images, labels, features, quality, probe, overlap, concepts, groups, captions, "
        "highly_activating, failures, interventions, answers, skipped, neighbours, label_issues, "
        "causes, cause_rates, remedies, remedy_images, human-study (tasks for people who rate words), "
        "concept_features (of each known class and attribute), bases (how well each names them), "
        "traces_images, traces_features, attributes, pictures, nearest_train, leaks (evaluation images that "
        "train has, too), rotation, metrics, representations, basis, heatmap or mask; or what is known of "
        f"each image as a new folder for a tool: {', '.join(TOOL_NAMES)}",
    )
    files = (
        "file to write: .csv, .parquet, .json or .npy; .npz for the dictionary and codes of a basis, "
        ".safetensors for SAELens; for a tool a new folder"
    )
    options.add_output(sub, files)
    options.add_where(
        sub, "only the images of this slice (tables features, metrics and cause_rates: computed on them)"
    )
    options.add_answer(sub)
    sub.add_argument(
        "--slice", metavar="SLICE", help="as --where, but with images of all splits unless it names one"
    )
    group = sub.add_argument_group("labels")
    group.add_argument(
        "--corrected", action="store_true", help="with what people decided on labels in the dashboard"
    )
    group.add_argument(
        "--as",
        metavar="FORM",
        help="csv (path, label, split), metadata (metadata.csv for Hugging Face's imagefolder), "
        "imagefolder (a new folder of links, SPLIT/CLASS/IMAGE), changes (only what people changed) or "
        "label-studio (tasks with predictions and annotations, .json) (default: csv)",
    )
    group = sub.add_argument_group("heatmap or mask of one image")
    group.add_argument("--image", metavar="ID", help="image id")
    group.add_argument(
        "--feature",
        type=options.FEATURES,
        metavar="J[,K]",
        help="features to combine (default: the image's firing discriminative features)",
    )
    group.add_argument(
        "--combine",
        choices=["mean", "sum", "max", "min"],
        help="how the heatmaps of several features are combined (default: mean)",
    )
    group.add_argument("--mask", choices=["core", "spurious"], help="mask to export (default: core)")
    options.add_options(sub, config.RunOptions, "device")


def demo(args: argparse.Namespace) -> None:
    """Run the command `demo`: build the demo study, and the one of the fine-tuned encoder."""
    from core.pipeline.run import ENCODERS, FIRST, build
    from core.study.commands import BuildDemo

    root = study_folder(
        args.studies if "studies" in args else os.environ.get("PEREGRINE_STUDIES", DEFAULT_STUDIES)
    )
    if "background" in args:
        given = (("pool", args.pool),) if "pool" in args else ()
        return _demo_in_background(root / FIRST, BuildDemo(root, given, "fresh" in args, "single" in args))
    for name in [FIRST] if "single" in args else list(ENCODERS):
        args.study = root / name
        with Progress.for_command(root / name, stages_total=len(in_analysis())) as progress:
            pool = getattr(args, "pool", None)
            build(root, name, fresh="fresh" in args, pool=pool, progress=progress)
    print_study(root / FIRST, as_json="json" in args)


def _demo_in_background(folder: Path, command: BuildDemo) -> None:
    from core.study.jobs import read_job
    from core.study.runner import start_job

    job = read_job(folder)
    if job is None or not job.running:
        start_job(command, folder=folder)
    print(say_of_command("demo_in_background", what=str(folder)))


def analyze(args: argparse.Namespace) -> None:
    """Run the command `analyze`: run every step, or only check the inputs."""
    from core.answers.kinds import check_kinds
    from core.pipeline import run as pipeline
    from core.study.jobs import wait_for
    from core.study.layers import below
    from core.study.manifest import refuse_foreign_folder

    settings = given(args)
    after = settings.pop("after", ())
    check_kinds(getattr(args, "answers", ()))
    refuse_foreign_folder(args.study)
    if "dry_run" in args:
        from core.pipeline.dry_run import plan

        with Progress.for_command(None, stages_total=4) as progress:
            report = plan(args.study, settings, progress)
            output.show(report, output.plan_text, as_json="json" in args)
        return
    with Progress.for_command(args.study, stages_total=len(in_analysis())) as progress:
        wait_for(after, progress)
        pipeline.analyze(args.study, settings, progress)
        if "answers" in args and is_first():
            from core.answers.requests import add_kinds

            try:  # what is predicted is the same in every basis
                add_kinds(below(args.study) or args.study, args.answers, settings, progress)
            except PeregrineError:
                print_study(args.study, as_json="json" in args)  # the steps are done
                raise
    print_study(args.study, as_json="json" in args)


def resume(args: argparse.Namespace) -> None:
    """Run the command `resume`: run the missing steps of a study."""
    from core.pipeline import run as pipeline

    with Progress.for_command(args.study, stages_total=len(in_analysis())) as progress:
        pipeline.resume(args.study, given(args), progress)
    print_study(args.study, as_json="json" in args)


def info(args: argparse.Namespace) -> None:
    """Run the command `info`: print the summary of a study."""
    print_study(args.study, as_json="json" in args)


def verify(args: argparse.Namespace) -> int:
    """Run the command `verify`: print the problems of a study; the exit code is 1 if there are any."""
    from core.pipeline.verify import verify as find_problems

    try:
        study = _open(args.study)
    except DamagedManifest:  # a problem as the others
        study = None
    problems = [str(problem) for problem in find_problems(study or args.study)]
    unshown = [one.as_json() for one in study.no_longer_shown] if study else []
    report = {"study": str(args.study), "ok": not problems, "problems": problems, "no_longer_shown": unshown}
    output.show(report, output.verify_text, as_json="json" in args)
    return 1 if problems else 0


def export(args: argparse.Namespace) -> None:
    """Run the command `export`: write a table, a heatmap or a mask of a study."""
    from core.measures.slice import Slice
    from core.measures.slice_comparison import with_split
    from core.publish.export_files import export_table, note_on_train_images, of_slice

    refuse_left_name("export", args.table)
    if "where" in args and "slice" in args:
        raise SettingsError(say_of_command("two_slices"))
    if args.table == "labels":
        return _export_labels(args)
    if args.table in TOOL_NAMES:
        return _export_to_tool(args)
    refuse_options(args, ("corrected", "as"), say_of_command("of_labels"))
    if args.table in ("heatmap", "mask"):
        if "where" in args or "slice" in args:
            raise SettingsError(say_of_command("of_one_image", what=args.table))
        other = ("mask",) if args.table == "heatmap" else ("feature", "combine")
        refuse_options(args, (*other, "answer"), say_of_command("nothing_of_table", what=args.table))
        return _export_frame(args)
    refuse_options(args, OF_FRAMES, say_of_command("of_frames"))
    if args.table == "basis":
        return _export_basis(args)
    study = _open(args.study).answering(getattr(args, "answer", None))
    among = None
    images = ""
    if "slice" in args:
        among = Slice.parse(args.slice)
    if "where" in args:
        where = Slice.parse(args.where)
        images = f": {with_split(study, where).describe()}"
        study, among = of_slice(study, args.table, where)
    n_rows = export_table(study, args.table, args.output, slice=among)
    print(f"{args.output}: {n_rows} rows{images}")
    if note := note_on_train_images(study, args.table, slice=among):
        print(f"note: {note}")


def _export_labels(args: argparse.Namespace) -> None:
    from core.measures.slice import Slice
    from core.measures.slice_comparison import with_split
    from core.publish.label_forms import USUAL_FORM, export_labels

    refuse_options(args, (*OF_FRAMES, "answer"), say_of_command("nothing_of_labels"))
    study, among = _open(args.study), None
    if "slice" in args:
        among = Slice.parse(args.slice)
    if "where" in args:
        among = with_split(study, Slice.parse(args.where))
    form = getattr(args, "as", USUAL_FORM)
    made = export_labels(study, form, args.output, corrected="corrected" in args, among=among)
    what = "link" if form == "imagefolder" else "row"
    print(f"{args.output}: {counted(made.n, what)}")
    for note in made.notes:
        print(f"note: {note}")


def _export_to_tool(args: argparse.Namespace) -> None:
    from core.measures.slice import Slice
    from core.measures.slice_comparison import with_split
    from core.publish.tool_exports import export_to_tool

    refuse_options(args, (*OF_FRAMES, "corrected", "as"), say_of_command("nothing_of_tool"))
    study, among = _open(args.study).answering(getattr(args, "answer", None)), None
    if "slice" in args:
        among = Slice.parse(args.slice)
    if "where" in args:
        among = with_split(study, Slice.parse(args.where))
    made = export_to_tool(study, args.table, args.output, among=among)
    print(f"{args.output}: {counted(made.n, 'image')}")
    print(f"open: {made.opened_by}")
    for note in made.notes:
        print(f"note: {note}")


def _export_basis(args: argparse.Namespace) -> None:
    from core.publish.basis_export import export_basis

    study = _open(args.study)
    name = getattr(args, "basis", None) or (next(iter(study.bases)) if len(study.bases) == 1 else None)
    if name is None:
        raise SettingsError(say_of_command("which_basis", what=", ".join(study.bases) or "none"))
    if "where" in args or "slice" in args:
        raise SettingsError(say_of_command("basis_of_all"))
    print(f"{args.output}: {export_basis(study, name, args.output)} latents")


def _export_frame(args: argparse.Namespace) -> None:
    from core.publish.export_files import export_frame

    if "image" not in args:
        raise SettingsError(say_of_command("which_image", what=args.table))
    settings = {name: getattr(args, name) for name in ("combine", "mask", "device") if name in args}
    study = _open(args.study)
    features = getattr(args, "feature", None)
    height, width = export_frame(
        study, args.table, args.output, image=args.image, features=features, **settings
    )
    print(f"{args.output}: {height} x {width}")


def _open(folder: Path) -> Study:
    from core.store import Study

    return Study(folder)


def print_study(folder: Path, *, as_json: bool) -> None:
    """Print a study's summary at the end of a command; of several processes, only the first prints."""
    if not is_first():
        return
    from core.publish.summary import info as describe

    output.show(describe(_open(folder)), output.info_text, as_json=as_json)
