"""Check that the files of a study are what was written (`verify`): all contents, and no extra files."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.common.command_line import command_line
from core.concepts.crop_store import FOLDER as CROPS
from core.concepts.search import FOLDER as SEARCHES
from core.errors import DamagedKeptFile, DamagedManifest, StudyError
from core.measures import saved_slices_file
from core.store import Study
from core.study import layers, seals, traces
from core.study.chunked_array import LEDGER, chunk_name, file_sha256
from core.study.inside import inside, is_inside
from core.study.kept_file import KeptFile
from core.study.leftovers import folder_of_redo, is_leftover, owner
from core.study.manifest import MANIFEST
from core.study.no_longer_shown import SINCE, names_no_longer_shown
from core.study.progress import LOG, PROGRESS, RESULT
from core.study.scratch import SCRATCH
from core.study.speed import SPEED
from core.study.stored_heatmaps import REQUESTED, REQUESTS_LOCK

SHOWN_TOKENS = "visual_tokens"  # written by `train-tokens --study`
CACHES = (CROPS, SEARCHES, REQUESTED, *SCRATCH)  # made again when they are needed
KEPT = (saved_slices_file.KEPT, traces.KEPT)  # the files that people change
# In no step's outputs.
BESIDE = {MANIFEST, PROGRESS, LOG, RESULT, SPEED, ".lock", f"{REQUESTED}/{REQUESTS_LOCK}"}.union(
    *({kept.name, kept.last, kept.lock} for kept in KEPT)
)


@dataclass(frozen=True)
class Problem:
    """One file that has changed since it was written, or that does not belong to the study."""

    file: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}. {self.remedy}"


def verify(study: Study | str | Path) -> list[Problem]:
    """List every file of a study that is damaged, unreadable or foreign; empty when all is well.

    All files are checked, however many problems there are. Only a damaged manifest stops the check: without
    it, nothing is known about the other files.

    Raises:
        StudyError: there is no study, or it has a newer format.
    """
    try:
        study = study if isinstance(study, Study) else Study(study)
    except DamagedManifest as error:
        return [Problem(MANIFEST, error.what, error.remedy)]
    files, unlisted = _everything_in(study.path)
    return [
        *_changed_items(study),
        *_changed_caches(study, files),
        *_changed_kept_files(study),
        *_strangers(study, files),
        *_of_bases(study),
        *(Problem(name, f"cannot be listed ({why})", "Change its permissions") for name, why in unlisted),
    ]


def _everything_in(folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the files and links below a folder, and the folders that cannot be listed with the reasons."""
    files_and_links: list[str] = []
    unlisted: list[OSError] = []
    for where, folders, files in os.walk(folder, onerror=unlisted.append):  # follows no links
        names = [*files, *(name for name in folders if Path(where, name).is_symlink())]
        files_and_links += [Path(where, name).relative_to(folder).as_posix() for name in names]
    named = ((os.path.relpath(str(error.filename), folder), error.strerror or "?") for error in unlisted)
    return sorted(files_and_links), list(named)


def _changed_items(study: Study) -> Iterator[Problem]:
    unread = names_no_longer_shown(study.manifest)
    for name, item in _own_items(study):
        remedy = f"Run: {command_line(item['step'], study.path, redo=True)}"
        if name in unread:
            remedy = f"Nothing reads it since {SINCE}, so nothing needs to be done"
        for relative, checksum in _files_of(name, item):
            if what := _fault(study.path, relative, lambda path, expected=checksum: _compare(path, expected)):
                yield Problem(relative, what, remedy)


def _own_items(study: Study) -> list[tuple[str, dict[str, Any]]]:
    return sorted(layers.of_its_own(study.manifest)["items"].items())


def _of_bases(study: Study) -> Iterator[Problem]:
    """Yield the problems of what was made in the bases of a study."""
    for name in study.bases:
        if (layers.layer(study.path, name) / MANIFEST).exists():
            for problem in verify(layers.layer(study.path, name)):
                file = f"{layers.FOLDER}/{name}/{problem.file}"
                yield Problem(file, problem.what, problem.remedy)


def _files_of(name: str, item: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the files of a study's table or array to verify, each with its checksum."""
    if item["kind"] == "table":
        yield f"{name}.parquet", item["sha256"]
        return
    for number, chunk in enumerate(item["chunks"]):
        yield f"{name}/{chunk_name(number)}", chunk["sha256"]


def _compare(path: Path, checksum: str) -> None:
    if file_sha256(path) != checksum:
        raise seals.Damaged("has changed since it was written (checksum differs)")


def _fault(folder: Path, relative: str, check: Callable[[Path], None]) -> str | None:
    """Describe the problem of one file; None where there is none."""
    try:
        path = inside(folder, relative)
        if path.exists() and not path.is_file():  # reading a pipe would block forever
            return "is not a regular file"
        check(path)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except seals.Damaged as error:
        return str(error)
    except StudyError:
        return "points outside the study folder and is not read"
    return None


def _changed_caches(study: Study, files: list[str]) -> Iterator[Problem]:
    for relative in filter(_is_cached, files):
        if what := _fault(study.path, relative, seals.check_arrays):
            yield Problem(relative, what, "Delete it: it is recomputed when needed")


def _is_cached(relative: str) -> bool:
    path = Path(relative)
    return path.parts[0] in CACHES and path.suffix in (".npz", ".npy") and owner(path.name) is None


def _changed_kept_files(study: Study) -> Iterator[Problem]:
    for file in KEPT:
        yield from _fault_of_kept(study.path, file, file.last, "The next save writes it again")
        restored = (
            f"The next save restores it from {file.last}" if file.copy(study.path) is not None else None
        )
        yield from _fault_of_kept(study.path, file, file.name, restored)


def _fault_of_kept(folder: Path, file: KeptFile[Any], name: str, remedy: str | None) -> Iterator[Problem]:
    try:
        if file.checked(folder, name) is None and name == file.name and remedy is not None:
            yield Problem(name, "is missing", remedy)
    except DamagedKeptFile as error:
        yield Problem(name, error.what, remedy or error.remedy)
    except StudyError as error:
        yield Problem(name, str(error), "Change its permissions, or replace it by a copy")


def _strangers(study: Study, files: list[str]) -> Iterator[Problem]:
    """Yield the files that belong to no item of the manifest and to no known by-product."""
    belongs = {relative for name, item in _own_items(study) for relative, _ in _files_of(name, item)}
    belongs |= BESIDE | _begun(study.path)
    for relative in files:
        is_token_table = relative.startswith(f"{SHOWN_TOKENS}/") and is_inside(study.path, relative)
        if relative.startswith(tuple(f"{layers.FOLDER}/{name}/" for name in study.bases)):
            continue  # see `_of_bases`
        if relative not in belongs and not _is_cached(relative) and not is_token_table:
            yield from _stranger(study.path, relative)


def _stranger(folder: Path, relative: str) -> Iterator[Problem]:
    path = folder / relative
    if not is_inside(folder, relative):
        yield Problem(relative, "is a link out of the study folder and is not followed", "Delete it")
    elif is_leftover(path):
        remedy = "The next command that writes to the study removes it"
        yield Problem(relative, "is a temporary file of a killed command", remedy)
    elif path.suffix in (".parquet", ".npy"):
        remedy = "Run the command that was interrupted again, or delete the file"
        yield Problem(relative, "belongs to no finished step of the study", remedy)
    elif owner(path.name) is None:  # otherwise a process is writing it now
        yield Problem(relative, "does not belong to the study", "Delete it if you do not need it")


def _begun(folder: Path) -> set[str]:
    """Return the chunks and trainings of steps that were interrupted: the same command resumes with them."""
    states = set(folder.glob(".basis-*.resume"))
    ledgers = set(folder.glob(f"*/{LEDGER}"))
    chunks = {path for ledger in ledgers for path in ledger.parent.glob("[0-9]*.npy")}
    again = set(folder.glob(f"{folder_of_redo('*')}/**/*"))
    return {path.relative_to(folder).as_posix() for path in states | ledgers | chunks | again}
