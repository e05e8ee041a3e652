"""Studies of the images of one study by other encoders, computed one after the other. No streamlit."""

import re
from collections.abc import Sequence
from pathlib import Path

from core.common.formatting import full_sentence
from core.common.readout import ASSETS
from core.encoders.spec import parse_spec
from core.errors import JobError, SettingsError
from core.export.rerun import other_encoder_command
from core.jobs.commands import Resume
from core.jobs.jobs import Job
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.jobs import allowed_paths, launcher

LIBRARIES = ("torchvision", "timm")
MOST = 8  # encoders that are started together
WEIGHTS = re.compile(r"pretrained=(true|false)")


def why_not(study: Study) -> str | None:
    """Return why no click may study these images by another encoder; None where one may."""
    if refused := launcher.refusal(Resume(study.path)):  # the new ones read what this one reads
        return refused
    if study.settings("embed").get("representations"):
        return "it was made from ready representations; make the next one in a terminal"
    return None


def shipped(study: Study) -> dict[str, str]:
    """Map the SPECs of the shipped encoders that the study is not of to their titles."""
    specs = {f"asset:{name}": title for name, title in ASSETS.items()}
    return {spec: title for spec, title in specs.items() if spec != study.encoder_name}


def read_encoders(text: str) -> list[str]:
    """Read one SPEC a line: torchvision:NAME, timm:NAME, or a checkpoint that may be chosen, or ARCH@FILE.

    Those of timm have their trained weights unless the line ends in `?pretrained=false`.

    Raises:
        SettingsError: a line is none of these, or names a file that may not be chosen.
    """
    lines = [line.strip() for line in re.split(r"[\n,;]", text)]
    return list(dict.fromkeys(_encoder(line) for line in lines if line))


def _encoder(line: str) -> str:
    arch, at, path = line.partition("@")
    if at:
        return f"{_named(arch)}@{allowed_paths.allowed_place(path, folder=False)}"
    family, colon, _ = line.partition(":")
    if colon and family in LIBRARIES:
        return _named(line, with_weights=True)
    return allowed_paths.allowed_place(line, folder=False)


def _named(text: str, *, with_weights: bool = False) -> str:
    """An architecture of a library by its plain name, with nothing that would read files or run code."""
    family, colon, rest = text.strip().rpartition(":")
    name, _, options = rest.partition("?")
    if colon and family not in LIBRARIES:
        raise SettingsError(f"'{text[:60]}': write torchvision:NAME, timm:NAME or a checkpoint")
    if options and not WEIGHTS.fullmatch(options):
        raise SettingsError(
            f"'{text[:60]}': of the options of an architecture only pretrained may be given here"
        )
    if with_weights and family == "timm" and not options:
        options = "pretrained=true"
    mark = "?" if options else ""
    return f"{family}{colon}{allowed_paths.encoder_name(name)}{mark}{options}"


def study_names(study: Study, encoders: Sequence[str]) -> list[str]:
    """Name the study by each encoder after this one and the encoder, with a number where that is taken."""
    names: list[str] = []
    for encoder in encoders:
        short = re.sub(r"[^\w.+-]+", "-", Path(parse_spec(encoder).short_name).name).strip("-.")
        stem = f"{study.name}-{short.removeprefix('asset-')}"[:50]
        number, name = 1, stem
        while name in names or (served_studies.studies_folder() / name).exists():
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return names


def start_all(study: Study, encoders: Sequence[str]) -> list[Job]:
    """Start a study of the same images by each encoder; each begins when the one before has ended.

    Raises:
        JobError: a click may not start one, or it cannot be started; those before it stay started.
    """
    if reason := why_not(study):
        raise JobError(full_sentence(reason))
    if not encoders:
        raise JobError("choose an encoder, or write one")
    if len(encoders) > MOST:
        raise JobError(f"{len(encoders)} encoders; start at most {MOST} together")
    folders = [allowed_paths.study_folder(name) for name in study_names(study, encoders)]
    jobs: list[Job] = []
    for number, (folder, encoder) in enumerate(zip(folders, encoders, strict=True)):
        after = tuple(folders[max(number - 1, 0) : number])
        command = other_encoder_command(study, folder, encoder, after=after)
        if reason := launcher.refusal(command):
            raise JobError(full_sentence(reason))
        jobs.append(launcher.start(command))
    return jobs
