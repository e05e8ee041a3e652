"""Save slices by name in a study: `slices.json` is not a result and stays outside the manifest.

from core.measures import saved_slices
saved_slices.save(study.path, "worst dogs", Slice.parse("label=dog correct=false"))
Slice.parse('@"worst dogs" split=val').mask(study)

Changes are safe against each other, see `core.study.kept_file`.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import SliceError, did_you_mean
from core.measures.saved_slices_file import KEPT, LONGEST, MOST, kept_texts, names_features, texts
from core.measures.slice import Slice
from core.measures.slice_comparison import images_of
from core.study.layers import FOLDER as BASES
from core.study.layers import below
from core.study.reader import StudyReader


def stamp(folder: Path) -> tuple[int, ...]:
    """Return a value that changes with every save, rename or deletion of a slice; zeros without any."""
    return *KEPT.stamp(folder), *KEPT.stamp(below(folder) or folder)


def listed(study: StudyReader) -> list[dict[str, Any]]:
    """List the filters (slices) saved for a study: name, text form, number of images; why, if unreadable."""
    rows: list[dict[str, Any]] = []
    for name, text in texts(study.path).items():
        row: dict[str, Any] = {"name": name, "where": text, "n_images": None}
        try:
            row["n_images"] = int(images_of(study, Slice.of_saved(text)).sum())
        except SliceError as error:
            row["why"] = str(error)
        rows.append(row)
    return rows


def save(folder: Path, name: str, where: Slice, *, overwrite: bool = False) -> str:
    """Save a study's filter of images (slice) under a name; return the name as stored.

    Raises:
        SliceError: the name is empty, too long or taken by another slice, or too many are saved.
        StudyError: the study cannot be written to.
    """
    name, text = _checked(name), str(Slice.joined(where.parts()))

    def add(slices: dict[str, str]) -> None:
        if not overwrite and (slices | texts(folder)).get(name, text) != text:
            raise SliceError(f"a slice '{name}' already exists; choose another name, or delete that slice")
        slices[name] = text
        if len(slices) > MOST:
            raise SliceError(f"a study keeps at most {MOST:,} slices; delete some first")

    whole = below(folder)
    _change(folder if whole is None or names_features(text, texts(folder)) else whole, add)
    return name


def rename(folder: Path, old: str, new: str) -> str:
    """Rename a saved slice, a filter of images, also in saved slices that refer to it and in bases."""
    new = _checked(new)

    def move(slices: dict[str, str]) -> None:
        _must_know(folder, slices, old)
        if new != old and new in slices | texts(folder):
            raise SliceError(f"a slice '{new}' already exists; choose another name, or delete that slice")
        slices[new] = slices.pop(old)
        refer(slices)

    def refer(slices: dict[str, str]) -> None:
        for name, text in slices.items():
            slices[name] = _referring(text, old, new)

    home = _home(folder, old)
    bases = [basis for basis in (home / BASES).glob("*/") if old not in kept_texts(basis)]
    _change(home, move)
    for basis in bases:
        if any(_referring(text, old, new) != text for text in kept_texts(basis).values()):
            _change(basis, refer)
    return new


def delete(folder: Path, name: str) -> None:
    """Delete a saved filter of images (a slice) by its name."""

    def drop(slices: dict[str, str]) -> None:
        _must_know(folder, slices, name)
        del slices[name]

    _change(_home(folder, name), drop)


def _home(folder: Path, name: str) -> Path:
    """The folder whose file holds a slice: that of a basis, or that of its study."""
    whole = below(folder)
    return folder if whole is None or name in kept_texts(folder) else whole


def _referring(text: str, old: str, new: str) -> str:
    try:
        where = Slice.of_saved(text)
    except SliceError:  # written by hand; keep it
        return text
    if old not in where.saved:
        return text
    return str(replace(where, saved=tuple(new if one == old else one for one in where.saved)))


def _must_know(folder: Path, slices: dict[str, str], name: str) -> None:
    if name not in slices:
        raise SliceError(f"no saved slice '{name}' in '{folder}'.{did_you_mean(name, slices)}")


def _checked(name: str) -> str:
    clean = " ".join(name.split())
    if not clean or not clean.isprintable():
        raise SliceError("a slice needs a name with letters, such as 'worst dogs'")
    if len(clean) > LONGEST:
        raise SliceError(f"the name of a slice has at most {LONGEST} characters, this one has {len(clean)}")
    return clean


def _change(folder: Path, change: Callable[[dict[str, str]], None]) -> None:
    """Read, change and replace the file under a lock."""

    def changed() -> dict[str, dict[str, str]]:
        slices = kept_texts(folder)
        change(slices)
        return {"slices": slices}

    KEPT.change(folder, changed)
