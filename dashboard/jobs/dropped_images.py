"""Images, or masks of them, that somebody drops: which names and how many are taken, and where they lie.

A study reads its images again and again, so they are kept: in a folder of the studies folder, which may then
be chosen like the configured ones (allowed_paths.py). What is no picture by its content is left out. No
streamlit.
"""

import itertools
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from uuid import uuid4

from core.common.captions import ON_MASKS
from core.common.formatting import counted
from core.data.picture_limits import CAPTION, LONGEST_CAPTION
from core.errors import PeregrineError, SettingsError
from core.study import uploads
from core.study.leftovers import is_leftover
from core.study.write_access import check_write_access
from dashboard.jobs.allowed_paths import dropped_folder, short

MOST_FILES, MOST_BYTES = 5_000, 2_000_000_000  # of one drop: they pass through the memory of the server
DEEPEST, LONGEST = 8, 120  # folders, and characters of a name
CORE = next(iter(ON_MASKS))  # the folder of masks of objects
HEAD = "head.safetensors"  # beside a table: the classifier of the next study
TABLE = "labels.parquet"  # of images with the labels that people corrected
ENDINGS = (*uploads.EXTENSIONS, CAPTION.lstrip("."))
TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # the direction of a text
ALIEN = re.compile(r"[\x00-\x1f\x7f<>:\"|?*]")


@dataclass(frozen=True)
class Kept:
    """The folder of the images, how many there are with how many captions, and why others were left out."""

    folder: Path
    n: int
    refused: Mapping[str, str]
    captions: int = 0

    @property
    def text(self) -> str:
        """What became of the drop, in a line.

        >>> Kept(Path("birds"), 3, {}, captions=3).text
        '3 pictures and 3 captions are in birds.'
        >>> Kept(Path("birds"), 3, {"list.txt": "not a picture"}).text
        '3 pictures are in birds. 1 file was left out, such as list.txt: not a picture.'
        """
        one = self.n == 1 and not self.captions
        pictures = counted(self.n, "picture")
        what = f"{pictures} and {counted(self.captions, 'caption')}" if self.captions else pictures
        start = f"{what} {'is' if one else 'are'} in {short(self.folder)}."
        if not self.refused:
            return start
        name, why = next(iter(self.refused.items()))
        n = len(self.refused)
        return f"{start} {counted(n, 'file')} {'was' if n == 1 else 'were'} left out, such as {name}: {why}."


def keep(files: Sequence[tuple[str, bytes]]) -> Kept:
    """Write the pictures of a drop, and the captions beside them, into a folder of their own; all or nothing.

    Args:
        files: name, with the folders above it where a folder was dropped, and content.
    Raises:
        SettingsError: too many or too large, or no picture is among them; one line says what.
    """
    size = sum(len(data) for _, data in files)
    if len(files) > MOST_FILES or size > MOST_BYTES:
        raise SettingsError(
            f"{len(files):,} files of {size / 1e6:,.0f} MB were dropped; the limit is {MOST_FILES:,} files "
            f"and {MOST_BYTES / 1e6:,.0f} MB. Put them into a folder that may be chosen, and choose it"
        )
    pictures, captions, refused = _sorted_out(files)
    if not pictures:
        why = f": {next(iter(refused.values()))}" if refused else ""
        raise SettingsError(f"no picture is among what was dropped{why}")
    everything = pictures | captions
    top, places = within_one_folder(list(everything))
    try:
        folder = _written(folder_name(top), dict(zip(places, everything.values(), strict=True)))
    except OSError as error:
        raise SettingsError(f"the images cannot be kept: {error.strerror or error}") from error
    return Kept(folder, len(pictures), refused, len(captions))


def keep_table(name: str, data: bytes, head: bytes = b"") -> Path:
    """Write a table of images into a folder of its own, and return its path. Raises SettingsError.

    Args:
        head: the content of the file HEAD beside it; b"" for none.
    """
    files = {PurePosixPath(TABLE): data} | ({PurePosixPath(HEAD): head} if head else {})
    try:
        return _written(folder_name(name), files) / TABLE
    except OSError as error:
        raise SettingsError(f"the labels cannot be kept: {error.strerror or error}") from error


def keep_masks(files: Sequence[tuple[str, bytes]]) -> Kept:
    """Write masks of images into a new folder; without a folder core or spurious, all are of the object.

    Raises:
        SettingsError: as `keep`.
    """
    by_kind = [(below_kind(name), data) for name, data in files]
    named = [(f"masks/{name}", data) for name, data in by_kind if name is not None]
    return keep(named or [(f"masks/{CORE}/{name}", data) for name, data in files])


def below_kind(name: str) -> str | None:
    """The name of a mask from its folder core or spurious on; None where it is in neither.

    >>> below_kind("mine/Core/owl/1.png"), below_kind("mine/owl/1.png")
    ('core/owl/1.png', None)
    """
    parts = name.split("/")
    for depth, part in enumerate(parts[:-1]):
        if part.lower() in ON_MASKS:
            return "/".join([part.lower(), *parts[depth + 1 :]])
    return None


def safe_place(name: str) -> PurePosixPath | None:
    """Where a dropped file lies below its folder; None for a name that no file here should have.

    >>> safe_place("birds/owl/1.jpg"), safe_place("../../x.jpg"), safe_place(".git/x.png")
    (PurePosixPath('birds/owl/1.jpg'), None, None)
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part]
    odd = any(part.startswith(".") or len(part) > LONGEST or ALIEN.search(part) for part in parts)
    if odd or not parts or len(parts) > DEEPEST or name.startswith("/"):
        return None
    path = PurePosixPath(*parts)
    return path if path.suffix.lower().lstrip(".") in ENDINGS else None


def within_one_folder(places: Sequence[PurePosixPath]) -> tuple[str, list[PurePosixPath]]:
    """The folder that holds everything, and the places below it; "" where there is none.

    >>> within_one_folder([PurePosixPath("pets/cat/1.jpg"), PurePosixPath("pets/dog/1.jpg")])
    ('pets', [PurePosixPath('cat/1.jpg'), PurePosixPath('dog/1.jpg')])
    >>> within_one_folder([PurePosixPath("1.jpg")])
    ('', [PurePosixPath('1.jpg')])
    """
    tops = {path.parts[0] if len(path.parts) > 1 else "" for path in places}
    top = next(iter(tops)) if len(tops) == 1 else ""
    return top, [PurePosixPath(*path.parts[1:]) if top else path for path in places]


Contents = dict[PurePosixPath, bytes]


def _sorted_out(files: Sequence[tuple[str, bytes]]) -> tuple[Contents, Contents, dict[str, str]]:
    """The pictures and their captions by their places, and the reason for each other file."""
    pictures: Contents = {}
    texts: Contents = {}
    refused: dict[str, str] = {}
    numbers: dict[PurePosixPath, Iterator[int]] = {}
    for name, data in files:
        path = safe_place(name)
        if path is None:
            refused[name[-60:]] = f"no name of a picture; {uploads.ACCEPTED}"
            continue
        if path.suffix.lower() == CAPTION:
            texts[path] = data[:LONGEST_CAPTION]
            continue
        try:
            uploads.check_picture(data[: uploads.HEAD], len(data))
        except PeregrineError as error:
            refused[name[-60:]] = str(error)
            continue
        pictures[_free(path, pictures, numbers)] = data
    named = {path.with_suffix("") for path in pictures}
    captions = {path: data for path, data in texts.items() if path.with_suffix("") in named}
    refused |= {str(path)[-60:]: "no picture has its name" for path in texts if path not in captions}
    return pictures, captions, refused


def _free(
    path: PurePosixPath, taken: Mapping[PurePosixPath, bytes], numbers: dict[PurePosixPath, Iterator[int]]
) -> PurePosixPath:
    """The place, or it with the next number of its own, which `numbers` remember."""
    if path not in taken:
        return path
    further = numbers.setdefault(path, itertools.count(2))
    others = (path.with_stem(f"{path.stem}-{number}") for number in further)
    return next(other for other in others if other not in taken)


def folder_name(top: str) -> str:
    """What the folder of a drop is called: as the dropped one, without what is read as something else.

    >>> folder_name("birds"), folder_name("~"), folder_name("\u202egpj"), folder_name("")
    ('birds', 'pictures', 'gpj', 'pictures')
    """
    return TURNS.sub("", top).lstrip("~. ") or "pictures"


def _written(name: str, contents: Mapping[PurePosixPath, bytes]) -> Path:
    """Write the files of a drop, and give their folder its name, or it and a number, when it is complete.

    What a killed drop left goes. Raises OSError, after which nothing is left, and SettingsError.
    """
    check_write_access()
    root = dropped_folder()
    if any((root / mark).exists() for mark in ("manifest.json", "progress.json")):
        raise SettingsError(f"'{short(root)}' is a study; rename it, so that images can be kept there")
    for left in filter(is_leftover, root.glob(".drop-*.tmp")):
        shutil.rmtree(left, ignore_errors=True)
    begun = root / f".drop-{uuid4().hex}.{os.getpid()}.tmp"
    try:
        for place, data in contents.items():
            path = begun / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return _named(begun, root, name)
    finally:
        shutil.rmtree(begun, ignore_errors=True)
        with suppress(OSError):  # it holds other drops
            root.rmdir()


def _named(begun: Path, root: Path, name: str) -> Path:
    for path in _numbered(root, name):
        with suppress(FileExistsError):
            path.mkdir()
            return begun.rename(path)
    raise AssertionError  # the numbers do not end


def _numbered(root: Path, name: str) -> Iterator[Path]:
    yield root / name
    yield from (root / f"{name}-{number}" for number in itertools.count(2))
