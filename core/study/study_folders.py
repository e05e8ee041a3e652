"""Rename, copy and delete whole studies below a folder of studies.

Nothing is done through a link, to a folder outside, or while a command writes the study; and a folder that
holds other files than a study's is not deleted.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from core.common.formatting import format_bytes
from core.errors import PeregrineError, SettingsError, StudyBusy, StudyError
from core.study import manifest as manifests
from core.study.kept_file import ASIDE, LAST
from core.study.layers import FOLDER
from core.study.leftovers import REDO
from core.study.progress import LOG, PROGRESS, RESULT
from core.study.runner import forget, remembered
from core.study.scratch import SCRATCH
from core.study.speed import SPEED
from core.study.steps import BESIDE, STEPS
from core.study.write_access import check_write_access

NAME = re.compile(r"[^\W_][\w .+-]{0,59}")  # one folder, not hidden, that every file system can hold
WORDS = {f"{name}{end}" for name in ("slices.json", "traces.json") for end in ("", LAST, ASIDE)}
OWN_FILES = {manifests.MANIFEST, PROGRESS, LOG, RESULT, SPEED} | WORDS
OWN_FOLDERS = {"requested_heatmaps", "concept_cache", "searches", "visual_tokens", *SCRATCH}
HIDDEN = re.compile(
    r"\.lock|\..+\.(lock|tmp|resume)|\.DS_Store"
)  # locks, files in writing, trainings; of the system
CHUNK = re.compile(r"\d{5,}\.npy|ledger\.jsonl")
KEPT_THERE = re.compile(r".+\.(npz|npy|parquet|json)")
OF_JOBS = {PROGRESS, LOG, RESULT, ".lock", *SCRATCH}  # are not copied


def rename_study(root: Path, folder: Path, name: str) -> Path:
    """Give a study another name in the same place; return its new folder.

    Args:
        root: the folder of studies. folder: the study below it.
    Raises:
        SettingsError: the name cannot be that of a folder, or is taken.
        StudyBusy: a command writes the study. StudyError: it is no study, or reached through a link.
    """
    with _held(root, folder):
        target = _free(folder, name)
        _do(f"rename '{folder.name}'", os.rename, folder, target)
        forget(folder)
        return target


def copy_study(root: Path, folder: Path, name: str) -> Path:
    """Copy a study beside itself, without the record of its last command; return the new folder.

    Raises:
        as `rename_study`; also StudyError where the study has no manifest yet.
    """
    with _held(root, folder):
        target = _free(folder, name)
        if not (folder / manifests.MANIFEST).is_file():
            raise StudyError(f"'{folder.name}' holds nothing yet that could be copied")
        _check_space(folder)
        begun = _hidden(target)
        try:
            _do(f"copy '{folder.name}'", _copy, folder, begun)
            _do(f"copy '{folder.name}'", os.rename, begun, target)
        except BaseException:
            shutil.rmtree(begun, ignore_errors=True)
            raise
        return target


def remove_study(root: Path, folder: Path) -> None:
    """Delete a study with everything in its folder; one that failed or was cancelled, too.

    The folder leaves its place in one go, and only then are its files deleted.

    Raises:
        as `rename_study`; also StudyError where the folder holds files that are not a study's.
    """
    with _held(root, folder):
        if strangers := foreign_entries(folder):
            raise StudyError(
                f"'{folder.name}' is not deleted: it holds '{strangers[0]}', which is no part of a study. "
                "Move it elsewhere first"
            )
        gone = _hidden(folder)
        _do(f"delete '{folder.name}'", os.rename, folder, gone)
        forget(folder)
    _do(f"delete all files of '{folder.name}'", shutil.rmtree, gone)


def foreign_entries(folder: Path) -> list[str]:
    """List what lies in a study's folder and is no part of a study, by name.

    A name is not enough: a stranger's manifest may list any folder as an item.
    """
    items = {name for step in STEPS.values() for name in step.outputs}.union(*BESIDE.values())
    if (folder / manifests.MANIFEST).is_file():
        with contextlib.suppress(PeregrineError):  # damaged: the study can be deleted all the same
            items |= set(manifests.read_manifest(folder)["items"])
    return sorted(path.name for path in folder.iterdir() if not _is_own(path, items))


def _is_own(path: Path, items: set[str]) -> bool:
    """Return whether an entry of a study's folder is part of it; what a link leads to is never deleted."""
    is_listed = (
        path.name in OWN_FILES | OWN_FOLDERS | items or path.stem in items and path.suffix == ".parquet"
    )
    if path.is_symlink():
        return is_listed
    if not path.is_dir():
        return (is_listed and path.name not in items) or HIDDEN.fullmatch(path.name) is not None
    if path.name == FOLDER:
        return all(
            one.is_dir() and not one.is_symlink() and not foreign_entries(one) for one in path.iterdir()
        )
    if path.name.startswith(".") and path.name.endswith(REDO):
        return all(_is_own(one, items) for one in path.iterdir())
    if path.name in OWN_FOLDERS:
        return all(_is_ours(file, KEPT_THERE) for file in path.rglob("*"))
    array = path.name in items or (path / manifests.LEDGER).is_file()
    return array and all(_is_ours(file, CHUNK) for file in path.iterdir())


def _is_ours(path: Path, names: re.Pattern[str]) -> bool:
    """Return whether an entry below a study's folder has a name of ours; folders lie in OWN_FOLDERS only."""
    if path.is_dir() and not path.is_symlink():
        return names is KEPT_THERE and not path.name.startswith(".")
    return bool(names.fullmatch(path.name) or HIDDEN.fullmatch(path.name))


@contextmanager
def _held(root: Path, folder: Path) -> Iterator[None]:
    """Make sure that a folder is a study below `root`, and that nothing writes to it meanwhile."""
    check_write_access()
    try:
        below = folder.relative_to(root)
    except ValueError:
        below = Path("..")
    steps = [root / Path(*below.parts[: at + 1]) for at in range(len(below.parts))]
    if not below.parts or ".." in below.parts or any(step.is_symlink() for step in steps):
        raise StudyError(f"'{folder.name}' is reached through a link or lies elsewhere, so it is left alone")
    if not any((folder / mark).is_file() for mark in (manifests.MANIFEST, PROGRESS)):
        raise StudyError(f"there is no study '{folder.name}' any more")
    job = remembered(folder)  # not what the folder says of itself: a stranger's would say so for ever
    if job is not None and job.is_running:
        raise StudyBusy(f"a job writes '{folder.name}'. Wait for it, or cancel it")
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StudyBusy(f"a command writes '{folder.name}'. Wait for it, or stop it") from None
    except OSError as error:
        raise StudyError(f"'{folder.name}' cannot be changed: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def _free(folder: Path, name: str) -> Path:
    """Return the folder beside a study that would have another name."""
    name = name.strip()
    if not NAME.fullmatch(name) or name.endswith("."):
        raise SettingsError(
            f"'{name[:60]}' cannot be the name of a study. Use letters, digits, spaces and . + - _, at most "
            "60 of them, beginning with a letter or digit"
        )
    target = folder.with_name(name)
    if os.path.lexists(target):
        raise SettingsError(f"there is already a '{name}'. Choose another name")
    return target


def _hidden(folder: Path) -> Path:
    """Return a name beside a folder under which nothing is served."""
    return folder.with_name(f".{folder.name}.{os.getpid()}.tmp")


def _copy(folder: Path, target: Path) -> None:
    def left_out(directory: str, names: list[str]) -> set[str]:
        return OF_JOBS & set(names) if Path(directory) == folder else set()

    shutil.copytree(folder, target, symlinks=True, ignore=left_out)


def _check_space(folder: Path) -> None:
    """Raise StudyError where a copy of a study would not fit; holes of sparse files are written in full."""
    parts = (Path(where, name) for where, _, names in os.walk(folder) for name in names)
    needed = sum(path.lstat().st_size for path in parts if not path.is_symlink())
    free = shutil.disk_usage(folder.parent).free
    if needed > free:
        raise StudyError(
            f"cannot copy '{folder.name}': it has {format_bytes(needed)}, and the disk has "
            f"{format_bytes(free)} left"
        )


def _do(what: str, act, *paths: Path) -> None:
    try:
        act(*paths)
    except OSError as error:
        why = error.strerror or error
        if isinstance(error, shutil.Error):  # of copytree: a list of (from, to, reason)
            why = str(error.args[0][0][-1]).rpartition("] ")[2]
        raise StudyError(f"cannot {what}: {why}") from None
