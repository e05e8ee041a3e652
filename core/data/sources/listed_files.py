"""Where the images of a table lie: as it writes them, or below its folder by the last parts of paths."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from core.common.remote.addresses import is_url
from core.common.threadsafe import cached_property
from core.data.sources.source import IMAGE_EXTENSIONS

MOST_FILES = 3_000_000  # that are listed to find images by their names
LONGEST_KEY = 4  # parts of a path
SEVERAL = ""  # in place of the path of a key that several files have


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
