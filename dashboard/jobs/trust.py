"""May a click start this command? The one question that the launcher asks. No streamlit.

A study may come from somebody else. So a command is started only where nothing that it reaches names code, or
a file outside the study, the folders that may be chosen (allowed_paths.py) and what ships with Peregrine.
PEREGRINE_TRUST_STUDIES=1 says that every study served is the owner's; then only the command's parts count.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from core.answers import kinds as answers
from core.bases import kinds as bases
from core.common.addresses import check_granted, is_url, located
from core.common.assets import assets_folder
from core.common.command_line import with_options
from core.common.inside import stamp_of
from core.encoders.spec import Spec, parse_spec, read_sidecar
from core.encoders.trusted_code import TRUST, argument_problem, names_code, studies_are_trusted
from core.errors import PeregrineError, SettingsError
from core.study.commands import AddAnswer, Analyze, Command, CompareEncoders, FitBasis, RemoveBasis, RunStep
from core.study.layers import below
from core.study.manifest import UNFINISHED
from core.study.steps import STEPS
from dashboard.jobs import allowed_paths
from dashboard.state import served_studies

# Steps that read nothing but what is stored in the study, whatever its settings say.
POSITIONS = "positions"
STUDY_ONLY = frozenset(
    {"features", "neighbours", "probe", "crossfit", "quality", "map", "failures", "remedies"}
)
REMEDY = f"Run the command in a terminal, or set {TRUST}=1 if all studies served here are yours."
GLYPHWORLD = re.compile(r"glyphworld(\?[\w=&.-]*)?")
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
MOST_VALUES = 100_000  # of the settings of a study; a sound one has a few hundred
# What the summary of a step says of images, masks and encoders, and a setting of a later version may be.
DESCRIBED = {"path": "file", "root": "file", "spec": "encoder", "start": "encoder"}
LAST_NAMES = frozenset({"file"})  # settings of which a summary holds the last name alone, to be shown


def named_by_settings() -> dict[str, str]:
    """Map each setting of a step, an answer or a basis that names something to what it names."""
    rows = [*STEPS.values(), *answers.KINDS.values(), *bases.KINDS.values()]
    fields = [field for row in rows for field in dataclasses.fields(row.config)]
    marks = {field.name: field.metadata.get("names", "") for field in fields}
    return {name: what for name, what in marks.items() if what}


IN_COMMANDS = named_by_settings()
IN_SETTINGS = IN_COMMANDS | DESCRIBED
IN_SUMMARIES = {name: what for name, what in IN_SETTINGS.items() if name not in LAST_NAMES}
UNREADABLE = "What this study says of {} cannot be read, so nothing is started with it."
_on_page: ContextVar[dict[tuple[Any, ...], "Judgement"] | None] = ContextVar(
    "judged on this page", default=None
)


@dataclass(frozen=True)
class Judgement:
    """Why no click may start a command on a study as it is stored; None where one may.

    Args:
        every: of any command.
        reaching: of one that reaches what the study names: images, files, encoders.
    """

    every: str | None
    reaching: str | None


def judged(study: Path) -> Judgement:
    """Judge a study as it is now, with all that its manifest names."""
    every = _reason("itself", _check_served, study)
    if every is None and not studies_are_trusted():
        every = _reason("itself", served_studies.open_current, study)  # raises for what cannot be read
        return Judgement(every, every or _reason("itself", _check_study, study))
    return Judgement(every, every)


def trust(command: Command, judge: Callable[[Path], Judgement] = judged) -> str | None:
    """Return why a click may not start a command; None where it may.

    Args:
        command: its typed parts.
        judge: what judges a study of it; `judged` uses nothing that was found before.
    Returns:
        one sentence with what was found and what to do.
    """
    return _reason("itself", _check, command, judge)


def judged_on_page(study: Path) -> Judgement:
    """Return `judged`, kept until the page is drawn or the manifest of the study changes."""
    verdicts = _on_page.get()
    if verdicts is None:
        return judged(study)
    manifests = [one / served_studies.MANIFEST for one in (study, below(study)) if one is not None]
    state = (study, *map(stamp_of, manifests))
    if state not in verdicts:
        verdicts[state] = judged(study)
    return verdicts[state]


@contextmanager
def judged_once() -> Iterator[None]:
    """Let every button of a page that is drawn share what is judged of a study."""
    before = _on_page.set({})
    try:
        yield
    finally:
        _on_page.reset(before)


def trust_clip(study: Path, clip: str) -> str | None:
    """Return why the CLIP that a study names may not be loaded for a search; None where it may.

    Loading it reaches nothing of the study but this name.
    """
    return _trusted(study, {"clip": clip}, "CLIP")


def trust_encoder(study: Path, settings: Mapping[str, Any]) -> str | None:
    """Return why the encoder that a study names may not be loaded to look at pictures; None where it may.

    settings: what it is loaded with; loading it reaches nothing else of the study.
    """
    return _trusted(study, settings, "encoder")


def _trusted(study: Path, settings: Mapping[str, Any], what: str) -> str | None:
    return _reason(f"its {what}", _check_settings, study, settings)


def _reason(of: str, check: Callable[..., object], *parts: Any) -> str | None:
    """Return why a check refuses; None where it does not. `of`: what cannot be read where it fails."""
    try:
        check(*parts)
    except PeregrineError as error:
        return str(error)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return UNREADABLE.format(of)
    return None


def _check(command: Command, judge: Callable[[Path], Judgement]) -> None:
    for study in _read_studies(command):
        whole = below(study)  # what a basis lacks comes from its study
        for one in (study, *([whole] if whole else [])):
            judgement = judge(one)
            reason = judgement.every if _reads_study_only(command) else judgement.reaching
            if reason is not None:
                raise SettingsError(reason)
    _check_parts(command)


def _read_studies(command: Command) -> tuple[Path, ...]:
    """The studies that a command reads."""
    if isinstance(command, CompareEncoders):
        return command.compared
    return () if command.target is None or isinstance(command, Analyze) else (command.target,)


def _check_settings(study: Path, settings: Mapping[str, Any]) -> None:
    _check_served(study)
    for key, value in {} if studies_are_trusted() else settings.items():
        _check_value(key, value, study)


def _check_served(study: Path) -> None:
    served = {entry.path.resolve() for entry in served_studies.entries(served_studies.studies_folder())}
    if (below(study) or study).resolve() not in served:
        raise SettingsError(f"'{study.name[:60]}' is not a study that is served here")


def _reads_study_only(command: Command) -> bool:
    if isinstance(command, FitBasis):
        return command.settings.get("on") != POSITIONS and not command.resume  # else it looks at images
    return isinstance(command, (AddAnswer, RemoveBasis, CompareEncoders)) or (
        isinstance(command, RunStep) and command.step in STUDY_ONLY
    )


def _check_study(study: Path) -> None:
    """Raise SettingsError for the first thing of a study that a command could reach and must not."""
    manifest = served_studies.open_current(study).manifest
    entries = manifest["steps"].values()
    settings = [entry.get("settings") for entry in entries] + [*manifest.get(UNFINISHED, {}).values()]
    of_settings = [_thing(IN_SETTINGS, *pair) for tree in settings for pair in _values(tree)]
    of_summaries = [
        _thing(IN_SUMMARIES, *pair) for entry in entries for pair in _values(entry.get("summary"))
    ]
    things = [thing for thing in (*of_settings, *of_summaries) if thing is not None]
    things.sort(key=lambda thing: thing[0] != "code")  # the graver matter, so it is named first
    for what, value in things:
        try:
            CHECKS[what](value, study)
        except SettingsError as error:
            raise SettingsError(f"{error}. {REMEDY}") from None


def _check_parts(command: Command) -> None:
    """The command's own parts: the dashboard has made them, and they are checked once more."""
    folder = served_studies.studies_folder()
    if isinstance(command, Analyze) and not command.study.resolve().is_relative_to(folder):
        raise SettingsError(f"'{command.study.name[:60]}' does not lie in the studies folder")
    for before in command.after if isinstance(command, Analyze) else ():
        if not before.resolve().is_relative_to(folder):
            raise SettingsError(f"'{before.name[:60]}' does not lie in the studies folder")
    given = vars(command) | command.settings
    for key, value in given.items():
        if key in IN_COMMANDS and value:
            _check_value(key, value, command.target or Path())


def _values(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested settings with the name that it stands under."""
    stack, n = [(key, tree)], 0
    while stack:
        name, value = stack.pop()
        n += 1
        if n > MOST_VALUES:
            raise SettingsError("its settings are too long to be those of a study")
        if isinstance(value, dict):
            stack += [(str(inner), one) for inner, one in value.items()]
        elif isinstance(value, list):
            stack += [(name, one) for one in value]
        elif value is not None and not isinstance(value, bool):
            yield name, value


def _check_value(key: str, value: Any, study: Path) -> None:
    """Raise SettingsError where a setting names code, or a file that must not be reached."""
    thing = _thing(IN_SETTINGS, key, value)
    if thing is not None:
        CHECKS[thing[0]](thing[1], study)


def _thing(marks: Mapping[str, str], key: str, value: Any) -> tuple[str, str] | None:
    """Return what a value names, and the value; None where it names nothing.

    A value without a mark is a file's where it is an address, or a path that begins or leads outside.
    """
    if not isinstance(value, str):
        return None
    if names_code(value):
        return "code", value
    is_rendered = key == "spec" and _is_glyphworld(value)  # where the images came from, not the encoder
    if is_rendered or FINGERPRINT.fullmatch(value):  # of what a dictionary was fitted to
        return None
    if key in marks:
        return marks[key], value
    leads_out = os.path.isabs(value) or value.startswith("~") or ".." in value.split("/") or is_url(value)
    return ("file", value) if leads_out else None


def _refuse_code(text: str, study: Path) -> None:
    raise SettingsError(f"This study names code of its own, '{text[:80]}'")


def _is_glyphworld(images: str) -> bool:
    """Return True for rendered images, which read no file."""
    return GLYPHWORLD.fullmatch(images) is not None


def _check_encoder(text: str, study: Path) -> None:
    """An architecture by its plain name and arguments, with weights that may be read, and its sidecar."""
    if text.endswith(".npy"):
        return  # ready representations: `spec` holds their file's name, and `representations` their path
    spec = parse_spec(text)
    if spec.family == "asset":
        return
    if spec.checkpoint is not None:
        _check_path(spec.address or str(spec.checkpoint), study)
        sidecar = read_sidecar(spec.checkpoint)
        if names_code(f"{sidecar.arch} {sidecar.arguments}"):
            raise SettingsError(
                f"The file beside this study's weights, '{spec.checkpoint.name}.json', names code"
            )
        if sidecar.arch:
            _check_architecture(sidecar.spec)
    if spec.family:
        _check_architecture(spec)


def _check_architecture(spec: Spec) -> None:
    if problem := argument_problem(spec):
        raise SettingsError(problem[0].upper() + problem[1:])


def _check_clip(text: str, study: Path) -> None:
    model, at, weights = text.rpartition("@")
    if text.startswith("asset:") and allowed_paths.CLIP_NAME.fullmatch(text):
        return
    if text.endswith(".json"):
        _check_path(text, study)
    elif not at or not allowed_paths.ENCODER_NAME.fullmatch(model):
        raise SettingsError(f"This study's CLIP '{text[:80]}' is not a plain name")
    elif not allowed_paths.ENCODER_NAME.fullmatch(weights):
        _check_path(weights, study)


def _check_images(text: str, study: Path) -> None:
    family, colon, rest = text.partition(":")
    if _is_glyphworld(text):
        return
    if colon and family == "torchvision":
        for _, value in parse_qsl(rest.partition("?")[2]):
            if not allowed_paths.ENCODER_NAME.fullmatch(value):
                _check_path(value, study)
        return
    path, options = with_options(text)
    for value in (path.partition("{")[0] or ".", *filter(None, [options.get("root")])):
        _check_path(value, study)


def _check_path(text: str, study: Path) -> None:
    """Raise SettingsError for a path outside the study, the folders that may be chosen, and the assets."""
    if text == "glyphworld":  # its own captions and masks
        return
    text, _ = with_options(text)  # as who reads it splits it
    if is_url(text):
        return check_granted(located(text))
    path = Path(text).expanduser().resolve()
    folders = [*allowed_paths.roots(), assets_folder(), served_studies.studies_folder(), study.resolve()]
    if not any(path.is_relative_to(folder) for folder in folders):
        raise SettingsError(
            f"This study reads '{text[:120]}', and the dashboard may not: start it with that folder in "
            f"{allowed_paths.ROOTS}"
        )


CHECKS = {
    "code": _refuse_code,
    "encoder": _check_encoder,
    "clip": _check_clip,
    "images": _check_images,
    "file": _check_path,
}
