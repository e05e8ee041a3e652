"""The commands that run one step of a study, `search` excepted; `answers` also adds and removes."""

import argparse
import dataclasses
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli import options, output
from core.cli.errors import refuse_options
from core.cli.sentences import say_of_command
from core.cli.study import given
from core.common.formatting import aligned, full_sentence
from core.common.processes import is_first
from core.common.step_facts import ProbeFacts, RemediesFacts
from core.common.topics import topics
from core.common.worker_group import join_ranks
from core.config import BasisConfig, HeatmapsConfig, RemediesConfig, RunOptions
from core.config.settings import flag
from core.config.step import Step
from core.errors import SettingsError, StudyError
from core.study.inside import name_from
from core.study.progress import Progress
from core.study.steps import STEPS, of_basis

if TYPE_CHECKING:
    from core.store import Study


# What the command `remedies` prints, and its options that write the head of a remedy to a file.


OF_HEAD = ("head", "output", "whole")


def _add_head(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command `remedies` that write a remedy's head."""
    group = sub.add_argument_group("the head of a remedy as a file, once the step has run")
    group.add_argument(
        "--head", metavar="REMEDY", help="write the head of this remedy: balanced, corrected+slices …"
    )
    group.add_argument("--whole", action="store_true", help="write the encoder's network with that head")
    group.add_argument("-o", "--output", type=Path, metavar="FILE", help="file to write: .safetensors")


def _write_head(args: argparse.Namespace) -> None:
    """Write a remedy's head, or the network with it, as `remedies --head` asks, and say what was written."""
    from core.publish.remedy_head import write_remedy_head
    from core.store import Study

    if "head" not in args or "output" not in args:
        raise SettingsError("--head REMEDY and -o FILE belong together: which head, and where it is written")
    refuse_options(args, (*RemediesConfig.__dataclass_fields__, "redo"), "is of the step; run that before")
    written = write_remedy_head(Study(args.study), args.head, args.output, whole="whole" in args)
    output.show(written, output.summary_text, as_json="json" in args)


def _show_remedies(study: "Study", *, as_json: bool) -> None:
    """Print what the command `remedies` found: what each remedy gains."""
    output.show(_remedies_report(study), _remedies_text, as_json=as_json)


def _remedies_report(study: "Study") -> dict[str, Any]:
    """Return what the command `remedies` reports: what the study remembers, and the table as mappings."""
    return {**asdict(study.facts(RemediesFacts)), "remedies": study.table("remedies").to_dict("records")}


def _remedies_text(report: output.Report) -> str:
    import pandas as pd

    from core.analysis.remedies import base_sentence, remedies_finding, remedy_sentence, worst_sentence
    from core.common.entries import record_of

    table = pd.DataFrame(report["remedies"])
    lines = [("finding", full_sentence(remedies_finding(table)))]
    facts = record_of(RemediesFacts, report)
    lines.append(("base", base_sentence(facts)))
    if worst := worst_sentence(facts):
        lines.append(("worst", worst))
    lines += [(str(row["remedy"]), full_sentence(remedy_sentence(row))) for row in report["remedies"]]
    return aligned(lines)


# The commands that run one step of a study, `search` excepted; `answers` also adds and removes.


OF_STEPS = {"head": "answers", "probe": "probe"}  # answers that a step makes
TRAINED = ("topk", "matryoshka")  # kinds of bases that take steps
OF_ANSWERS = ("quality", "failures")  # which --answer shows for another answer, without storing anything


def add_steps(commands: Any) -> None:
    """Add the command of every step of the workbench to the command line."""
    guests = {step.name for topic in topics() for step in topic.steps}
    for step in STEPS.values():
        if step.name not in ("search", "answers", *guests):  # which have files of their own here
            add_step(commands, step)


def add_step(commands: Any, step: Step) -> None:
    """Add the command of one step of the workbench to the command line."""
    sub = options.add_command(commands, step.name, run_step, step.summary, step.example)
    options.add_study(sub)
    options.add_options(sub, step.config)
    if step.running:
        options.add_options(sub, RunOptions, *step.running)
    if step.name in OF_ANSWERS:
        options.add_answer(sub)
    elif step.in_basis:
        options.add_basis(sub)
    if step.name == "heatmaps":
        _add_single_heatmaps(sub)
    if step.name == "causes":
        _add_single_errors(sub)
    if step.name == "remedies":
        _add_head(sub)
    sub.add_argument("--redo", action="store_true", help="run the step even if nothing has changed")
    options.add_json(sub)


def _add_single_errors(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--images",
        dest="image",
        metavar="ID",
        nargs="+",
        help="only these errors, and as many right images as they are compared with",
    )
    sub.add_argument(
        "--dry-run", action="store_true", help="say how many passes and how long it takes; write nothing"
    )


def _add_single_heatmaps(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("heatmaps of single images, cached with the study")
    group.add_argument("--image", metavar="ID", action="append", help="image id; may be repeated")
    group.add_argument(
        "--feature", type=options.FEATURES, metavar="J[,K]", help="features to show on those images"
    )


def run_step(args: argparse.Namespace) -> None:
    """Run the command of a step and print its summary."""
    from core.answers.answer import PROBE, default_answer
    from core.pipeline import run as pipeline
    from core.store import Study, open_study
    from core.study.manifest import refuse_foreign_folder

    refuse_foreign_folder(args.study)
    if "answer" in args and args.command in OF_ANSWERS:
        if ignored := next(iter(given(args).keys() - {"answer"}), None):
            raise SettingsError(say_of_command("shows_answer", what=flag(ignored)))
        return output.show(_of_answer(args, args.answer), output.summary_text, as_json="json" in args)
    if "dry_run" in args:
        from core.pictures.causes_step import plan_of_causes

        plan = plan_of_causes(Study(args.study), given(args))
        return output.show(plan, output.summary_text, as_json="json" in args)
    if args.command == "remedies" and {"head", "output", "whole"} & vars(args).keys():
        return _write_head(args)
    with Progress.for_command(args.study, stages_total=1) as progress:
        if args.command == "heatmaps" and ("image" in args or "feature" in args):
            of_all = (*HeatmapsConfig.__dataclass_fields__, "redo")
            refuse_options(args, of_all, say_of_command("of_all_images"))
            summary = pipeline.request_heatmaps(args.study, given(args), progress)
        else:
            summary = pipeline.run_step(args.command, args.study, given(args), progress)
    if is_first():
        if args.command in OF_ANSWERS and (default := default_answer(Study(args.study).answers)) != PROBE:
            missing = open_study(args.study, default).why_missing("failures")
            if args.command == "quality" or not missing:
                summary = _of_answer(args, default)
            elif "skipped" in summary:
                summary = {"answer": default, "skipped": str(missing)}
        elif args.command == "overlap" and (default := default_answer(Study(args.study).answers)) != PROBE:
            summary = {"answer": default, **open_study(args.study, default).summary(args.command)}
        elif args.command == "remedies" and "skipped" not in summary:
            return _show_remedies(Study(args.study), as_json="json" in args)
        output.show(summary, output.summary_text, as_json="json" in args)


def _of_answer(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """What a step says of an answer."""
    from core.analysis.recommendation import advice
    from core.store import open_study

    study = open_study(args.study, name)
    if args.command == "quality":
        table = study.table("quality_metrics")
        aurocs = {
            f"auroc of {score}": value for score, value in zip(table["score"], table["auroc"], strict=True)
        }
        advice_record = {"recommendation": advice(study, table)}
        return {"answer": name, **study.facts(ProbeFacts).described, **aurocs, **advice_record}
    if missing := study.why_missing("failures"):
        raise StudyError(say_of_command("no_failures", names=(name,), what=str(args.study), why=str(missing)))
    return {"answer": name, **study.summary(args.command)}


def add_answers(commands: Any) -> None:
    """Add the command `answers` to the command line."""
    step = STEPS["answers"]
    sub = options.add_command(
        commands, "answers", answers, step.summary, "answers studies/mine", step.example
    )
    options.add_study(sub)
    sub.add_argument(
        "--add",
        metavar="KIND|FILE",
        help="head (as --head-classes and --restrict say, else as at first), probe, knn or zero-shot, or a "
        "file of predictions: .csv or .parquet with image_id or path and predicted or a column a class, .npy "
        "of logits in the order of the images",
    )
    sub.add_argument("--name", metavar="NAME", help="name of the answer (default: the kind, or the file's)")
    options.add_options(sub, step.config)
    sub.add_argument("--remove", metavar="NAME", help="remove an answer that was added")
    options.add_options(sub, RunOptions, *step.running)
    sub.add_argument("--redo", action="store_true", help="with --add head: even if nothing has changed")
    options.add_json(sub)


def answers(args: argparse.Namespace) -> None:
    """Run the command `answers`: add or remove an answer, and list those that the study has."""
    from core.answers.kinds import KINDS
    from core.answers.requests import add_answer, remove_answer
    from core.pipeline import run as pipeline
    from core.store import Study

    of_head = {name: None for name in ("head_classes", "head_activation")} | {"restrict": False}
    given = {name: value for name, value in vars(args).items() if name in (*of_head, "device")}
    if "name" in args and "add" not in args:
        raise SettingsError(say_of_command("name_of_added"))
    if "remove" in args:
        remove_answer(args.study, args.remove)
    what = getattr(args, "add", "head" if given.keys() & of_head else None)
    if what not in OF_STEPS:
        refuse_options(args, ["redo"], say_of_command("redo_of_added"))
    if what is not None:
        read = KINDS.get(what, KINDS["file"]).options
        refuse_options(
            args,
            (name for name in of_head if name not in read),
            say_of_command("nothing_with_added", what=what),
        )
        Study(args.study)
        with Progress.for_command(args.study, stages_total=1) as progress:
            if what in OF_STEPS:
                if "name" in args:
                    raise SettingsError(say_of_command("has_its_name", what=what))
                redo = {"redo": True} if "redo" in args else {}
                request = {**(of_head if "add" in args else {}), **given, **redo}
                summary = pipeline.run_step(OF_STEPS[what], args.study, request, progress)
                if why := summary.get("skipped"):
                    raise SettingsError(say_of_command("not_added", what=what, why=why))
            else:
                add_answer(args.study, what, getattr(args, "name", None), given, progress)
    output.show(_answers_report(Study(args.study)), _answers_text, as_json="json" in args)


def _answers_report(study: Any) -> dict[str, Any]:
    """Return what the command `answers` reports: every answer with its facts, the default first."""
    lines = [
        {"name": answer.name, "words": answer.words, "kind": answer.kind, **answer.facts}
        for answer in study.answers.values()
    ]
    why = study.why_skipped("answers") or None
    return {"study": str(study.path), "answers": lines, "no_head": why}


def _answers_text(about: Mapping[str, Any]) -> str:
    """Return what the command `answers` prints: one line an answer, and its notes."""
    from core.answers.kinds import KINDS

    lines = []
    for number, answer in enumerate(about["answers"]):
        is_default = number == 0 and not KINDS[answer["kind"]].out_of_fold
        lines.append(f"{answer['words']}{'  (default)' * is_default}")
        lines += [f"  {note}" for note in answer.get("notes", ())]
    if about["no_head"]:
        lines.append(say_of_command("no_head", why=about["no_head"]))
    return "\n".join(lines or [say_of_command("no_answers")])


def add_basis(commands: Any) -> None:
    """Add the command `basis` to the command line."""
    summary = "add a dictionary whose latents are features, or load one, and list and remove them"
    sub = options.add_command(
        commands,
        "basis",
        basis,
        summary,
        "basis studies/mine --kind topk --name sae",
        "basis studies/mine --load sae.pt --name published",
    )
    options.add_study(sub)
    options.add_options(sub, BasisConfig)
    sub.add_argument(
        "--load",
        type=Path,
        metavar="FILE|FOLDER",
        help="a dictionary of SAELens, saev, overcomplete, ViSAEBench, dictionary_learning or Prisma",
    )
    sub.add_argument("--name", metavar="NAME", help="name of the basis (default: the kind, or the file's)")
    sub.add_argument(
        "--resume",
        action="store_true",
        help="then run the study's steps in it, as `resume STUDY --basis NAME` does",
    )
    sub.add_argument("--remove", metavar="NAME", help="remove a basis")
    options.add_options(sub, RunOptions, "device")
    options.add_json(sub)


def basis(args: argparse.Namespace) -> None:
    """Run the command `basis`: add, load or remove a basis, and list those that the study has."""
    from core.pipeline import run as pipeline
    from core.store import Study
    from core.study.layers import layer

    given = _basis_settings(args)
    steps = len(of_basis()) if "resume" in args else 0
    Study(args.study)
    changes = {"kind", "load", "remove"} & vars(args).keys()
    reports = Progress.for_command(args.study, stages_total=1 + steps) if changes else Progress.silent()
    with reports as progress:
        join_ranks().lead(partial(_change_bases, args, given, progress))
        if steps:
            name = getattr(args, "name", None) or getattr(args, "kind", None) or name_from(args.load)
            options = {"device": args.device} if "device" in args else {}
            pipeline.resume(layer(args.study, name), options, progress)
    if is_first():
        from core.bases.worth import bases_report

        study = Study(args.study)
        lines = bases_report(study, study.bases)
        output.show({"study": str(args.study), "bases": lines}, _bases_text, as_json="json" in args)


def _basis_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of a new basis; SettingsError for options that do not go together."""
    names = {field.name for field in dataclasses.fields(BasisConfig)}
    given = {name: value for name, value in vars(args).items() if name in names}
    if "kind" in args and "load" in args:
        raise SettingsError(say_of_command("kind_and_load"))
    if not {"kind", "load"} & vars(args).keys():
        if given or "name" in args:
            raise SettingsError(say_of_command("what_basis"))
        if "resume" in args:
            raise SettingsError(say_of_command("resume_of_basis"))
    if "load" in args and (of_fits := sorted({"size", "seeds", "steps"} & set(given))):
        raise SettingsError(say_of_command("of_kind", what=of_fits[0]))
    for name in ("normalisation", "activation", "pre_bias"):
        if name in given and "load" not in args:
            raise SettingsError(say_of_command("of_load", what=name.replace("_", "-")))
    if "pool_codes" in given and given.get("on") != "positions":
        raise SettingsError(say_of_command("pool_of_positions"))
    if "steps" in given and given["kind"] not in TRAINED:
        raise SettingsError(say_of_command("steps_of_kinds", names=tuple(TRAINED), what=given["kind"]))
    return given


def _change_bases(args: argparse.Namespace, given: dict[str, Any], progress: Progress) -> None:
    from core.bases.requests import add_basis, load_basis, remove_basis

    name = getattr(args, "name", None)
    config = BasisConfig(**given)
    device = getattr(args, "device", "auto")
    if "remove" in args:
        remove_basis(args.study, args.remove)
    if "kind" in args:
        add_basis(args.study, name, config, progress, device=device)
    if "load" in args:
        load_basis(args.study, args.load, name, config, progress, device=device, k=given.get("k"))


def _bases_text(about: Mapping[str, Any]) -> str:
    """Return what the command `basis` prints: one line a basis, and its notes."""
    lines = [
        line for one in about["bases"] for line in (one["words"], *(f"  {note}" for note in one["notes"]))
    ]
    return "\n".join(lines or ["no bases yet: the features are the units of the encoder"])
