"""The interface of every image source, and their shared rules: split, fingerprint, notes."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

from core.common.addresses import is_url
from core.common.arrow_tables import arrow_of, as_texts, coded, column_of, each, texts_of_codes
from core.common.formatting import counted, first_of
from core.common.records import Record
from core.common.remote_objects import fetch_ahead, stat
from core.common.threads import cached_property
from core.data import groups as units
from core.data.pixel_values import AS_STATED, PixelReading
from core.errors import AddressRefused, ImageSourceError, UnreadableImage

Texts = Sequence[str] | pd.Series
VAL_SHARE = 0.2
SIDES = ("train", "val")
OLD_READING, READING = 1, 2  # of a description: 1 lists as versions before 0.4 did
IMAGE_EXTENSIONS = frozenset(
    ("jpg", "jpeg", "jpe", "jfif", "png", "apng", "bmp", "gif", "webp")
    + ("tif", "tiff", "ppm", "pgm", "pbm", "pnm", "avif", "jp2", "heic", "heif", "hif")
)
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
    "id_val": "id_val",
    "id_test": "id_test",
}
VAL_AS_TRAIN = (
    "there is no 'train': 'val' is used as the train split, 'test' as the evaluation split, named val"
)
SEEN_DOMAINS = ("id_val", "id_test")  # WILDS: further images of the domains of train


def split_named(name: str) -> str | None:
    """Read the split of images from their folder's name or a tag, in any case; None for another name.

    >>> split_named("Validation"), split_named("cat")
    ('val', None)
    """
    return SPLIT_NAMES.get(name.lower())


class ImageSource(ABC):
    """Images in a fixed order, each with a split and optionally a label; can be pickled to worker processes.

    Attributes:
        kind: `reopen_images` dispatches on it.
        table: image_id, path, split ("train" or "val"), label (NaN if missing), in listing order.
        extras: further columns of the same rows, or None.
        notes: what a user should know about the listing, one sentence each.
        unread: folders of images that are no part of the listing, as in "test/".
        has_pictures: False if only representations were given.
        split_given: True if the split comes with the images; False if it was drawn from a seed.
        pixel_reading: what a user says of the pixels of its files.
        group: the column of `extras` that says which images are of one patient, lesion or sequence, or None.
    """

    kind: str
    table: pd.DataFrame
    extras: pd.DataFrame | None = None
    notes: list[str]
    unread: Sequence[str] = ()
    has_pictures: bool = True
    split_given: bool = True
    group: str | None = None
    pixel_reading: PixelReading = AS_STATED

    @abstractmethod
    def read(self, row: int) -> Image.Image:
        """Read the image of a listing row, RGB and upright. Raises UnreadableImage with a short reason."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return JSON-able data from which `reopen_images` opens the same source again."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return the sha256 (hex) of ids, labels, splits and the files' sizes and times, or their content."""

    def read_id(self, image_id: str) -> Image.Image:
        """Read an image by id. Raises UnreadableImage; unknown ids are "no longer in the source"."""
        row = self._row_of.get(image_id)
        if row is None:
            raise UnreadableImage("no longer in the source")
        return self.read(row)

    def read_as(self, reading: PixelReading) -> Self:
        """Read values of pixels as a user says, also in the sources that this one holds; return itself."""
        self.pixel_reading = reading
        for value in vars(self).values():
            for one in value if isinstance(value, tuple | list) else (value,):
                if isinstance(one, ImageSource):
                    one.read_as(reading)
        return self

    def place(self, row: int) -> str:
        """Return the path or address of an image file; "" where it is part of another file."""
        return ""

    def read_ahead(self, rows: Iterable[int]) -> None:
        """Fetch images by address at once, into the cache, where each `read` would wait for the server."""
        fetch_ahead(address for row in rows if is_url(address := self.place(row)))

    @property
    def labelled(self) -> bool:
        """Return True when any image has a label."""
        return bool(self.table["label"].notna().any())

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {image_id: row for row, image_id in enumerate(self.table["image_id"])}


@dataclass
class Listing:
    """The result of listing a source; `places` holds the data that its `read` needs for each row.

    group: see `ImageSource`, if it is known; `ListedSource` looks for one, and draws the split by it.
    """

    table: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    extras: pd.DataFrame | None = None
    split_given: bool = True
    places: Any = None
    unread: Sequence[str] = ()
    group: str | None = None


class ListedSource(ImageSource):
    """A source that lists its images when its table is first used, so that reopening it costs nothing.

    Attributes:
        is_listed: whether that was done.
        asked_group: the column that the drawn split is to go by (`?group=COLUMN`), "none" for image by image;
            None: what `groups.find_group` finds.
        seed: of a split that is drawn; None where the caller splits.
    """

    is_listed = False
    asked_group: str | None = None
    seed: int | None = None

    @classmethod
    def reopen(cls, description: dict[str, Any]) -> Self:
        """Open the source that a description is of: it holds the arguments of the class by their names."""
        source = cls(**{name: description[name] for name in signature(cls).parameters if name in description})
        return source.grouped_by(description.get("group"))

    def grouped_by(self, group: str | None) -> Self:
        """Split by a column, or by none; before the images are listed."""
        self.asked_group = group
        return self

    @property
    def group_option(self) -> dict[str, Any]:
        """What was asked of the groups, for `describe`."""
        return {"group": self.asked_group} if self.asked_group else {}

    @abstractmethod
    def _list(self) -> Listing: ...

    @cached_property
    def listing(self) -> Listing:
        listing = self.with_photographs(self._list())
        listing = _with_groups(listing, self.asked_group or listing.group, self.seed)
        self.is_listed = True
        return listing

    def with_photographs(self, listing: Listing) -> Listing:
        """The listing with a column of the photograph that each image is of, where files show copies."""
        return listing

    @cached_property
    def id_texts(self) -> pa.ChunkedArray:
        """Return the ids, for single look-ups, `[row].as_py()`: 50 times faster than pandas."""
        return arrow_of(column_of(self.table, "image_id"))

    @cached_property
    def path_texts(self) -> pa.ChunkedArray:
        """Return the paths of the table, for `read`, as `id_texts`."""
        return arrow_of(column_of(self.table, "path"))

    @property
    def table(self) -> pd.DataFrame:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.listing.table

    @property
    def extras(self) -> pd.DataFrame | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.listing.extras

    @property
    def notes(self) -> list[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.listing.notes

    @property
    def unread(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.listing.unread

    @property
    def split_given(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.listing.split_given

    @property
    def group(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.listing.group


def image_table(
    image_ids: Texts, paths: Texts, splits: Texts, labels: Sequence[str | None] | pd.Series
) -> pd.DataFrame:
    """Build the table of a source of images: four columns of texts; a missing label means none."""
    columns = {"image_id": image_ids, "path": paths, "split": splits, "label": labels}
    return pd.DataFrame({name: as_texts(values).array for name, values in columns.items()})


def seeded_split(
    image_ids: Texts,
    labels: Sequence[str | None] | pd.Series,
    *,
    seed: int,
    names: Texts | None = None,
    val_share: float = VAL_SHARE,
) -> tuple[np.ndarray, list[Record]]:
    """Draw a stratified split of images that depends only on the seed, the names and the labels.

    In every class (or all images, without labels) the images are ranked by a hash of seed and name, and the
    first round(val_share * n), at least one, become "val": listing order does not matter, and a new class
    does not move images of other classes.

    Args:
        names: names shared by two sources of the same images; None uses the ids. A folder uses its ids;
            shards use the names of their images in such a folder (see shard_names.py). The two agree if the
            shard preserves the class and the file name of its images.
    Returns:
        (n_images,) bool: val; and notes (classes with one image, which stay in train).
    """
    classes = coded(as_texts(labels))
    ranks = units.hash_ranks(seed, _each(image_ids if names is None else names), len(classes.codes))
    order = np.lexsort((ranks, classes.codes))
    if _any_tie(ranks[order], classes.codes[order]):
        ids = list(_each(image_ids))
        by_name = sorted(order.tolist(), key=lambda row: (classes.codes[row], ranks[row], ids[row]))
        order = np.array(by_name)
    class_of = classes.codes[order] + 1  # no label is the class 0
    sizes = np.bincount(class_of, minlength=len(classes.names) + 1)
    n_val = np.where(sizes > 1, np.maximum(np.rint(val_share * sizes), 1), 0)
    in_class = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[class_of]
    is_val = np.zeros(len(order), bool)
    is_val[order] = in_class < n_val[class_of]
    lonely = sorted(classes.names[code] for code in np.flatnonzero(sizes[1:] == 1))
    return is_val, [units.lonely_note(len(lonely), first_of(lonely))] if lonely else []


def _each(texts: Texts) -> Iterable[str]:
    return each(texts) if isinstance(texts, pd.Series) else texts


def _any_tie(ranks: np.ndarray, codes: np.ndarray) -> bool:
    same_rank = ranks[1:] == ranks[:-1]
    same_class = codes[1:] == codes[:-1]
    return bool((same_rank & same_class).any())


def draw_split(
    image_ids: Texts, labels: Sequence[str | None] | pd.Series, seed: int | None, names: Texts | None = None
) -> tuple[list[str], list[Record]]:
    """Draw the seeded split of images and a note on it; all "train" if `seed` is None."""
    if seed is None:
        return ["train"] * len(image_ids), []
    is_val, notes = seeded_split(image_ids, labels, seed=seed, names=names)
    splits = ["val" if val else "train" for val in is_val.tolist()]
    if not is_val.any():
        return splits, notes
    return splits, [units.drawn_note(_shares(labels), seed=seed), *notes]


def _shares(labels: Sequence[str | None] | pd.Series) -> str:
    by_class = ", class by class" if as_texts(labels).notna().any() else ""
    return f"{1 - VAL_SHARE:.0%} train, {VAL_SHARE:.0%} val{by_class}"


OF_A_DRAW = ("drawn", "lonely")  # kinds of the notes of `draw_split`


def _with_groups(listing: Listing, asked: str | None, seed: int | None) -> Listing:
    """Find the groups in a listing of images, draw its split by them where it was drawn, and say so.

    Args:
        asked: see `groups.find_group`. seed: of the split; None where the caller splits.
    Raises:
        ImageSourceError: the column asked for does not exist, or has one value.
    """
    group, notes = units.find_group(listing.extras, asked)
    if group is None or listing.extras is None:
        return replace(listing, notes=[*listing.notes, *(notes if not listing.split_given else [])])
    if seed is None:
        return replace(listing, group=group)
    table = listing.table
    groups = units.one_each(units.group_texts(pd.Series(listing.extras[group])), column_of(table, "image_id"))
    if listing.split_given:
        note = units.given_note(group, groups, (table["split"] == "val").to_numpy())
        return replace(listing, group=group, notes=[*listing.notes, note])
    labels = column_of(table, "label")
    is_val = units.split_by_group(groups, labels, seed=seed, val_share=VAL_SHARE)
    if not is_val.any():
        if asked is None:
            return listing
        raise ImageSourceError(f"each class lies in one group of '{group}': none is left for evaluation")
    table = table.assign(split=texts_of_codes(is_val.astype(np.int32), SIDES).array)
    lonely = units.in_train_alone(labels, is_val)
    notes = [units.drawn_note(_shares(labels), seed=seed, what=group, groups=groups)]
    notes += [units.lonely_note(len(lonely), first_of(lonely), of_groups=True)] if lonely else []
    others = [note for note in listing.notes if not (isinstance(note, Record) and note.kind in OF_A_DRAW)]
    return replace(listing, table=table, group=group, notes=[*others, *notes])


def one_evaluation_split(splits: Sequence[str]) -> tuple[np.ndarray, list[str], list[str]]:
    """Reduce train, val and test images to train and one other: val if present, else test as val.

    WILDS' id_val and id_test, of the domains of train, stand in for val and test where both are absent.
    Without train, val takes its part beside test.

    Returns:
        (n,) bool of the rows kept, their splits, notes.
    """
    split_of, notes = evaluation_splits(Counter(splits))
    renamed = [split_of[name] for name in splits]
    keep = np.array([name is not None for name in renamed], bool)
    return keep, [name for name in renamed if name is not None], notes


def evaluation_splits(counts: Mapping[str, int]) -> tuple[dict[str, str | None], list[str]]:
    """Decide on the evaluation split, val or test, by the number of images of each split.

    Returns:
        "train" or "val" for the name of each split, None where its images are left out; notes.
    """
    notes = []
    kept_names = {name: name for name, n in counts.items() if n}
    if seen := kept_names.keys() & set(SEEN_DOMAINS):
        if kept_names.keys() & {"val", "test"}:
            kept_names = {name: name for name in kept_names if name not in seen}
            left = counted(sum(counts[name] for name in seen), "image")
            notes.append(f"{left} of 'id_val' and 'id_test' left out: their domains are train's")
        else:
            kept_names = {name: name.removeprefix("id_") for name in kept_names}
    named = set(kept_names.values())
    train = "train"
    if {"val", "test"} <= named and "train" not in named:
        train = "val"
        notes.append(VAL_AS_TRAIN)
    elif {"val", "test"} <= named:
        n_test = sum(counts[name] for name, usual in kept_names.items() if usual == "test")
        kept_names = {name: usual for name, usual in kept_names.items() if usual != "test"}
        notes.append(f"{counted(n_test, 'image')} of 'test' left out: 'val' is used")
    elif "test" in named:
        notes.append("'test' is used as the evaluation split, named val")
    split_of = {name: "train" if usual == train else "val" for name, usual in kept_names.items()}
    return {name: split_of.get(name) for name in counts}, notes


def unseen_classes_note(splits: Iterable[str], labels: Iterable[str | None]) -> list[str]:
    """Return a note naming evaluation classes that train lacks; those of both if it lacks them all."""
    pairs = set(zip(splits, labels, strict=True))
    train, val = ({label for one, label in pairs if one == split and label is not None} for split in SIDES)
    return unseen_note(train, val)


def unseen_note(train: set[str], val: set[str]) -> list[str]:
    """Return a note naming evaluation classes that train images lack, from the classes of both splits."""
    unseen = sorted(val - train)
    if not unseen or not train:
        return []
    note = f"{counted(len(unseen), 'class')} of val not in train: {first_of(unseen)}"
    if len(unseen) == len(val):
        note += f", which is all of val; train has {first_of(sorted(train))}"
    return [note]


def file_stamp(path: str) -> str:
    """Return size and modification time of an image file (the version of an object), or "missing"."""
    try:
        if is_url(path):
            return "{}:{}".format(*stat(path))
        status = os.stat(path)
    except (OSError, AddressRefused):
        return "missing"
    return f"{status.st_size}:{status.st_mtime_ns}"


def digest_table(
    kind: str, table: pd.DataFrame, stamps: Iterable[str], extras: pd.DataFrame | None = None
) -> str:
    """Return the sha256 (hex) of a listing of images: kind, ids, labels, splits, stamps, extra columns."""
    digest = hashlib.sha256(kind.encode())
    labels = (f"={label}" if isinstance(label, str) else "" for label in table["label"])
    for fields in zip(table["image_id"], labels, table["split"], stamps, strict=True):
        digest.update("\0".join(fields).encode("utf-8", "surrogateescape") + b"\n")
    if extras is not None:
        for name, column in extras.items():
            column = column.astype("float64") if column.dtype == "Int64" and column.hasnans else column
            digest.update("\0".join([str(name), *map(str, column)]).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
