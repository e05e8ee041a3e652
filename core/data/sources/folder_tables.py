"""Lists in a folder of images that name these: labels of a split without class folders, or annotations that
say more than the folders do. Of tables with columns see `folder_table`."""

import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

from core.common.remote.addresses import is_url
from core.common.remote.objects import read_object, read_small
from core.data.sources.folder_splits import above_of, join
from core.data.sources.folder_walk import Folder
from core.errors import PeregrineError

HEAD = 1 << 16  # bytes of a table that are looked at
LINES = 100
MOST_TABLES, MOST_BY_ADDRESS = 40, 4  # that are looked at
MOST_FOLDERS = 50  # in which a bare file name is looked for
MOST_BYTES = 200_000_000
LABELLED = 0.9  # share of images that a file of labels must name
FIELDS = re.compile(r'[\t,;"\']|\s+')
LISTS = (".json", ".txt")
TEXTS = ("caption", "text", "description")  # in the first line of a list of captions


def label_file(root: str, tree: Mapping[str, Folder], folder: str, classes: set[str]) -> str | None:
    """Return the list, beside images or above them, that gives nearly all one of `classes`."""
    images = tree[folder].images if folder in tree else []
    for path in above_of(folder):
        for table in tree[path].tables if path in tree else []:
            name = join(path, table)
            if images and table.lower().endswith((".txt", ".csv", ".tsv")):
                n_named = len(labels_in(root, name, images, classes))
                if n_named >= LABELLED * len(images):
                    return name
    return None


def labels_in(root: str, table: str, images: Iterable[str], classes: set[str]) -> dict[str, str]:
    """Return the label of each image that a list names; a line holds a file's name and one of `classes`."""
    image_names = set(images)
    labels = {}
    try:
        text = read_small(os.path.join(root, table), MOST_BYTES).decode("utf-8-sig")
    except (OSError, ValueError, PeregrineError):
        return {}
    for line in text.splitlines():
        words = [word for word in FIELDS.split(line) if word]
        name = next(
            (word.rpartition("/")[2] for word in words[:2] if word.rpartition("/")[2] in image_names), None
        )
        label = next((word for word in words if word in classes), None)
        if name is not None and label is not None:
            labels[name] = label
    return labels


def lists_naming(root: str, tree: Mapping[str, Folder], splits: Iterable[str]) -> list[str]:
    """Return the .json and .txt files, in a tree or in a folder without images, that name its images."""
    looked_in = dict.fromkeys(path for split in ("", *splits) for path in above_of(split))
    looked_in |= dict.fromkeys(path for path in tree if path.count("/") < 2 and not tree[path].images)
    names = [join(path, table) for path in looked_in if path in tree for table in _not_of_images(tree[path])]
    most = MOST_BY_ADDRESS if is_url(root) else MOST_TABLES
    places = ImageNames(tree)
    return [name for name in names[:most] if _names_images(_head(os.path.join(root, name)), places)]


class ImageNames:
    """Look-ups of images by a path, or by a bare name with or without extension."""

    def __init__(self, tree: Mapping[str, Folder]):
        self.tree = tree
        held = [path for path, folder in tree.items() if folder.images]
        self.folders = held if len(held) <= MOST_FOLDERS else []
        starts = [path for path in tree if path.count("/") < 1][:MOST_FOLDERS]
        self.starts = sorted({"", *starts})

    def hold(self, word: str) -> bool:
        """Return True for the path or the name of an image."""
        folder, _, name = word.replace("\\", "/").removeprefix("./").strip("/").rpartition("/")
        if not name:
            return False
        if folder:
            return any(self._lies(join(start, folder), name) for start in self.starts)
        return any(self._lies(path, name) for path in self.folders or [""])

    def _lies(self, path: str, name: str) -> bool:
        images = self.tree[path].images if path in self.tree else []
        at = bisect_left(images, name)
        near = images[at : at + 3]
        return name in near or name in [os.path.splitext(image)[0] for image in near]


def _names_images(head: str, images: ImageNames) -> bool:
    lines = [line for line in head.splitlines() if line.strip()]
    if not lines or any(word in lines[0].lower() for word in TEXTS):
        return False
    if head.lstrip()[:1] in ("{", "["):  # JSON, often one line
        names = re.findall(r'"([^"\n]{1,300}\.\w{2,5})"', head)[:LINES]
        return bool(names) and 2 * sum(map(images.hold, names)) >= len(names)
    lines = lines[: LINES + 1]
    if len(lines) > 2:
        lines = lines[1:-1] if len(head) >= HEAD else lines[1:]
    named = sum(any(map(images.hold, _cells(line))) for line in lines)
    return 2 * named >= len(lines)


def _cells(line: str) -> Iterator[str]:
    """Yield cells of a line with a letter and a digit or a dot, as names of files have."""
    for cell in re.split(r'[\t,;"]', line):
        yield from (word for word in {cell.strip(), *cell.split()} if len(word) > 2)


def _head(path: str) -> str:
    try:
        if is_url(path):
            return read_object(path, 0, HEAD).decode("utf-8", "ignore")
        if os.path.islink(path) or not os.path.isfile(path):  # a private file elsewhere; a pipe would block
            return ""
        with open(path, "rb") as file:
            return file.read(HEAD).decode("utf-8", "ignore")
    except (OSError, PeregrineError):
        return ""


def _not_of_images(folder: Folder) -> list[str]:
    """Return the lists of a folder but those of single images, such as captions."""
    lists = [name for name in folder.tables if name.lower().endswith(LISTS)]
    stems = {os.path.splitext(name)[0] for name in folder.images} if lists else set()
    return [name for name in lists if os.path.splitext(name)[0] not in stems]
