"""Answers are added to a study, and removed; and the step `answers`, which takes the encoder's own head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.answers import answer as answers
from core.answers.answer import HEAD, evaluated
from core.answers.class_logits import own_classifier
from core.answers.head import WRONG_ORDER, why_no_head, why_other_numbers
from core.answers.kinds import KINDS
from core.answers.outcome import Request, answer_facts, outcome_table
from core.common.command_line import command_line
from core.common.device import resolve_device
from core.common.topics import function_named
from core.config import AnswersConfig
from core.errors import PeregrineError, SettingsError, did_you_mean
from core.study.chunked_array import file_sha256
from core.study.inside import check_name, name_from
from core.study.manifest import UNFINISHED, last_settings
from core.study.reader import StudyReader
from core.study.writer import write_study

if TYPE_CHECKING:
    from core.config import RunOptions
    from core.study.progress import Progress
    from core.study.writer import StepRun, StepWriter

OWN_STEP = "answer-{name}"  # the entry of the manifest of an answer that was added
OF_STEPS = tuple(kind.name for kind in KINDS.values() if kind.step)  # answers that a step makes
CHANCE = "at chance level: top-1 is not clearly above the share of the most common class"
GUESSES = {
    "file": ". The likely cause is a wrong order of the classes (--head-classes FILE)",
    HEAD: ". The likely causes are a wrong order of the classes (--head-classes FILE) and a wrong "
    "normalisation (--mean, --std)",
}


def fingerprints(study: StudyReader, config: AnswersConfig, run: RunOptions) -> dict[str, str]:
    """What the step `answers` reads outside the study: the file of class names."""
    del study, run
    path = config.head_classes
    return {"head_classes": file_sha256(Path(path))} if path and Path(path).is_file() else {}


def compute_answers(study: StudyReader, step: StepWriter, config: AnswersConfig, run: StepRun) -> None:
    """The step `answers`: the head, if the encoder has one that fits the labels; else only the reason."""
    why = why_no_head(study) or ("the images have no labels" if not study.labelled else None)
    for name, value in (("head-classes", config.head_classes), ("head-activation", config.head_activation)):
        if why and value:
            raise SettingsError(f"--{name} {value}: {why}")
    request = Request(config.head_classes, config.head_activation, config.restrict, device=run.device)
    if why is None:
        try:
            write_answer(study, step, HEAD, HEAD, request, run.progress)
        except SettingsError as error:
            if config.head_classes or config.head_activation:
                raise
            why = str(error)
    if why:
        step.summary = {"skipped": why}


def write_answer(
    study: StudyReader, step: StepWriter, name: str, kind: str, request: Request, progress: Progress
) -> None:
    """Make an answer of a kind and write it into a study: its table, and its facts in the summary."""
    answer = function_named(KINDS[kind].make)(study, request, progress)
    table = outcome_table(study, answer)
    facts = answer_facts(study, table, answer, kind, evaluated(study, kind))
    as_made = replace(request, head_activation=facts.get("activation"), order=facts.get("matched", ""))
    facts["notes"] = _with_cause(study, kind, facts, as_made, progress)
    unexplained = kind == HEAD and not request.head_classes and CHANCE + GUESSES[HEAD] in facts["notes"]
    if unexplained and (why := why_other_numbers(study, facts)):
        raise SettingsError(why)
    for note in facts["notes"]:
        progress.note(f"{name}: {note}")
    item = answers.TABLE.format(name=name)
    step.table(item, table)
    if answer.weights is not None and answer.bias is not None:
        step.vector(f"{item}_weights", answer.weights)
        step.vector(f"{item}_bias", answer.bias)
    if answer.outputs is not None:
        step.vector(f"{item}_outputs", answer.outputs)
        if own_classifier(study, facts.get("activation")) is None and (write := KINDS[kind].gradients):
            wrong = function_named(write)(study, step, item, table, answer.outputs, request, progress)
            facts["notes"] += [wrong] if wrong else []
    step.summary = {"answers": {name: facts}}


def _with_cause(
    study: StudyReader, kind: str, facts: Mapping[str, Any], request: Request, progress: Progress
) -> list[str]:
    """The notes of an answer, with the cause of a low accuracy as far as it can be told."""
    find, notes, at_chance = KINDS[kind].cause, facts["notes"], facts["at_chance"]
    extra_note = function_named(find)(study, request, progress, at_chance) if find else None
    if not at_chance:
        return [*notes, extra_note] if extra_note else notes
    if extra_note:
        return [*(note for note in notes if not note.startswith(WRONG_ORDER)), f"{CHANCE}. {extra_note}"]
    of_order = any(note.startswith(WRONG_ORDER) for note in notes)
    return [*notes, CHANCE if of_order else CHANCE + GUESSES.get(kind, "")]


def add_answer(
    folder: str | Path, what: str, name: str | None, request: dict[str, Any], progress: Progress
) -> str:
    """Add an answer of a kind, or the predictions of a file, and return its name.

    Raises:
        SettingsError: no such kind or file, or it is one of the steps' own (`head`, `probe`).
    """
    kind = what if what in KINDS else "file"
    if kind == "file" and not Path(what).is_file():
        hint = did_you_mean(what, KINDS)
        raise SettingsError(
            f"--add {what}: no such file, and no kind of answers.{hint} "
            f"Kinds: {', '.join(one for one in KINDS if one != 'file')}"
        )
    name = check_name(name or (kind if kind != "file" else name_from(Path(what))), answers.PROBE)
    if name == HEAD and kind != HEAD:
        raise SettingsError(f"--name {HEAD}: that is the name of the encoder's own classifier")
    for answer in (kind, name):
        if answer in KINDS and not KINDS[answer].make and KINDS[answer].step:
            run = command_line(KINDS[answer].step, folder)
            raise SettingsError(f"'{answer}' is the answer that a step makes. Run: {run}")
    device = resolve_device(request.pop("device", "auto"))
    given = Request(**request, file=what if kind == "file" else None, device=device)
    files = {"file": given.file, "head_classes": given.head_classes}
    files = {part: Path(file).resolve() for part, file in files.items() if file and Path(file).is_file()}
    settings = {"kind": kind, **request} | {part: str(file) for part, file in files.items()}
    inputs = ("images",) if given.file else ("images", "representations")
    outside = {part: file_sha256(file) for part, file in files.items()}
    with write_study(folder) as writer, progress.step("answers"):
        study = StudyReader(folder)
        if not study.has("images"):
            raise SettingsError(f"'{folder}' has no images yet")
        if not study.labelled:
            raise SettingsError(f"the images of '{folder}' have no labels, so nothing says which are wrong")
        step = OWN_STEP.format(name=name)
        writer.asked[step] = settings
        with writer.step(step, settings, inputs, outside) as out:
            write_answer(study, out, name, kind, given, progress)
    return name


def requested_steps(kinds: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Map the steps behind answers that `add_kinds` adds to their settings, for `resume` after a kill."""
    return {OWN_STEP.format(name=kind): {"kind": kind} for kind in kinds if kind not in OF_STEPS}


def add_kinds(
    folder: str | Path, kinds: Iterable[str], options: Mapping[str, Any], progress: Progress
) -> None:
    """Add the answers of some kinds to a study, but for those that a step makes.

    Raises:
        PeregrineError: one cannot be made; the others are added before.
    """
    errors = []
    for kind in kinds:
        if kind not in OF_STEPS:
            try:
                add_answer(folder, kind, None, {"device": options.get("device", "auto")}, progress)
            except PeregrineError as error:
                errors.append(error)
    if errors:
        raise errors[0]


def remake_stale(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> None:
    """Make again the added answers of a study whose images, representations or file have changed.

    Those that an interrupted run was asked for are made too. One that cannot be made leads to a note.
    """
    study, prefix = StudyReader(folder), OWN_STEP.format(name="")
    unfinished = study.manifest.get(UNFINISHED, {})
    for step in dict.fromkeys((*study.manifest["steps"], *unfinished)):
        if not step.startswith(prefix):
            continue
        if not (step in unfinished or study.state(step) == "stale" or _has_other_files(study, step)):
            continue
        request = last_settings(study.manifest, step).copy()
        kind = request.pop("kind", None)
        file = request.pop("file", None)
        try:
            what = _of_settings(kind, file)
            request["device"] = options.get("device", "auto")
            add_answer(folder, what, step.removeprefix(prefix), request, progress)
        except PeregrineError as error:
            state = "is not made" if step in unfinished else "stays stale"
            progress.note(f"the answer {step.removeprefix(prefix)} {state}: {error}")


def _of_settings(kind: Any, file: Any) -> str:
    """Return what `add_answer` adds by the settings of an answer; a kind that is none is never a file."""
    if str(kind) not in KINDS or (kind == "file") != bool(file):
        raise SettingsError(f"its settings name no kind of answers but '{str(kind)[:40]}'")
    return str(file or kind)


def _has_other_files(study: StudyReader, step: str) -> bool:
    """Whether a file that an answer was made of is another one now; one that is gone is not."""
    settings, before = study.settings(step), study.manifest["steps"][step]["inputs"]
    files = {
        mark: Path(settings.get(mark.removeprefix("@")) or "") for mark in before if mark.startswith("@")
    }
    return any(file.is_file() and file_sha256(file) != before[mark] for mark, file in files.items())


def remove_answer(folder: str | Path, name: str) -> None:
    """Remove an answer and its files from a study; one that a step alone makes stays."""
    if name in KINDS and KINDS[name].step == name:
        title = KINDS[name].title
        raise SettingsError(f"the {title} is a step of the study and stays; other answers can be removed")
    with write_study(folder) as writer:
        writer.remove(answers.answer_named(StudyReader(folder), name).step)
