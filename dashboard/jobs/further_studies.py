"""The same images once more: by other encoders, with corrected labels or another head. No streamlit."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from core.common.formatting import full_sentence
from core.encoders.readout import ASSETS
from core.encoders.spec import parse_spec
from core.errors import JobError, PeregrineError, SettingsError
from core.publish.label_links import image_places
from core.publish.remedy_head import remedy_head_bytes
from core.publish.rerun import other_encoder_command, rerun_command, rerun_table
from core.store import Study
from core.study.commands import Resume
from core.study.jobs import Job
from core.study.label_decisions import holds_corrections
from dashboard.jobs import allowed_paths, dropped_images, launcher
from dashboard.state import served_studies

# Studies of the images of one study by other encoders, computed one after the other. No streamlit.


LIBRARIES = ("torchvision", "timm")
MOST = 8  # encoders that are started together
WEIGHTS = re.compile(r"pretrained=(true|false)")


def why_no_other_encoder(study: Study) -> str | None:
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
        return f"{_named_encoder(arch)}@{allowed_paths.allowed_place(path, folder=False)}"
    family, colon, _ = line.partition(":")
    if colon and family in LIBRARIES:
        return _named_encoder(line, with_weights=True)
    return allowed_paths.allowed_place(line, folder=False)


def _named_encoder(text: str, *, with_weights: bool = False) -> str:
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
    if reason := why_no_other_encoder(study):
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


# A study once more, with the labels that people corrected or with the head of a remedy: started by a click.
# No streamlit.


LABELS_OF, HEAD_OF = "labels of ", "head of "  # begin the name of the folder of such a table


def why_not_again(study: Study) -> str | None:
    """Return why no click may make the study again; None where one may."""
    if refused := launcher.refusal(Resume(study.path)):  # the new one reads what this one reads
        return refused
    try:
        if study.settings("embed").get("representations"):
            return "it was made from ready representations; make the next one in a terminal"
        image_places(study, np.arange(1))
    except PeregrineError as error:
        return str(error)
    return None


def start_again(study: Study, name: str, remedy: str = "") -> Job:
    """Keep the corrected labels, and start a study of that name on them, with this one's settings.

    Args:
        remedy: whose head is its classifier; "": the encoder's own, as in this study.
    Raises:
        JobError: a click may not start it, or it cannot be started. PeregrineError: the name is taken.
    """
    if reason := why_not_again(study):
        raise JobError(full_sentence(reason))
    folder = allowed_paths.study_folder(name)
    if folder.exists():
        raise JobError(f"a study '{name}' exists; choose another name")
    buffer = io.BytesIO()
    rerun_table(study).to_parquet(buffer, index=False)
    head = remedy_head_bytes(study, remedy) if remedy else b""
    begins = HEAD_OF if remedy else LABELS_OF
    table = dropped_images.keep_table(f"{begins}{study.name}", buffer.getvalue(), head)
    head_file = table.with_name(dropped_images.HEAD) if remedy else None
    return launcher.start(rerun_command(study, folder, table, head=head_file))


def next_studies(study: Study, begins: str = LABELS_OF) -> Iterator[str]:
    """Yield the names of the served studies that were made of this one's corrected labels.

    Args:
        begins: HEAD_OF for those that were made with the head of a remedy.
    """
    made_of = re.compile(rf"{re.escape(begins + study.name)}(-\d+)?")
    for name, other in served_studies.readable():
        images = Path(str(other.settings("embed").get("images") or "").partition("?")[0])
        is_table = images.parent.parent.name == allowed_paths.dropped_folder().name  # or of a moved folder
        if is_table and made_of.fullmatch(images.parent.name):
            yield name


def corrected_studies(study: Study) -> Iterator[str]:
    """Yield the names of `next_studies`, of either kind, that hold all labels as people corrected them."""
    for name in sorted({*next_studies(study), *next_studies(study, HEAD_OF)}):
        with suppress(PeregrineError):  # one of both cannot be read, and its pages say so
            other = served_studies.open_current(served_studies.resolve(served_studies.studies_folder(), name))
            if holds_corrections(study, other):
                yield name
