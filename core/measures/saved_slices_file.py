"""Read the file of a study's saved slices: `slices.json`, name to text form."""

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Protocol

from core.errors import DamagedSlices, SliceError, did_you_mean
from core.measures import slice_text
from core.study.kept_file import KeptFile
from core.study.layers import below
from core.study.seals import Damaged

FILE = "slices.json"
REPAIR = "Move it away; or repair its texts and delete the line with its checksum"
LONGEST = 60  # characters of a name
MOST = 1000  # slices in a study; each of them is counted where they are listed
MOST_NAMED = 50  # that a slice may name, itself or by another


class Conditions(Protocol):
    """The conditions of a slice; `core.measures.slice.Slice` documents each part."""

    @property
    def split(self) -> str | None: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def predicted(self) -> tuple[str, ...]: ...
    @property
    def correct(self) -> bool | None: ...
    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]: ...
    @property
    def fires(self) -> tuple[int, ...]: ...
    @property
    def concepts(self) -> tuple[str, ...]: ...
    @property
    def confusion(self) -> tuple[str, str] | None: ...
    @property
    def image_ids(self) -> tuple[str, ...]: ...
    @property
    def extras(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def saved(self) -> tuple[str, ...]: ...

    @classmethod
    def of_saved(cls, text: str) -> "Conditions": ...


NAMES_FEATURES = re.compile(r"(^|\s)fires=")


def texts(folder: Path) -> dict[str, str]:
    """Map the names of saved filters of images (slices), in alphabetical order, to text forms; {} of none.

    A basis has those of its study, too, but for slices that name features, themselves or by another slice:
    there a number is another one. So is a name that the basis has given to a slice of its own.
    A file without a checksum (written or mended by hand) is accepted. See `KeptFile.read` for a damaged one.

    Raises:
        DamagedSlices: the file has been changed or damaged, and so has its copy; it is left unchanged.
        StudyError: the file cannot be read or points outside the study folder.
    """
    slices = kept_texts(folder)
    if whole := below(folder):
        others = kept_texts(whole)
        of_images = {
            name: text for name, text in others.items() if not names_features(text, others, but=slices)
        }
        slices = of_images | slices
    return dict(sorted(slices.items(), key=lambda pair: (pair[0].casefold(), pair[0])))


def kept_texts(folder: Path) -> dict[str, str]:
    """Return the saved filters (slices) of images that a folder's own file holds; raises as `texts`."""
    return KEPT.read(folder) or {}


def names_features(text: str, saved: Mapping[str, str], *, but: Collection[str] = ()) -> bool:
    """Return True for a slice's text that names features, itself or by a saved slice that it names.

    Args:
        saved: the slices by name. but: names of slices that are others elsewhere, as if they named features.
    """
    todo, seen = [text], set[str]()
    for one in todo:
        if NAMES_FEATURES.search(one):
            return True
        with suppress(SliceError):  # written by hand
            names = set(slice_text.read(one).get("saved", ())) - seen
            if not names.isdisjoint(but):
                return True
            todo += [saved[name] for name in names if name in saved]
            seen |= names
    return False


def _parsed(held: dict[str, Any]) -> dict[str, str]:
    slices = {str(name): str(text) for name, text in held["slices"].items()}
    if len(slices) > MOST:
        raise Damaged(f"holds {len(slices):,} slices; limit {MOST:,}")
    for name in slices:
        if len(name) > LONGEST or not name.isprintable():
            raise Damaged(f"holds {name[:LONGEST]!r}, which cannot be the name of a slice")
    return slices


KEPT = KeptFile(FILE, ".slices.lock", ("slices",), "slices", DamagedSlices, REPAIR, _parsed)


def _text_of(folder: Path, name: str, saved: Mapping[str, str]) -> str:
    """Return the text form of a slice that is saved in a study, by its name.

    Raises:
        SliceError: there is no slice of that name.
    """
    if name not in saved:
        listed = f" Saved: {', '.join(saved)}" if saved else " None is saved."
        hint = f"{did_you_mean(name, saved)}{listed}"
        raise SliceError(
            f"no saved slice '{name}' in '{folder}'.{hint}", short=f"no saved slice '{name}'.{hint}"
        )
    return saved[name]


def with_saved(where: Conditions, folder: Path) -> list[Conditions]:
    """Return the filters that make a slice: its conditions and, at any depth, of saved slices that it names.

    Each is in it once: slices that all name two others would otherwise be twice as many at every step.

    Raises:
        SliceError: no saved slice has a name that is used, too many are, or they refer to each other.
    """
    saved = texts(folder) if where.saved else {}
    named: dict[str, Conditions] = {}
    waiting = list(where.saved)
    for name in waiting:
        if name in named:
            continue
        if len(named) == MOST_NAMED:
            raise SliceError(f"the slice names more than {MOST_NAMED} saved slices; name fewer")
        named[name] = where.of_saved(_text_of(folder, name, saved))
        waiting += named[name].saved
    try:
        TopologicalSorter({name: part.saved for name, part in named.items()}).prepare()
    except CycleError as error:
        names = ", ".join(sorted(set(error.args[1])))
        raise SliceError(f"the saved slices {names} refer to each other; delete one of them") from None
    return [where, *named.values()]
