"""Running the steps of a study, as the table of steps lists them; the demo, and a search by a text.

torch, and what imports it, is imported by the step that computes with it: what is wrong with a command is
said before.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from core.answers.requests import remake_stale, requested_steps
from core.common.device import check_device, resolve_device, run_options
from core.common.memory import give_back_memory
from core.common.processes import is_first
from core.common.topics import function_named
from core.common.worker_group import join_ranks
from core.config import RunOptions, as_settings
from core.config.settings import flag
from core.data.class_list import read_class_list
from core.encoders.trusted_code import allowing
from core.errors import NoDiscriminativeFeatures, PeregrineError, SettingsError, StudyError
from core.measures.slice import Slice
from core.pipeline.embed import with_encoder
from core.store import Study, open_study
from core.study import layers
from core.study.layers import below
from core.study.manifest import last_settings
from core.study.progress import Progress
from core.study.steps import STEPS, Step, in_analysis, kept_settings, settings_of
from core.study.writer import StepRun, StudyWriter, write_study

_Result = TypeVar("_Result")

# Steps that have nothing to do for a study: no time is set aside for them.


OF_LABELS = ("probe", "crossfit", "answers", "failures")  # steps that nothing is left of without labels


def idle_steps(study: Study, configs: Mapping[str, Any]) -> list[str]:
    """Return the steps that will only say why they do nothing: without labels, masks or words.

    A step whose inputs cannot be read is not one of them: it says so when its turn comes.

    Args:
        study: that has its images. configs: the settings of the steps that are to be run, by name.
    """
    from core.analysis.input_masks import masks_of
    from core.concepts.clip_and_captions import why_skipped

    idle: list[str] = [] if study.labelled else list(OF_LABELS)
    with suppress(PeregrineError):
        if "overlap" in configs and masks_of(study, configs["overlap"]) is None:
            idle.append("overlap")
    with suppress(PeregrineError):
        if "concepts" in configs and why_skipped(study, configs["concepts"]):
            idle.append("concepts")
    return [name for name in idle if name in configs]


# Running the steps of a study, as `core.study.steps` lists them. `analyze` runs all that are not current.


def analyze(
    folder: str | Path,
    options: Mapping[str, Any],
    progress: Progress,
    *,
    by_step: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> None:
    """Run every step of an analysis that is missing or whose settings or inputs have changed.

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
    failed: dict[str, NoDiscriminativeFeatures] = {}

    def run(step: Step) -> None:
        if failed.keys() & set(step.needs) and not step.shared:
            return
        try:
            with progress.step(step.name):
                _run(writer, step, configs[step.name], run_options(options), progress)
            give_back_memory()
        except NoDiscriminativeFeatures as error:  # the steps that can do without it still run
            failed[step.name] = error

    def note_idle() -> None:
        progress.idle = idle_steps(Study(writer.folder), configs)

    join_ranks()  # each process sees a GPU of its own from here on
    check_device(options)
    with _opened_by_all(folder) as writer:
        writer.asked |= {name: as_settings(config) for name, config in configs.items()} | dict(answers)
        for step in map(STEPS.__getitem__, configs):
            _in_processes(step, partial(run, step))
            if step.makes_study:
                writer.ranks.lead(note_idle)
    if failed:
        raise next(iter(failed.values()))


def _in_processes(step: Step, work: Callable[[], _Result]) -> _Result | None:
    """Run what a step is in all processes of a torchrun, or in the first one, which the others help."""
    ranks = join_ranks()
    return work() if step.is_of_all else ranks.lead(work)


def resume(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> None:
    """Run every step of a study that is missing or whose inputs have changed, with stored settings.

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
    """Run one step of a study and return its summary; options not given keep their stored values.

    Args:
        options: as for `analyze`; `redo` runs the step even if nothing has changed.
    """
    row = STEPS[step]
    with _trusting_options(options):
        return _in_processes(row, partial(_run_alone, row, folder, options, progress)) or {}


def _run_alone(
    row: Step, folder: str | Path, options: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    if layers.below(Path(folder)) is not None and not row.in_basis:
        raise SettingsError(f"'{row.name}' is of the study in every basis; leave out --basis")
    if not row.makes_study:
        check_needs(row.name, folder)
    check_device(options)
    with _opened_by_all(folder) as writer:
        before = _settings_before(row.name, folder, writer.manifest)
        config = settings_of(row.name, options, kept_settings(row.name, before, options))
        writer.asked[row.name], redo = as_settings(config), bool(options.get("redo"))
        with progress.step(row.name):
            _run(writer, row, config, run_options(options), progress, redo=redo)
        return writer.manifest["steps"].get(row.name, {}).get("summary", {})


@contextmanager
def _opened_by_all(folder: str | Path) -> Iterator[StudyWriter]:
    """Open the study in every process: the first holds the lock and changes nothing until all have read."""
    ranks = join_ranks()
    with ExitStack() as opened:
        with ranks.first():
            writer = opened.enter_context(write_study(folder, ranks))
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
    """Raise StudyError before a step is run that needs another one; name the command to run first."""
    study = Study(folder)
    for needed in STEPS[step].needs:
        if study.state(needed) != "done":
            raise StudyError(f"'{step}' needs '{needed}', which is {study.missing()[needed]}")


def request_heatmaps(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Run the step `heatmaps` for images and features without a stored map; keep these beside its items.

    Args:
        options: `image` (list of image ids), `feature` (list of numbers), and the fields of RunOptions.
    """
    if not options.get("image") or not options.get("feature"):
        raise SettingsError("which maps? Give both --image ID and --feature J[,K]")
    check_needs("heatmaps", folder)
    check_device(options)
    from core.analysis import heatmaps_step as heatmap_step

    device = resolve_device(run_options(options).device)
    with progress.step("heatmaps"):
        return heatmap_step.request_heatmaps(
            Study(folder), options["image"], options["feature"], progress=progress, device=device
        )


def _delete_study(folder: str | Path) -> None:
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
    writer: StudyWriter, step: Step, config: Any, run: RunOptions, progress: Progress, *, redo: bool = False
) -> None:
    if step.makes_study:
        return function_named(step.function)(writer, config, run, progress, redo=redo)
    if step.shared:
        writer.catch_up()
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
    with writer.step(step.name, settings, inputs, outside) as out:
        step_run = StepRun(progress, resolve_device(run.device), run)
        function_named(step.function)(study, out, config, step_run)
        if undeclared := out.items.keys() - set(step.outputs):
            raise RuntimeError(
                f"'{step.name}' wrote {sorted(undeclared)}, which its row in core.study.steps lacks"
            )


# The embedded studies: one small image set embedded by the two encoders in `assets/`.


FIRST = "demo"
SETTINGS: dict[str, Any] = {
    "images": "glyphworld",
    "epsilon": "auto",
    # As in the authors' code. At the paper's 0.7 only 5 of 190 features have a counterfactual image (for half
    # of them the nearest image is below 0.62), so the contrast would do nothing; at 0.3 all have one.
    "beta": 0.3,
}
# Before and after: the second encoder is the first, trained further with eq. 3 (lambda1 as the search of
# docs/RESULTS.md chose it, so that the reward acts).
CONCEPTS = "concepts"
EPSILON, K = (
    ("features", "epsilon"),
    (CONCEPTS, "k"),
)  # the second study takes the first one's: `compare` needs that
ENCODERS = {FIRST: "asset:simclr_glyphworld", "demo-finetuned": "asset:simclr_q_glyphworld"}


def build(studies: Path, name: str, *, fresh: bool, pool: str | None = None, progress: Progress) -> None:
    """Build the embedded demo study `name` (a key of ENCODERS) below `studies`, or the parts it lacks.

    Args:
        pool: how the encoder's map is pooled; None: the average.
    """
    if fresh and is_first():
        _delete_study(studies / name)
    first = None if name == FIRST else _first_study(studies)
    options = _demo_settings(name) | _chosen_in(first, EPSILON) | ({"pool": pool} if pool else {})
    analyze(studies / name, options, progress, by_step={CONCEPTS: _chosen_in(first, K)})


def _first_study(studies: Path) -> Study | None:
    """Return the first embedded demo study; None where it has not been built."""
    try:
        return Study(studies / FIRST)
    except StudyError:
        return None


def _chosen_in(study: Study | None, setting: tuple[str, str]) -> dict[str, Any]:
    """Return a setting as a step of the study chose it from the data, by its name; empty where it has not.

    Args:
        setting: the step and the name of the setting.
    """
    step, name = setting
    value = None if study is None else study.summary(step).get(name)
    return {} if value is None else {name: value}


def _demo_settings(name: str) -> dict[str, Any]:
    """Return the settings of the embedded study `name`."""
    return SETTINGS | {"encoder": ENCODERS[name]}


# The command `search`: embed all images of a study with CLIP, once, and find those that match a text.


TOP = 24


def run_search(
    folder: str | Path, text: str | None, options: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    """Run `search`: embed the images of a study with CLIP where they are not, then find those of a text.

    Args:
        folder: of the study, or of a basis in which `slice` is read; the images are the same in every one.
        text: None or "" only embeds the images, which makes later searches fast.
        options: `clip` (default: see `core.concepts.search_index.chosen_clip`), `top`, `slice` (as text),
            `answer` (what says which images of it are correct), `redo`, and the fields of RunOptions.
    Returns:
        text, clip, n_images, n_missing, found: [{image_id, cosine}], nearest first.
    Raises:
        SettingsError: a text without letters. StudyError: no images. ClipError: CLIP cannot be loaded.
    """
    from core.concepts import search

    text = search.tidy(text or "")
    if text and not search.plain_words(text):
        raise SettingsError(
            f"nothing to search for in '{text}': give a few words, as in 'a red ball on grass'"
        )
    among = None
    if options.get("slice"):
        among = Slice.parse(options["slice"]).mask(open_study(folder, options.get("answer")))
    elif options.get("answer") or below(Path(folder)):
        option = "answer" if options.get("answer") else "basis"
        raise SettingsError(f"--{option} says how --slice is read; give a --slice, or leave it out")
    folder = below(Path(folder)) or folder
    summary = _embed_images(folder, options, progress)
    study = Study(folder)
    report = {"text": text, **{key: summary[key] for key in ("clip", "n_images", "n_missing")}}
    if not text:
        return report | {"found": []}
    texts = (text, *search.GENERIC)  # by these the dashboard judges how well the text fits
    vectors = _read_by_clip(texts, summary["clip"], options)
    with contextlib.suppress(OSError):  # a full disk: the vectors only make the next search faster
        for one, vector in zip(texts, vectors, strict=True):
            search.keep_text(study, one, vector)
    matches = search.most_alike(
        study.array(search.CLIP_IMAGES), vectors[0], int(options.get("top", TOP)), among=among
    )
    return report | {"found": search.hits(study, *matches)}


def _embed_images(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Run the step unless it is current."""
    summary = run_step("search", folder, options, progress)
    if why := summary.get("skipped"):
        raise StudyError(f"'{folder}': {why}")
    return summary


def _read_by_clip(texts: Sequence[str], clip: str, options: Mapping[str, Any]) -> Any:
    from core.concepts import clip_and_captions

    return clip_and_captions.opened_clip(clip, str(resolve_device(run_options(options).device))).embed_texts(
        list(texts)
    )
