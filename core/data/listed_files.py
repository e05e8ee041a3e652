"""Where the images of a table lie: as it writes them, or below its folder by the last parts of paths."""

import itertools
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa

from core.common.addresses import is_url
from core.common.arrow_tables import BATCH, KIND, arrow_of, repeated, text_batches
from core.common.remote_objects import stat_all
from core.common.threads import cached_property
from core.data.source import IMAGE_EXTENSIONS

MOST_FILES = 3_000_000  # that are listed to find images by their names
MOST_LOOKED_AT = 200  # entries of a folder near a list
LONGEST_KEY = 4  # parts of a path
SEVERAL = ""  # in place of the path of a key that several files have
FEW = 64  # files of a folder that are asked for one by one; of more, the folder is listed


class ListedFiles:
    """Finds images of a table, whose cells may leave out folders and extensions, or begin further up."""

    def __init__(self, folder: str, resolve: Callable[[str], str]) -> None:
        """Args: folder: where paths start, a path or an address. resolve: from a cell to its place."""
        self.folder, self._resolve = folder, resolve

    def is_there(self, cell: str) -> bool:
        """Whether a cell names a file as it stands; False for addresses, which nobody is asked for here."""
        if not cell or "\0" in cell or is_url(path := self._resolve(cell)):
            return False
        try:
            return os.path.isfile(path)
        except (OSError, ValueError):
            return False

    def below(self, cells: Iterable[str]) -> list[str | None]:
        """Return the image below the folder that each cell means, as a path from there: the one with most
        parts of its path in common, from the last; None for none or several.
        """
        cells = list(cells)
        path_of = {cell: self._below(cell) for cell in dict.fromkeys(cells)}
        uses = Counter(path_of.values())  # an image that two cells mean is neither's
        return [path if uses[path := path_of[cell]] == 1 else None for cell in cells]

    def in_several_folders(self, cells: Sequence[str]) -> list[str]:
        """Return two images that one of the cells means, where most of them mean several; else nothing."""
        several = [
            cell for cell in cells if self._index.get(_parts(cell)[-1] if _parts(cell) else "") == SEVERAL
        ]
        if 2 * len(several) <= len(cells):
            return []
        name = _parts(several[0])[-1]
        paths = (path for path in _images_below(self.folder) if name in _names(path))
        return list(itertools.islice(paths, 2))

    def column_below(self, cells: pd.Series) -> pd.Series:
        """Do the same with a column of texts, of which none is missing."""
        images = [pa.array(map(self._below, batch), KIND) for batch in text_batches(cells)]
        paths = pd.Series(pd.array(pa.chunked_array(images, KIND), dtype="str"))
        firsts = cast(pd.Series, paths[~repeated(cells)]).dropna()
        shared = set(firsts[repeated(firsts)])
        return paths.where(~paths.isin(shared)) if shared else paths

    def _below(self, cell: str) -> str | None:
        parts = _parts(cell)
        for n_parts in range(min(len(parts), LONGEST_KEY), 0, -1):
            path = self._index.get("/".join(parts[-n_parts:]))
            if path is not None:
                return path if path and _one_ends_the_other(path.split("/"), parts) else None
        return None

    @cached_property
    def _index(self) -> dict[str, str]:
        """The images below the folder by the last parts of their paths, with and without extension; longer
        keys only of files whose name is not the only one of its kind.
        """
        if is_url(self.folder) or not os.path.isdir(self.folder):
            return {}
        paths = list(_images_below(self.folder))
        index: dict[str, str] = {}
        for n_parts in range(1, LONGEST_KEY + 1):
            _add(index, paths, n_parts)
            paths = [path for path in paths if not _is_alone(index, path, n_parts)]
        return index


def missing_files(paths: pd.Series, resolve: Callable[[str], str]) -> np.ndarray:
    """Return which paths of a list of images name nothing there, by one listing of each folder.

    Args:
        paths: (n,) texts, none missing. resolve: from a path to its place; "" for one that is not allowed.
    Returns:
        (n,) bool. 30 bytes a row are held, and 16 for each entry of the folder that is looked into.
    """
    folder_of, folders, hashes = _in_folders(paths)
    texts = arrow_of(paths)

    def is_gone(rows: np.ndarray) -> np.ndarray:
        return _not_there([texts[row].as_py() for row in rows.tolist()], resolve)

    is_missing = np.zeros(len(paths), bool)
    order = np.argsort(folder_of, kind="stable")
    starts = np.searchsorted(folder_of[order], np.arange(len(folders) + 1))
    to_ask = [order[: starts[0]]]
    for number, folder in enumerate(folders):
        rows, folder_path = order[starts[number] : starts[number + 1]], resolve(f"{folder}x")
        if folder_path and len(rows) > FEW and not is_url(folder_path):
            absent = rows[_not_listed(os.path.dirname(folder_path) or ".", hashes[rows])]
            is_missing[absent] = True
            if is_gone(absent[:FEW]).all():
                continue
            rows = absent  # the system has further names for what its listings call otherwise
        to_ask.append(rows)
    rows = np.concatenate(to_ask)
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        is_missing[batch] = is_gone(batch)
    return is_missing


def _in_folders(paths: pd.Series) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return the number of each path's folder (-1: it is asked for alone), the folders with the slash at
    their ends, and the hash of each name in its folder.
    """
    folder_of, hashes = np.empty(len(paths), np.int32), np.empty(len(paths), np.int64)
    numbers: dict[str, int] = {}
    at = 0
    for batch in text_batches(paths):
        for path in batch:
            head, slash, name = path.rpartition("/")
            is_plain = name not in ("", ".", "..") and name[:1] != "~" and "\0" not in path
            if is_plain and ":" not in path:
                folder_of[at] = numbers.setdefault(head + slash, len(numbers))
            else:
                folder_of[at] = -1
            hashes[at] = hash(name)
            at += 1
    return folder_of, list(numbers), hashes


def _not_listed(folder: str, hashes: np.ndarray) -> np.ndarray:
    """(n,) bool: which names, by their hashes, are no entries of a folder."""
    names = array("q")
    with suppress(OSError, ValueError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_symlink() or os.path.exists(entry.path):
                names.append(hash(entry.name))
    listed = np.sort(np.frombuffer(names, np.int64))
    at = np.searchsorted(listed, hashes)
    is_listed = np.zeros(len(hashes), bool)
    inside = at < len(listed)
    is_listed[inside] = listed[at[inside]] == hashes[inside]
    return ~is_listed


def _not_there(paths: Sequence[str], resolve: Callable[[str], str]) -> np.ndarray:
    places = [resolve(path) for path in paths]
    remote = [listed for listed in places if is_url(listed)]
    answered = {listed for listed, about in zip(remote, stat_all(remote), strict=True) if about}
    return np.array([not (listed in answered or _exists(listed)) for listed in places], bool)


def _exists(path: str) -> bool:
    return bool(path) and "\0" not in path and os.path.exists(path)


def folder_near(folder: str, paths: Sequence[str]) -> str | None:
    """Return the folder above, or beside, a list in which its images lie; None where none is near.

    Args:
        folder: of the list. paths: some that it names, with or without extension.
    """
    if is_url(folder) or not paths:
        return None
    above = [os.path.normpath(os.path.join(folder, up)) for up in ("..", "../..")]
    near = [place for up in above for place in (up, *_folders_in(up))]
    return next((place for place in near if all(_lies_in(place, path) for path in paths)), None)


def _folders_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            first = [entry for entry, _ in zip(entries, range(MOST_LOOKED_AT), strict=False)]
            return sorted(entry.path for entry in first if entry.is_dir())
    except OSError:
        return []


def _lies_in(folder: str, path: str) -> bool:
    if os.path.isabs(path) or ".." in path.split("/") or "\0" in path:
        return False
    names = (path, *(f"{path}.{ending}" for ending in ("jpg", "png", "jpeg", "JPEG")))
    return any(os.path.isfile(os.path.join(folder, name)) for name in names)


def _names(path: str) -> tuple[str, str]:
    """Return the name of a file, with and without extension."""
    name = path.rpartition("/")[2]
    return name, os.path.splitext(name)[0]


def _add(index: dict[str, str], paths: Sequence[str], n_parts: int) -> None:
    for path in paths:
        parts = path.split("/")
        if len(parts) < n_parts:
            continue
        key = "/".join(parts[-n_parts:])
        for one in (key, os.path.splitext(key)[0]):
            index[one] = SEVERAL if one in index else path


def _is_alone(index: dict[str, str], path: str, n_parts: int) -> bool:
    key = "/".join(path.split("/")[-n_parts:])
    return index.get(key) == path and index.get(os.path.splitext(key)[0]) == path


def _one_ends_the_other(path: Sequence[str], cell: Sequence[str]) -> bool:
    """Whether the folders of both are the same as far as both go: train/1.jpg is not test/1.jpg.

    >>> cell = ["train", "1"]
    >>> _one_ends_the_other(["a", "train", "1.jpg"], cell), _one_ends_the_other(["test", "1.jpg"], cell)
    (True, False)
    """
    n_both = min(len(path), len(cell)) - 1
    return list(path[-1 - n_both : -1]) == list(cell[-1 - n_both : -1])


def _parts(cell: str) -> list[str]:
    parts = cell.replace("\\", "/").split("/")
    return [part for part in parts if part not in ("", ".", "..")]


def _images_below(folder: str) -> Iterator[str]:
    n_files = 0
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inner = os.path.relpath(here, folder).replace(os.sep, "/")
        for name in sorted(names):
            if name.rpartition(".")[2].lower() in IMAGE_EXTENSIONS and not name.startswith("."):
                yield name if inner == "." else f"{inner}/{name}"
        n_files += len(names)
        if n_files > MOST_FILES:
            return
