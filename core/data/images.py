"""Open images of any kind of source: the single entry point to every image source."""

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
from PIL import Image

from core.common.addresses import check_granted, is_url, located
from core.common.command_line import with_options
from core.common.formatting import counted
from core.common.topics import function_named, topics
from core.data.annotated import SUFFIXES, AnnotatedSource, exported_file
from core.data.columns import OPTIONS
from core.data.contradictions import one_spelling
from core.data.folder import FolderSource, missing_folder
from core.data.folder_walk import any_images
from core.data.hugging_face import HuggingFaceSource, data_files, holds_pictures, is_data_set
from core.data.pixel_values import PixelReading
from core.data.shards import ShardSource, is_pattern, is_tar, matching_files, shard_paths
from core.data.source import ImageSource, ListedSource, Listing
from core.data.table_cells import text_column
from core.data.table_files import is_table
from core.data.table_text import header_named, separator_named
from core.data.tables import MetadataSource, RepresentationsOnly, TableSource
from core.data.tables import open_representation_table as open_representation_table
from core.data.text_list import ground_truth
from core.data.torchvision_sets import TorchvisionSource
from core.errors import ImageSourceError, UnreadableImage, did_you_mean

# Train images from one source and evaluation images from another (`--images TRAIN --val VAL`).


SPLITS = ("train", "val")


class PairSource(ListedSource):
    """The train images of one source, then the evaluation images of another.

    Ids stay unchanged, unless an id occurs in both sources: then all ids get the prefix `train/` or `val/`.
    """

    kind = "pair"
    seed = 0  # nothing is drawn

    def __init__(self, train: ImageSource, val: ImageSource, prefixed: bool | None = None):
        self.parts = (train, val)
        self._prefixed = prefixed
        asked = (part.asked_group for part in self.parts if isinstance(part, ListedSource))
        self.asked_group = next(filter(None, asked), None)
        self.has_pictures = train.has_pictures and val.has_pictures

    @classmethod
    def joined(
        cls, description: dict[str, Any], reopen: Callable[[dict[str, Any]], ImageSource]
    ) -> "PairSource":
        """Open both sources of a description by a function."""
        return cls(reopen(description["train"]), reopen(description["val"]), description["prefixed"])

    @property
    def prefixed(self) -> bool:
        """True when ids have the name of their split as a prefix."""
        if self._prefixed is None:
            ids_of_sides = [part.table["image_id"].iloc[_rows(part, split)] for part, split in self._sides()]
            first, second = map(set, ids_of_sides)
            self._prefixed = not first.isdisjoint(second)
        return self._prefixed

    def describe(self) -> dict[str, Any]:
        train, val = (part.describe() for part in self.parts)
        return {"kind": self.kind, "train": train, "val": val, "prefixed": self.prefixed}

    def read(self, row: int) -> Image.Image:
        part, inner = self.listing.places
        return self.parts[part[row]].read(int(inner[row]))

    def place(self, row: int) -> str:
        part, inner = self.listing.places
        return self.parts[part[row]].place(int(inner[row]))

    def read_id(self, image_id: str) -> Image.Image:
        if self.prefixed:
            split, _, inner = image_id.partition("/")
            if split not in SPLITS:
                raise UnreadableImage("no longer in the source")
            return self.parts[SPLITS.index(split)].read_id(inner)
        return super().read_id(image_id)

    def fingerprint(self) -> str:
        both = "\n".join([self.kind, str(self.prefixed), *(part.fingerprint() for part in self.parts)])
        return hashlib.sha256(both.encode()).hexdigest()

    def _sides(self) -> list[tuple[ImageSource, str]]:
        return list(zip(self.parts, SPLITS, strict=True))

    def _list(self) -> Listing:
        rows = [_rows(part, split) for part, split in self._sides()]
        tables = [_taken(part, r, s, self.prefixed) for (part, s), r in zip(self._sides(), rows, strict=True)]
        table = pd.concat(tables, ignore_index=True)
        notes = [f"{split}: {note}" for part, split in self._sides() for note in part.notes]
        for (part, split), taken in zip(self._sides(), rows, strict=True):
            if left := len(part.table) - len(taken):
                notes.append(f"{split}: {counted(left, 'image')} of its other split ignored")
        if self.prefixed:
            notes.append("some ids occur in both image sets: all begin with train/ or val/")
        labels = [label if isinstance(label, str) else None for label in table["label"]]
        labels, spelled = one_spelling(list(table["split"]), labels)
        table = table.assign(label=pd.array(labels, dtype="str"))
        notes += spelled
        part_of = np.repeat([0, 1], [len(r) for r in rows])
        places = part_of, np.concatenate(rows)
        first, second = (part.group for part in self.parts)
        group = first if first == second else None
        return Listing(table, notes, self._extras(rows), places=places, group=group)

    def _extras(self, rows: list[np.ndarray]) -> pd.DataFrame | None:
        if all(part.extras is None for part in self.parts):
            return None
        frames = []
        for part, taken in zip(self.parts, rows, strict=True):
            extras = part.extras if part.extras is not None else pd.DataFrame(index=part.table.index)
            frames.append(extras.iloc[taken])
        first, second = frames
        for name in set(first) & set(second):
            if pd.api.types.is_string_dtype(first[name]) != pd.api.types.is_string_dtype(second[name]):
                first, second = (one.assign(**{name: text_column(one[name])}) for one in (first, second))
        return pd.concat([first, second], ignore_index=True)


def _rows(part: ImageSource, split: str) -> np.ndarray:
    """Return the rows to use: those of the split if the source has both splits; else all."""
    mine = np.flatnonzero((part.table["split"] == split).to_numpy())
    return mine if part.split_given and len(mine) else np.arange(len(part.table))


def _taken(part: ImageSource, rows: np.ndarray, split: str, prefixed: bool) -> pd.DataFrame:
    table = part.table.iloc[rows].assign(split=split).astype({"split": "str"})
    return table.assign(image_id=f"{split}/" + table["image_id"]) if prefixed else table


# Open images of any kind of source: the single entry point to every image source.


_KINDS: tuple[type[ListedSource], ...] = (
    FolderSource,
    TableSource,
    RepresentationsOnly,
    ShardSource,
    TorchvisionSource,
    AnnotatedSource,
    HuggingFaceSource,
    MetadataSource,
)
SOURCES: dict[str, type[ListedSource]] = {kind.kind: kind for kind in _KINDS}
Images = TypeVar("Images", bound=ImageSource)
GUESTS = {image_set.kind: image_set for topic in topics() for image_set in topic.image_sets}


def open_images(
    spec: str | Path,
    *,
    val: str | Path | None = None,
    seed: int = 0,
    class_level: int | str | None = None,
    group_level: int | None = None,
) -> ImageSource:
    """Open a source of images: a folder, table, another tool's data set, tar shards, or a drawn world.

    Args:
        spec: DIR, FILE.csv|.tsv|.parquet|.jsonl, `FILE.csv?root=DIR&path=COLUMN&label=COLUMN&split=COLUMN&
            sep=;&header=no`, `FILE.parquet?label=COLUMN` with pictures,
            `…?group=COLUMN` of any (a drawn split separates no group; `none`: image by image),
            FILE.json (COCO, FiftyOne, Label Studio …), FILE.txt (PATH LABEL), FILE.tar,
            `DIR/{000..010}.tar`, `torchvision:CIFAR10?root=DIR`, `glyphworld?preset=spurious`,
            `domains?root=DIR&domains=photo,sketch` (DOMAIN/CLASS/IMAGE),
            `tinted?images=DIR&colours=red,green&strength=1&seed=0`, `trifeature?train=2000`,
            `composite?images=(glyphworld?train=2000)`. All files and folders by address too: s3://, gs://, https://,
            file:// (docs/own_data.md).
        val: the evaluation images, if stored elsewhere; any of the above.
        seed: of the stratified 80/20 split, used if the images come without a split.
        class_level: which level of folders names the class, in a folder; "leaf": the path of the innermost
            one; None: chosen, see `folder_reading`.
        group_level: which level of folders becomes the column `group`: one patient, scene or sequence.
    Raises:
        ImageSourceError: no images, nothing readable, or an unknown kind; the message says what to do.
        RemoteError: an address that the owner has not named, or that no server answers.
    """
    levels = FolderLevels(class_level, group_level)
    if val is not None:
        train = _listed(_at_levels(_source(str(spec), None), levels))
        return _listed(PairSource(train, _like(train, _at_levels(_source(str(val), None), levels))))
    return _listed(_at_levels(_source(str(spec), seed), levels))


class FolderLevels(NamedTuple):
    """The levels of folders that were asked for; None: none was."""

    classes: int | str | None
    groups: int | None


def _at_levels(source: ImageSource, levels: FolderLevels) -> ImageSource:
    if levels == FolderLevels(None, None):
        return source
    if not isinstance(source, FolderSource | MetadataSource):
        option = (
            f"--class-level {levels.classes}"
            if levels.classes is not None
            else f"--group-level {levels.groups}"
        )
        raise ImageSourceError(f"{option} is for folders of images; leave it out")
    opened = FolderSource(source.root or "", source.seed, levels.classes, levels.groups)
    return opened.grouped_by(source.asked_group)


def _like(train: ImageSource, val: ImageSource) -> ImageSource:
    """Read the evaluation images on the level of the classes chosen for train, where they have it."""
    if not (isinstance(train, FolderSource) and isinstance(val, FolderSource)) or val.class_level is not None:
        return val
    level = train.reading.classes if train.reading is not None else None
    if not isinstance(level, int) or level == 1:
        return val
    with suppress(ImageSourceError):
        same = FolderSource(val.root, val.seed, level, val.group_level)
        return _listed(same.grouped_by(val.asked_group))
    return val


def _listed(source: Images) -> Images:
    _ = source.table  # list now, so that errors appear on opening
    return source


def _source(spec: str, seed: int | None) -> ImageSource:
    if spec == "glyphworld" or spec.startswith("glyphworld?"):
        return _glyphworld().from_spec(spec)
    for kind, image_set in GUESTS.items():
        if spec.startswith(f"{kind}?") or (image_set.bare and spec == kind):
            return _guest(kind).from_spec(spec, lambda inner: _source(inner, seed), seed)
    if spec.startswith("torchvision:"):
        return TorchvisionSource.from_spec(spec, seed)
    if spec.startswith("pipe:"):
        raise ImageSourceError(f"'{spec}' is a command and no place. Save its output, then give its folder")
    spec, options = with_options(spec)
    group = options.pop("group", None)
    if is_url(spec) and is_url(spec := located(spec)):
        return _by_address(spec, options, seed, group)
    source = _by_path(spec, options, seed, group)
    return source if source.is_listed else source.grouped_by(group)


def _by_path(spec: str, options: dict[str, str], seed: int | None, group: str | None) -> ListedSource:
    path = Path(spec).expanduser()
    if path.suffix.lower() == ".arrow" or (path.suffix.lower() == ".parquet" and _of_pictures(path)):
        return HuggingFaceSource(path, seed, **_picture_options(spec, options))
    is_of_shards = path.is_dir() and _tells_of_tars(path)
    if path.is_dir() and is_data_set(path) and not is_of_shards and not any_images(str(path)):
        return HuggingFaceSource(path, seed, **_picture_options(spec, options))
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        return AnnotatedSource(path, seed, **_table_options(spec, options))
    if path.is_dir() and (file := exported_file(path)):
        return AnnotatedSource(file, seed, **_table_options(spec, options))
    if path.is_dir() and (file := ground_truth(str(path))):
        return AnnotatedSource(file, seed, root=path)
    if is_table(path.name) and not path.is_dir():
        return TableSource(path, seed, **_table_options(spec, options))
    _known(spec, options)
    if path.is_file() or (is_pattern(spec) and not path.exists()):
        return ShardSource(shard_paths(spec), seed)
    if not path.exists():
        raise missing_folder(path)
    if path.is_dir() and _holds_tars(path) and not any_images(str(path)):
        return ShardSource(shard_paths(str(path / "*.tar")), seed)
    return MetadataSource.with_labels(path, seed, group=group) or FolderSource(path, seed)


def _by_address(url: str, options: dict[str, str], seed: int | None, group: str | None) -> ListedSource:
    check_granted(re.split(r"[{*\[]", url)[0])
    if (named := _by_ending(url, options, seed)) is not None:
        return named.grouped_by(group)
    try:
        source = _listed(FolderSource(url, seed).grouped_by(group))
    except ImageSourceError as error:  # no images; perhaps a data set, or shards
        if _is_data_set_by_address(url):
            return HuggingFaceSource(url, seed, **_picture_options(url, options)).grouped_by(group)
        try:
            source = ShardSource(matching_files(f"{url}/*.tar"), seed).grouped_by(group)
        except ImageSourceError:
            raise error from None
    _known(url, options)
    return source


def _by_ending(url: str, options: dict[str, str], seed: int | None) -> ListedSource | None:
    """The images of an address whose name says what they are; None for what may be a folder."""
    ending = os.path.splitext(url)[1].lower()
    if ending == ".arrow" or (ending == ".parquet" and (is_pattern(url) or holds_pictures(url))):
        return HuggingFaceSource(url, seed, **_picture_options(url, options))
    if is_table(url) and not is_pattern(url):
        return TableSource(url, seed, **_table_options(url, options))
    if ending in SUFFIXES and not is_pattern(url):
        return AnnotatedSource(url, seed, **_table_options(url, options))
    if is_pattern(url) or is_tar(url):
        _known(url, options)
        return ShardSource(shard_paths(url), seed)
    return None


def _is_data_set_by_address(url: str) -> bool:
    with suppress(ImageSourceError, OSError):
        return holds_pictures(data_files(url)[0].path, or_places=True)
    return False


def _known(spec: str, options: dict[str, str], *names: str) -> dict[str, str]:
    """Return the options. Raises ImageSourceError for one that this kind of images does not have."""
    unknown = next((name for name in options if name not in names), None)
    if unknown is not None:
        names = (*names, "group")  # which every kind has
        takes = f"it takes {' and '.join(names)}"
        raise ImageSourceError(f"'{spec}' has no option '{unknown}': {takes}.{did_you_mean(unknown, names)}")
    return options


def _picture_options(spec: str, options: dict[str, str]) -> dict[str, Any]:
    """Return the arguments of a data set with pictures that the options of an address name."""
    return {"columns": _known(spec, options, *OPTIONS)}


def _table_options(spec: str, options: dict[str, str]) -> dict[str, Any]:
    """Return the arguments of a table that the options of an address name.

    Raises:
        ImageSourceError: an option that tables do not have, or a value that is none.
    """
    _known(spec, options, "root", *OPTIONS, "sep", "header")
    arguments: dict[str, Any] = {"columns": {role: options[role] for role in OPTIONS if role in options}}
    arguments |= {"root": options["root"]} if "root" in options else {}
    try:
        if "sep" in options:
            arguments["sep"] = separator_named(options["sep"])
        if "header" in options:
            arguments["header"] = header_named(options["header"])
    except ValueError as error:
        raise ImageSourceError(f"'{spec}': {error}") from None
    return arguments


def _of_pictures(path: Path) -> bool:
    """Return True for a .parquet file, or a pattern of some, that holds pictures and not paths."""
    is_files = is_pattern(str(path)) and not path.exists()
    return is_files or (path.is_file() and holds_pictures(path))


def reopen_images(description: dict[str, Any]) -> ImageSource:
    """Reopen the source of images that returned `description`; nothing is listed until it is used.

    Raises:
        ImageSourceError: the kind is unknown to this version.
    """
    source = _reopened(description)
    if "pixels" in description:
        source.read_as(PixelReading.from_dict(description["pixels"]))
    return source


def describe_images(source: ImageSource) -> dict[str, Any]:
    """Return what `reopen_images` opens again: the source of images, and how its pixels are read."""
    changed = source.pixel_reading.to_dict()
    return {**source.describe(), "pixels": changed} if changed else source.describe()


def _reopened(description: dict[str, Any]) -> ImageSource:
    kind = description.get("kind", "")
    if kind in GUESTS:
        return _guest(kind).reopen(description, reopen_images)
    if kind == PairSource.kind:
        return PairSource.joined(description, reopen_images)
    if kind == "glyphworld":
        return _glyphworld().reopen(description)
    if kind not in SOURCES:
        raise ImageSourceError(f"unknown kind of image source '{kind}': made by a newer version?")
    return SOURCES[kind].reopen(description)


def _holds_tars(path: Path) -> bool:
    try:
        return any(name.endswith(".tar") for name in os.listdir(path))
    except OSError:  # listing it again raises the user's error
        return False


def _tells_of_tars(path: Path) -> bool:
    """Return True where each table lies beside the tar that it tells of, as img2dataset lays them."""
    tables, tars = ({file.stem for file in path.glob(f"*.{ending}")} for ending in ("parquet", "tar"))
    return bool(tables) and tables <= tars


def _glyphworld() -> Any:
    from core.data.glyphworld import GlyphworldSource

    return GlyphworldSource


def _guest(kind: str) -> Any:
    return function_named(GUESTS[kind].source)
