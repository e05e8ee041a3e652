"""Running the steps of a study, as `core.steps` lists them. `analyze` runs all that are not current."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.answers.requests import remake_stale, requested_steps
from core.common.device import check_device, resolve_device, run_options
from core.common.labels.class_list import read_class_list
from core.common.processes import is_first
from core.common.worker_group import Ranks, join_ranks
from core.config import RunOptions, as_settings
from core.config.settings import flag
from core.encoders.trusted_code import allowing
from core.errors import NoDiscriminativeFeatures, SettingsError, StudyError
from core.jobs.progress import Progress
from core.pipeline.embed import with_encoder
from core.pipeline.idle import idle_steps
from core.pipeline.memory import give_back_memory
from core.steps import STEPS, Step, in_analysis, kept_settings, settings_of
from core.storage import layers
from core.storage.manifest import last_settings
from core.storage.writer import StepRun, StudyWriter, write_study
from core.store import Study
from core.topics import function_named


def analyze(
    folder: str | Path,
    options: Mapping[str, Any],
    progress: Progress,
    *,
    by_step: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> None:
    """Run every step that is missing or whose settings or inputs have changed.

    Args:
        options: fields of the step configs and of RunOptions by name (`images`, `encoder`, `epsilon` …);
            `answers`: kinds that the caller adds when this is done, which `resume` after a kill adds, too.
        by_step: fields of single steps, whose names mean something else in other steps (`k` of `concepts`).
    """
    if (whole := layers.below(Path(folder))) is not None:
        _refuse_settings_of_all_bases(options)
        if is_first() and (answers := requested_steps(options.get("answers", ()))):
            with write_study(whole) as writer:  # they are the same in every basis
                writer.asked |= answers
                writer.note_asked()
        return _resume(folder, options, progress)  # with what is known of the study
    if options.get("head_classes"):  # which is used at the end
        read_class_list(options["head_classes"])
    named, which_encoder = with_encoder(folder, options)
    if which_encoder:
        progress.note(which_encoder)
    configs = {step: settings_of(step, {**named, **by_step.get(step, {})}) for step in in_analysis()}
    with _trusting_options(options):
        _analyze(folder, configs, named, progress, requested_steps(options.get("answers", ())))


def _refuse_settings_of_all_bases(options: Mapping[str, Any]) -> None:
    """Raise SettingsError for a setting of steps that are not run in a basis, where it would do nothing."""
    fields: dict[bool, set[str]] = {True: set(RunOptions.__dataclass_fields__), False: set()}
    for step in map(STEPS.__getitem__, in_analysis()):
        fields[step.is_of_basis] |= step.config.__dataclass_fields__.keys()
    for name in options:
        if name in fields[False] - fields[True]:
            raise SettingsError(f"{flag(name)} is of the study in every basis; leave out --basis")


def _analyze(
    folder: str | Path,
    configs: Mapping[str, Any],
    options: Mapping[str, Any],
    progress: Progress,
    answers: Mapping[str, dict[str, Any]] = MappingProxyType({}),
) -> None:
    """Run the outdated steps of `configs`; `options` says how fast and where, `answers` what comes after."""
    ranks = join_ranks()
    check_device(options)
    failed: dict[str, NoDiscriminativeFeatures] = {}
    with _opened_by_all(folder, ranks) as writer:
        writer.asked |= {name: as_settings(config) for name, config in configs.items()} | dict(answers)
        for name, config in configs.items():
            step = STEPS[name]
            if not (ranks.is_first or step.makes_study or step.shared):
                ranks.help()
                continue
            with _others_help(step, ranks):
                if failed.keys() & set(step.needs) and not step.shared:
                    continue
                try:
                    with progress.step(name):
                        _run(writer, step, config, run_options(options), progress, ranks)
                    if step.makes_study and ranks.is_first:
                        progress.idle = idle_steps(Study(writer.folder), configs)
                    give_back_memory()
                except NoDiscriminativeFeatures as error:  # the steps that can do without it still run
                    failed[name] = error
    if failed:
        raise next(iter(failed.values()))


def _others_help(step: Step, ranks: Ranks) -> AbstractContextManager[None]:
    """Let the other processes help with a step that they do not run."""
    return nullcontext() if step.makes_study or step.shared else ranks.lead()


def resume(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> None:
    """Run every step that is missing or whose inputs have changed, with the stored settings.

    Those of a step that was interrupted are the ones that the interrupted run was asked for.

    Args:
        options: settings to change, as for `analyze` (an `epsilon` that works), and fields of RunOptions.
    Raises:
        StudyError: the images are not known, because `embed` did not finish.
    """
    _resume(folder, options, progress)
    if is_first():
        remake_stale(layers.below(Path(folder)) or folder, options, progress)


def _resume(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> None:
    manifest = Study(folder).manifest
    whole = layers.below(Path(folder))
    if not last_settings(manifest, "embed"):
        raise StudyError(
            f"'{folder}' does not record its images and encoder. Run the command that "
            "started it again; finished work is kept"
        )
    steps = [step for step in STEPS if not STEPS[step].on_request or last_settings(manifest, step)]
    if whole is not None:
        steps = [step for step in steps if STEPS[step].is_of_basis]
    configs = {step: settings_of(step, options, _settings_before(step, folder, manifest)) for step in steps}
    _analyze(folder, configs, options, progress)


def _trusting_options(options: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Trust the code that the caller names; code that only a study names is not trusted."""
    return allowing(options.get("encoder"), options.get("captioner"))


def run_step(step: str, folder: str | Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Run one step and return its summary; options not given keep their stored values.

    Args:
        options: as for `analyze`; `redo` runs the step even if nothing has changed.
    """
    ranks = join_ranks()
    row = STEPS[step]
    if not (ranks.is_first or row.makes_study or row.shared):
        with _trusting_options(options):
            ranks.help()
        return {}
    with _others_help(row, ranks):
        if layers.below(Path(folder)) is not None and not row.in_basis:
            raise SettingsError(f"'{step}' is of the study in every basis; leave out --basis")
        if not row.makes_study:
            ranks = ranks if row.shared else Ranks()
            check_needs(step, folder)
        check_device(options)
        return _run_opened(row, folder, options, progress, ranks)


def _run_opened(
    row: Step, folder: str | Path, options: Mapping[str, Any], progress: Progress, ranks: Ranks
) -> dict[str, Any]:
    with _trusting_options(options), _opened_by_all(folder, ranks) as writer:
        before = _settings_before(row.name, folder, writer.manifest)
        config = settings_of(row.name, options, kept_settings(row.name, before, options))
        writer.asked[row.name], redo = as_settings(config), bool(options.get("redo"))
        with progress.step(row.name):
            _run(writer, row, config, run_options(options), progress, ranks, redo=redo)
        return writer.manifest["steps"].get(row.name, {}).get("summary", {})


@contextmanager
def _opened_by_all(folder: str | Path, ranks: Ranks) -> Iterator[StudyWriter]:
    """Open the study in every process: the first holds the lock and changes nothing until all have read."""
    if not ranks.is_first:
        ranks.wait()
    with write_study(folder, guest=not ranks.is_first, shared=ranks.size > 1) as writer:
        if ranks.is_first:
            ranks.wait()
        ranks.wait()
        yield writer


def _settings_before(step: str, folder: str | Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """The settings of a step's last run; in a basis without one, those of the study, but for epsilon."""
    settings = last_settings(manifest, step)
    whole = layers.below(Path(folder))
    if settings or whole is None:
        return settings
    of_study = last_settings(Study(whole).manifest, step)
    return of_study | ({"epsilon": "auto"} if step == "features" else {})


def check_needs(step: str, folder: str | Path) -> None:
    """Raise StudyError, naming the command to run first, when a required step is missing."""
    study = Study(folder)
    for needed in STEPS[step].needs:
        if study.state(needed) != "done":
            raise StudyError(f"'{step}' needs '{needed}', which is {study.missing()[needed]}")


def request_heatmaps(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Compute maps of single images that the study does not hold, and store them beside its items.

    Args:
        options: `image` (list of image ids), `feature` (list of numbers), and the fields of RunOptions.
    """
    if not options.get("image") or not options.get("feature"):
        raise SettingsError("which maps? Give both --image ID and --feature J[,K]")
    check_needs("heatmaps", folder)
    check_device(options)
    from core.analysis.gradcam import step as heatmap_step

    device = resolve_device(run_options(options).device)
    with progress.step("heatmaps"):
        return heatmap_step.request_heatmaps(
            Study(folder), options["image"], options["feature"], progress=progress, device=device
        )


def delete_study(folder: str | Path) -> None:
    """Delete a study's files; a folder that holds anything else is refused."""
    path = Path(folder)
    if not path.exists():
        return
    with write_study(path):
        for entry in path.iterdir():
            if entry.name in {".lock", "progress.json", "log.txt"}:
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _run(
    writer: StudyWriter,
    step: Step,
    config: Any,
    run: RunOptions,
    progress: Progress,
    ranks: Ranks,
    *,
    redo: bool = False,
) -> None:
    if step.makes_study:
        return function_named(step.function)(writer, config, run, progress, ranks, redo=redo)
    if step.shared and ranks.size > 1:
        ranks.wait()  # until all that the first has made alone is written
        writer.read_again()
    settings = as_settings(config)
    inputs = step.inputs + step.inputs_by_settings(config)
    study = Study(writer.folder)
    if step.shared and any(study.state(needed) != "done" for needed in step.needs):
        return None  # the first process says why
    outside = None
    if step.external_fingerprints:
        outside = function_named(step.external_fingerprints)(study, config, run)
    if not redo and writer.is_current(step.name, settings, inputs, outside):
        return progress.note(f"{step.name}: up to date")
    if step.shared:
        ranks.wait()  # all have looked before the first changes the manifest
    with writer.step(step.name, settings, inputs, outside) as out:
        step_run = StepRun(progress, resolve_device(run.device), run, ranks)
        function_named(step.function)(study, out, config, step_run)
        if undeclared := out.items.keys() - set(step.outputs):
            raise RuntimeError(f"'{step.name}' wrote {sorted(undeclared)}, which its row in core.steps lacks")
