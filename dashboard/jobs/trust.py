"""May a click start this command? The one question that the launcher asks. No streamlit.

A study may come from somebody else. So a command is started only where nothing that it reaches names code, or
a file outside the study, the folders that may be chosen (allowed_paths.py) and what ships with Peregrine.
PEREGRINE_TRUST_STUDIES=1 says that every study served is the owner's; then only the command's parts count.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from core.common.assets import assets_folder
from core.common.command_line import with_options
from core.common.remote.addresses import check_granted, is_url, located
from core.encoders.spec import Spec, parse_spec, read_sidecar
from core.encoders.trusted_code import TRUST, argument_problem, names_code, studies_are_trusted
from core.errors import PeregrineError, SettingsError
from core.jobs.commands import AddAnswer, Analyze, Command, FitBasis, RemoveBasis, RunStep
from core.storage.layers import below
from core.storage.manifest import UNFINISHED
from dashboard.addresses import served_studies
from dashboard.jobs import allowed_paths

# Steps that read nothing but what is stored in the study, whatever its settings say.
POSITIONS = "positions"
STUDY_ONLY = frozenset({"features", "neighbours", "probe", "quality", "map", "failures"})
PATHS = frozenset({"masks", "salient_imagenet", "annotations", "captions", "representations", "root"})
REMEDY = f"Run the command in a terminal, or set {TRUST}=1 if all studies served here are yours."
GLYPHWORLD = re.compile(r"glyphworld(\?[\w=&.-]*)?")
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
MOST_VALUES = 100_000  # of the settings of a study; a sound one has a few hundred


def trust(study: Path | None, command: Command) -> str | None:
    """Return why a click may not start a command; None where it may.

    Args:
        study: the folder that the command works on; None: it makes its own, or works on none.
        command: its typed parts.
    Returns:
        one sentence with what was found and what to do.
    """
    try:
        if study is not None and not isinstance(command, Analyze):
            whole = below(study)  # what a basis lacks comes from its study
            for one in (study, *([whole] if whole else [])):
                _check_served(one)
                if not studies_are_trusted():
                    _check_study(one, command)
        _check_parts(command)
    except PeregrineError as error:
        return str(error)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "What this study says of itself cannot be read, so nothing is started with it."
    return None


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
    try:
        _check_served(study)
        for key, value in {} if studies_are_trusted() else settings.items():
            _check_value(key, value, study)
    except PeregrineError as error:
        return str(error)
    except (OSError, ValueError, TypeError):
        return f"What this study says of its {what} cannot be read, so nothing is started with it."
    return None


def _check_served(study: Path) -> None:
    served = {entry.path.resolve() for entry in served_studies.entries(served_studies.studies_folder())}
    if (below(study) or study).resolve() not in served:
        raise SettingsError(f"'{study.name[:60]}' is not a study that is served here")


def _reads_study_only(command: Command) -> bool:
    if isinstance(command, FitBasis):
        return command.on != POSITIONS and not command.resume  # for both the encoder looks at images
    return isinstance(command, (AddAnswer, RemoveBasis)) or (
        isinstance(command, RunStep) and command.step in STUDY_ONLY
    )


def _check_study(study: Path, command: Command) -> None:
    """Raise SettingsError for the first thing of a study that the command would reach and must not."""
    if _reads_study_only(command):
        served_studies.open_current(study)  # raises for what cannot be read
        return
    manifest = served_studies.open_current(study).manifest
    stored = [
        {name: entry.get(name) for name in ("settings", "summary")} for entry in manifest["steps"].values()
    ]
    stored += [{"settings": one} for one in manifest.get(UNFINISHED, {}).values()]
    values = [pair for tree in stored for pair in _values(tree)]
    for check in (_check_code, _check_value):  # code is the graver matter, so it is named first
        for key, value in values:
            try:
                check(key, value, study)
            except SettingsError as error:
                raise SettingsError(f"{error}. {REMEDY}") from None


def _check_parts(command: Command) -> None:
    """The command's own parts: the dashboard has made them, and they are checked once more."""
    if isinstance(command, Analyze):
        if not command.study.resolve().is_relative_to(served_studies.studies_folder()):
            raise SettingsError(f"'{command.study.name[:60]}' does not lie in the studies folder")
        given = {"images": command.images, "encoder": command.encoder, "clip": command.clip}
        given |= {name: getattr(command, name) for name in ("masks", "salient_imagenet", "captions")}
    else:
        given = dict(command.options) if isinstance(command, RunStep) else {}
    for key, value in given.items():
        if value:
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


def _check_code(key: str, value: Any, study: Path) -> None:
    """Raise SettingsError where a value names code."""
    if isinstance(value, str) and (names_code(value) or key == "captioner"):
        raise SettingsError(f"This study names code of its own, '{value[:80]}'")


def _check_value(key: str, value: Any, study: Path) -> None:
    """Raise SettingsError where a value names code or a file that must not be reached."""
    _check_code(key, value, study)
    if not isinstance(value, str):
        return
    if key == "spec" and _is_glyphworld(value):  # where the images came from, not the encoder
        return
    if FINGERPRINT.fullmatch(value):  # of what a dictionary was fitted to; it names no file
        return
    if key in ("encoder", "spec", "start"):
        _check_encoder(value, study)
    elif key == "clip":
        _check_clip(value, study)
    elif key in ("images", "val"):
        _check_images(value, study)
    elif (
        key in PATHS
        and value != "glyphworld"
        or os.path.isabs(value)
        or value.startswith("~")
        or is_url(value)
    ):
        _check_path(value, study)


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
    if is_url(text):
        return check_granted(located(text))
    path = Path(text).expanduser().resolve()
    folders = [*allowed_paths.roots(), assets_folder(), served_studies.studies_folder(), study.resolve()]
    if not any(path.is_relative_to(folder) for folder in folders):
        raise SettingsError(
            f"This study reads '{text[:120]}', and the dashboard may not: start it with that folder in "
            f"{allowed_paths.ROOTS}"
        )
