"""Other studies that a figure needs: named by their folders as seen from the folder that holds the study."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from core.answers.answer import PROBE
from core.errors import PeregrineError, SliceError, StudyError, did_you_mean
from core.slices.slice import Slice
from core.store import Study, open_study

UP = ".."
MOST_PARTS = 6


def folder_name(study: Study, other: Study) -> str:
    """Return the folder of another study from the folder that holds this one: `second` for one beside it."""
    return Path(os.path.relpath(str(other.path), str(_home(study)))).as_posix()


def is_beside(name: str) -> bool:
    """Return True for a text that can name a study's folder: plain names, with `..` only before them."""
    parts = name.split("/")
    while parts[:1] == [UP]:
        parts = parts[1:]
    sane = all(part and not part.startswith(".") and "\\" not in part and "\0" not in part for part in parts)
    return bool(parts) and sane and name.count("/") < MOST_PARTS


def study_name(folder: str) -> str:
    """Return what a study is called, by its folder."""
    return PurePosixPath(folder).name


def folder_of(study: Study, name: str) -> Path:
    """Return the folder that a name means; it need not exist."""
    return type(study.path)(os.path.normpath(str(_home(study) / name)))


def _home(study: Study) -> Path:
    """The folder that holds a study; of one that is read in a basis the same as in units."""
    return (study.below or study.path).parent


def open_other(study: Study, name: str) -> Study:
    """Open another study by its name, read as `alike` says.

    Raises:
        StudyError: there is none of that name, or it cannot be read.
    """
    folder = folder_of(study, name)
    if not (folder.is_dir() or _is_study(folder)):
        raise StudyError(gone_study(name, [one.name for one in _folders(folder.parent)]))
    return alike(study, open_study(folder))


def alike(study: Study, other: Study) -> Study:
    """Another study, read by the answer that a study is read by, or by its default where it has none such."""
    name = study.answer.name if study.answer else PROBE
    return other.answering(name if name in other.answers else None)


def gone_study(name: str, there: Sequence[str]) -> str:
    """Say in one line that another study is gone."""
    return f"There is no study '{study_name(name)[:60]}' any more.{did_you_mean(study_name(name), there)}"


def _folders(folder: Path) -> list[Path]:
    try:
        return [one for one in folder.iterdir() if _is_study(one)]
    except OSError:
        return []


def _is_study(folder: Path) -> bool:
    return (folder / "manifest.json").is_file()


def narrowed_study(study: Study, where: Slice | None) -> Study:
    """Narrow a study to a slice; None: the whole study.

    Raises:
        SliceError: the study lacks something that the slice names, or has no image in it.
    """
    if where is None:
        return study
    narrowed = study.where(where)
    if not narrowed.n_chosen:
        raise SliceError(f"no image of '{study.path}' is in the slice: {narrowed.slice.describe()}")
    return narrowed


def narrowed_studies(
    studies: Sequence[Study], where: Slice | None, *, same_images: bool = False
) -> list[Study]:
    """Narrow the studies of a figure to a slice.

    Args:
        same_images: the figure compares images one by one, and shows those of the first study's slice.
    """
    first, *others = studies
    if same_images:
        return [narrowed_study(first, where), *others]
    return [narrowed_study(one, where) for one in studies]


def one_line(error: PeregrineError) -> str:
    """Return an error as a sentence of one line."""
    text = " ".join(str(error).split())
    return f"{text[:1].upper()}{text[1:]}"
