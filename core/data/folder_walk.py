"""Find image files below a folder, in an order that does not depend on the file system."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core.common.formatting import counted, first_of
from core.common.remote_objects import objects_below
from core.data.folder_words import split_of_folder
from core.data.picture_limits import CAPTION, LONGEST_CAPTION
from core.data.source import IMAGE_EXTENSIONS
from core.errors import ImageSourceError

HIDDEN_FOLDERS = ("__MACOSX",)
SYSTEM_FOLDERS = (
    "@eaDir",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "__pycache__",
)
TABLES = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".txt")
MOST_TABLES = 64  # of one folder


@dataclass
class Walk:
    """Links, unreadable folders and other files that a walk met besides images."""

    hidden: int = 0
    links: list[str] = field(default_factory=list)
    not_images: Counter[str] = field(default_factory=Counter)
    captions: int = 0
    passed_by: tuple[str, ...] = (
        *HIDDEN_FOLDERS,
        *SYSTEM_FOLDERS,
    )  # names of folders that hold nothing of a user's
    tree: "dict[str, Folder] | None" = None  # all folders, where they are listed by address in one go

    def notes(self) -> list[str]:
        """Return one sentence for each kind of ignored item."""
        counts = sorted((+self.not_images).items(), key=lambda item: (-item[1], item[0]))
        kinds = [f"{ending or 'without extension'} {count:,}" for ending, count in counts]
        notes = []
        if self.captions:
            notes.append(f"{counted(self.captions, 'caption')} beside the images ({CAPTION})")
        if kinds:
            notes.append(
                f"{counted(self.not_images.total(), 'file')} ignored as not an image: {first_of(kinds)}"
            )
        if self.hidden:
            notes.append(f"{self.hidden:,} hidden files or folders ignored")
        if self.links:
            notes.append(
                f"links not followed because they lead back into listed folders: {first_of(self.links)}"
            )
        return notes


@dataclass
class Folder:
    """The visible content of one folder: sorted names; `tables`: the first MOST_TABLES of what may be one."""

    folders: list[str]
    images: list[str]
    tables: list[str] = field(default_factory=list)


def look_into(path: str, walk: Walk) -> Folder:
    """List the images and folders of one folder.

    Raises:
        ImageSourceError: it cannot be read.
    """
    if walk.tree is not None:
        return walk.tree.get(path, Folder([], []))
    folder = Folder([], [])
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                _sort_in(entry, folder, walk)
    except FileNotFoundError:
        raise ImageSourceError(f"the folder '{path}' was moved or deleted; put it back") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ImageSourceError(f"cannot list '{path}': {reason}. Make it readable or move it away") from None
    folder.folders.sort()
    folder.images.sort()
    return folder


def walk_folders(root: str, walk: Walk) -> dict[str, Folder]:
    """List every folder of images below a root once, by its path from there; the root itself is "".

    Links to folders are followed once each in a folder of the first level (or below a split's), unless they
    lead into or above it or the root.

    Raises:
        ImageSourceError: a folder cannot be read.
    """
    folders: dict[str, Folder] = {}
    todo: list[_Place] = [_Place(root, "", None, set())]
    while todo:
        entry = todo.pop()
        folder = folders[entry.name] = look_into(entry.path, walk)
        for name in folder.folders:
            path = os.path.join(entry.path, name)
            below = f"{entry.name}/{name}" if entry.name else name
            if entry.start is None:
                follows = not _leads_above(path, root)
                start = None if not entry.name and split_of_folder(name) else path
                inside = _Place(path, below, start, set())
            else:
                inside = entry._replace(path=path, name=below)
                follows = not os.path.islink(path) or _leads_elsewhere(
                    path, entry.homes(root), entry.followed
                )
            if follows:
                todo.append(inside)
            else:
                walk.links.append(below)
    return folders


class _Place(NamedTuple):
    """A folder still to list, and from where links are watched: None for the root and folders of splits."""

    path: str
    name: str
    start: str | None
    followed: set[str]

    def homes(self, root: str) -> set[str]:
        return {os.path.realpath(self.start or root), os.path.realpath(root)}


def walk_by_address(root: str, passed_by: tuple[str, ...] = Walk.passed_by) -> Walk:
    """List all images below a URL; `look_into` then asks nobody.

    Raises:
        ImageSourceError: nothing there, or not for these credentials.
    """
    try:
        names = objects_below(root)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ImageSourceError(f"cannot list '{root}': {reason}. Check the address and credentials") from None
    walk = Walk(passed_by=passed_by, tree={root: Folder([], [])})
    for name in names:
        _grow(walk, root, name.split("/"))
    return walk


def _grow(walk: Walk, root: str, parts: list[str]) -> None:
    if any(part.startswith(".") or part in walk.passed_by or not part for part in parts):
        walk.hidden += 1
        return
    assert walk.tree is not None
    for depth, part in enumerate(parts[:-1]):
        above = "/".join([root, *parts[:depth]])
        if f"{above}/{part}" not in walk.tree:
            walk.tree[f"{above}/{part}"] = Folder([], [])
            walk.tree[above].folders.append(part)
    ending = os.path.splitext(parts[-1])[1].lower()
    if ending[1:] in IMAGE_EXTENSIONS:
        walk.tree["/".join([root, *parts[:-1]])].images.append(parts[-1])
    else:
        walk.not_images[ending] += 1
        _note_table(parts[-1], ending, walk.tree["/".join([root, *parts[:-1]])])


def _sort_in(entry: os.DirEntry[str], folder: Folder, walk: Walk) -> None:
    if entry.name.startswith(".") or entry.name in walk.passed_by:
        walk.hidden += 1
    elif _holds(entry.is_dir):
        folder.folders.append(entry.name)
    else:
        ending = os.path.splitext(entry.name)[1].lower()
        # a broken link is listed and later skipped as "file not found"; a pipe or device would block
        if ending[1:] in IMAGE_EXTENSIONS and (entry.is_symlink() or _holds(entry.is_file)):
            folder.images.append(entry.name)
        else:
            walk.not_images[ending] += 1
            _note_table(entry.name, ending, folder)


def _note_table(name: str, ending: str, folder: Folder) -> None:
    if ending in TABLES and len(folder.tables) < MOST_TABLES:
        folder.tables.append(name)


def _holds(question: Callable[[], bool]) -> bool:
    """Return False where nobody can say: a link that leads to itself is like a broken one."""
    try:
        return question()
    except OSError:
        return False


def captions_beside(paths: Sequence[str], walk: Walk) -> list[str | None] | None:
    """Read the captions that lie beside a folder's images as NAME.txt; None if under half have one.

    A text without a letter, such as the boxes of an object detector, is no caption.
    """
    if walk.tree is not None or 2 * walk.not_images[CAPTION] < len(paths):
        return None
    beside = [os.path.splitext(path)[0] + CAPTION for path in paths]
    texts = [_caption(path) for path in beside]
    n = sum(text is not None for text in texts)
    if 2 * n < len(paths):
        return None
    files = {path for path, text in zip(beside, texts, strict=True) if text is not None}
    walk.not_images[CAPTION] -= len(files)  # a.jpg and a.png share a.txt
    walk.captions = n
    return texts


def _caption(path: str) -> str | None:
    if os.path.islink(path) or not os.path.isfile(path):  # a private file elsewhere; a pipe would block
        return None
    try:
        with open(path, "rb") as file:
            text = " ".join(file.read(LONGEST_CAPTION).decode("utf-8", "ignore").split())
    except OSError:
        return None
    return text if _is_language(text) else None


def _is_language(text: str) -> bool:
    """Return False for the boxes of a detector, also where each begins with a class: "Car 0.0 0 1.85 387"."""
    words = text.split()
    n_letters = sum(any(map(str.isalpha, word)) for word in words)
    return 3 * n_letters >= len(words)


def any_images(path: str) -> bool:
    """Return True when a folder contains an image at any depth."""
    for _, _, names in os.walk(path):
        endings = (os.path.splitext(name)[1].lower()[1:] for name in names)
        if any(ending in IMAGE_EXTENSIONS for ending in endings):
            return True
    return False


def images_below(path: str, walk: Walk, *, root: str, prefix: str = "") -> list[str]:
    """List every image below a folder, as sorted names with forward slashes, each after `prefix`.

    Links to folders are followed once each, unless they lead into or above `path` or `root`.
    """
    names: list[str] = []
    homes, followed = {os.path.realpath(path), os.path.realpath(root)}, set[str]()
    todo = [(path, prefix)]
    while todo:
        here, before = todo.pop()
        folder = look_into(here, walk)
        names += [before + name for name in folder.images]
        for name in folder.folders:
            below = os.path.join(here, name)
            if os.path.islink(below) and not _leads_elsewhere(below, homes, followed):
                walk.links.append(before + name)
            else:
                todo.append((below, f"{before}{name}/"))
    return sorted(names)


def _leads_elsewhere(link: str, homes: set[str], followed: set[str]) -> bool:
    target = os.path.realpath(link)
    inside_or_above = any(os.path.commonpath([target, home]) in (target, home) for home in homes)
    if inside_or_above or target in followed:
        return False
    followed.add(target)
    return True


def _leads_above(folder: str, root: str) -> bool:
    """Return True when a folder of images is a link to `root` or to one of its parents."""
    if not os.path.islink(folder):
        return False
    target = os.path.realpath(folder)
    return os.path.commonpath([target, os.path.realpath(root)]) == target


def readable(name: str) -> str:
    r"""Return the name of an image in a folder as text; bytes that are not valid UTF-8 are written as hex."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
