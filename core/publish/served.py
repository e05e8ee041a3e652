"""The studies below a folder, by name: nothing outside it can be named."""

import errno
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from core.common.addresses import study_folder
from core.common.inside import stamp_of
from core.errors import StudyError
from core.store import Study
from core.study.layers import FOLDER, below, layer

MANIFEST, PROGRESS = "manifest.json", "progress.json"
MAX_DEPTH = 3
DEFAULT = "demo"


@dataclass(frozen=True)
class Entry:
    """A study folder: `name` is its path below the studies folder, with forward slashes."""

    name: str
    path: Path


def studies_folder() -> Path:
    """Folder whose studies servers share: PEREGRINE_STUDIES, else `studies/` in the working directory."""
    return study_folder(os.environ.get("PEREGRINE_STUDIES") or "studies").resolve()


def study_entries(folder: Path) -> list[Entry]:
    """Every study that servers share of a folder, the demo first, then by name; none without a folder."""
    studies = [Entry(path.relative_to(folder).as_posix(), path) for path in _study_folders(folder, MAX_DEPTH)]
    return sorted(studies, key=lambda entry: (entry.name != DEFAULT, entry.name.casefold(), entry.name))


def resolve(folder: Path, name: str) -> Path:
    """Find the folder of a study that a server shares, by the name that is asked for.

    Only names that `study_entries` could give are accepted: no part can point upwards. A link that the owner
    put into the studies folder is followed.

    Raises:
        StudyError: no study of that name, whatever the name tries to reach.
    """
    parts = name.split("/")
    path = folder.joinpath(*parts)
    name_of_study, basis = split_basis(name)
    if basis:
        whole = resolve(folder, name_of_study)
        if basis in open_current(whole).bases:
            return layer(whole, basis)
    sane = all(part and not part.startswith(".") and "\\" not in part and "\0" not in part for part in parts)
    try:
        is_study = sane and len(parts) <= MAX_DEPTH and _is_study(path)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        is_study = False
    if not is_study:
        raise StudyError(f"no study '{name[:80]}'")
    return path


def split_basis(name: str) -> tuple[str, str]:
    """Split the name of a study that a server shows: the study's, and its basis's, "" for its units.

    >>> split_basis("lab/demo/bases/sae"), split_basis("lab/demo")
    (('lab/demo', 'sae'), ('lab/demo', ''))
    """
    study, _, basis = name.rpartition(f"/{FOLDER}/")
    return (study, basis) if study else (name, "")


def open_current(path: Path) -> Study:
    """Open a study that a server shares as its manifest says now, again only if changed. StudyError."""
    whole = below(path)
    if whole is not None:
        open_current(whole)  # looks for links out of it, too
    stamps = [stamp_of(one / MANIFEST) for one in (path, whole) if one is not None]
    if whole is None and not any(stamps):
        return Study(path)
    study = _open(path, tuple(stamps))
    if "images" in study.damage:
        study.table("images")  # nothing can be shown without it: raises, and says what is wrong
    return study


def forget_studies() -> None:
    """Have a server open each study again, and look again whether its files can be read."""
    _open.cache_clear()


def link_out(folder: Path) -> Path | None:
    """Find in a study that a server shares a link that leads out of it, a pipe or a device; None without."""
    inside = os.path.realpath(folder) + os.sep
    waiting = [str(folder)]
    while waiting:
        try:
            children = sorted(os.scandir(waiting.pop()), key=lambda child: child.name)
        except OSError:  # what cannot be listed cannot be followed either
            continue
        for child in children:
            if child.is_symlink():
                if not os.path.realpath(child.path).startswith(inside):
                    return Path(child.path)
            elif child.is_dir():
                waiting.append(child.path)
            elif not child.is_file():  # to read it might wait for ever
                return Path(child.path)
    return None


@lru_cache(maxsize=32)
def _open(path: Path, stamps: tuple[tuple[int, ...], ...]) -> Study:
    """Open a study without its damaged items, so that the views which do without them go on.

    A study may come from a stranger. A link in it could show any file of this machine, and a step that is run
    again could overwrite it, so a study with one is not opened. This is looked at when its manifest changes.
    """
    if link := link_out(path):
        raise StudyError(
            f"'{path.name}' is not opened: '{link.relative_to(path)}' is a link that leads out of the study, "
            "or no file. Put a file in its place, or a link to the whole study into the studies folder"
        )
    study = Study(path)
    study.set_damage_aside()
    return study


def _is_study(path: Path) -> bool:
    return (path / MANIFEST).is_file() or (path / PROGRESS).is_file()


def _study_folders(folder: Path, depth: int) -> list[Path]:
    try:
        children = [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]
    except OSError:
        return []
    folders: list[Path] = []
    for child in children:
        if _is_study(child):
            folders.append(child)
        elif depth > 1:
            folders += _study_folders(child, depth - 1)
    return folders
