"""Images in folders: one folder per class, with or without train/ and val/ above, or one flat folder."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import pandas as pd
from PIL import Image

from core.common.addresses import is_url, located
from core.common.formatting import counted, first_of
from core.data import source
from core.data.contradictions import one_spelling
from core.data.copies import with_photographs
from core.data.decode import decode
from core.data.folder_levels import ImagePlace, Profile, join
from core.data.folder_masks import Masks, find_masks, set_apart
from core.data.folder_reading import (
    ReadingChoice,
    Tree,
    TreeReading,
    choose_reading,
    first_reading,
    places_of,
)
from core.data.folder_sentence import levels_table, sentences
from core.data.folder_tables import (
    label_column,
    label_file,
    labels_in,
    labels_of_shards,
    lists_naming,
    say_of_folder_table,
    shard_tables,
    table_notes,
)
from core.data.folder_walk import (
    HIDDEN_FOLDERS,
    Walk,
    captions_beside,
    readable,
    walk_by_address,
    walk_folders,
)
from core.data.groups import few_note
from core.data.table_files import captions_of_metadata
from core.data.unread_forms import bands_in_files, unread_form
from core.errors import ImageSourceError, did_you_mean

# The images of a tree under one reading: names, labels, splits, and the columns `domain` and `group`.


DOMAIN, GROUP = "domain", "group"


@dataclass
class TreeRows:
    """One entry an image: its name below the root as in the file system, label, split, further columns."""

    names: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    columns: dict[str, list[str | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def _rows_of(root: str, tree: Tree, reading: TreeReading) -> TreeRows:
    """List the images of a folder of classes, split by split, class by class, by their names."""
    rows = TreeRows(columns={name: [] for name in _columns(reading)})
    by_prefix = defaultdict(list)
    for folder in places_of(tree, reading):
        by_prefix[folder.prefix].append(folder)
    train_classes = {folder.parts[0] for folders in by_prefix.values() for folder in folders if folder.parts}
    for prefix in reading.splits:
        folders = by_prefix.get(prefix, [])
        if not folders:
            rows.notes.append(f"{readable(prefix)}/ holds no images")
            continue
        before = len(rows.names)
        _add(rows, tree, reading, folders)
        if (file := reading.label_files.get(prefix)) is not None:
            images = [name.rpartition("/")[2] for name in rows.names[before:]]
            labels = labels_in(root, file, images, train_classes)
            rows.labels[before:] = [labels.get(name) for name in images]
        if reading.shard_label is not None:
            labels = labels_of_shards(root, reading.shard_tables, reading.shard_label, rows.names[before:])
            rows.labels[before:] = labels
            rows.notes += [f"{counted(labels.count(None), 'image')} without label"] if None in labels else []
        rows.notes += _notes(tree, reading, prefix, folders)
    rows.notes += _notes_beside(tree, reading)
    return rows


def _columns(reading: TreeReading) -> list[str]:
    return [name for name, level in ((DOMAIN, reading.domains), (GROUP, reading.group)) if level]


def _has_classes(reading: TreeReading, folders: Sequence[ImagePlace]) -> bool:
    """Return True where folders of images name classes; images beside them are then none."""
    return reading.classes is not None and any(folder.parts for folder in folders)


def _add(rows: TreeRows, tree: Tree, reading: TreeReading, folders: Sequence[ImagePlace]) -> None:
    """Add the images of a split: folder by folder of the first level, sorted by the names below it."""
    labelled = _has_classes(reading, folders)
    together = defaultdict(list)
    for folder in folders:
        first = folder.path[len(folder.prefix) :].strip("/").partition("/")[0] if labelled else ""
        if not labelled or not _is_above(reading, folder):
            together[first].append(folder)
    for first in sorted(together):
        pairs = []
        for at, folder in enumerate(together[first]):
            pairs += [(join(folder.path, name), at) for name in tree[folder.path].images]
        if len(together[first]) > 1:
            pairs.sort()
        facts = [_facts(reading, folder, labelled) for folder in together[first]]
        rows.names += [name for name, _ in pairs]
        rows.labels += [facts[at][0] for _, at in pairs]
        rows.splits += [together[first][at].split for _, at in pairs]
        for number, values in enumerate(rows.columns.values(), 1):
            values += [facts[at][number] for _, at in pairs]


def _facts(reading: TreeReading, folder: ImagePlace, labelled: bool) -> list[str | None]:
    """Return the label of the images in a folder, and their entries of the further columns."""
    label = reading.label_of(folder.parts) if labelled else reading.classes_of_prefix.get(folder.prefix)
    values = {DOMAIN: reading.domain_of(folder.parts), GROUP: reading.group_of(folder.parts)}
    texts = [label, *(values[name] for name in _columns(reading))]
    return [None if text is None else readable(text) for text in texts]


def _is_above(reading: TreeReading, folder: ImagePlace) -> bool:
    """Return True where images lie above the folders of their classes, which makes these none."""
    if not folder.parts:
        return True
    return folder.parts[0] not in reading.without_label and reading.label_of(folder.parts) is None


def _notes(tree: Tree, reading: TreeReading, prefix: str, folders: Sequence[ImagePlace]) -> list[str]:
    where = f" in {readable(prefix)}/" if prefix else ""
    if not _has_classes(reading, folders):
        has_labels = prefix in reading.label_files or prefix in reading.classes_of_prefix
        has_labels = has_labels or reading.shard_label is not None
        has_labels = has_labels or any(folder.parts for folder in folders)  # of which a sentence tells
        return [] if has_labels else [f"no class folders{where}: images without labels"]
    first = {folder.path[len(prefix) :].strip("/").partition("/")[0] for folder in folders}
    without_images = [
        name for name in tree[prefix].folders if name not in first and name not in reading.masks
    ]
    empty = [readable(name) for name in without_images if join(prefix, name) not in reading.left_out]
    notes = (
        [f"{counted(len(empty), 'empty class folder')} ignored{where}: {first_of(empty)}"] if empty else []
    )
    outside = sum(folder.n_images for folder in folders if not folder.parts)
    above = sum(folder.n_images for folder in folders if folder.parts and _is_above(reading, folder))
    if outside:
        notes.append(f"{counted(outside, 'image')} ignored{where}, outside the class folders")
    if above:
        notes.append(f"{counted(above, 'image')} ignored{where}, above class level {reading.classes}")
    return notes


def _notes_beside(tree: Tree, reading: TreeReading) -> list[str]:
    """Return what lies beside the folders of the splits."""
    notes = []
    prefixes = [prefix for prefix in reading.splits if prefix]
    if reading.ignored:
        used = " and ".join(f"{readable(prefix)}/" for prefix in prefixes) or "the splits in each class"
        names = [f"{readable(path)}/" for path in reading.ignored]
        notes.append(f"ignored beside {used}: {first_of(names)}")
    above = {prefix.rpartition("/")[0] for prefix in prefixes}
    outside = sum(len(tree[path].images) for path in above if path in tree)
    if outside:
        notes.append(f"{counted(outside, 'image')} ignored, outside train/ and val/")
    return notes


# Images in folders: one folder per class, with or without train/ and val/ above, or one flat folder.
#
# How deeper trees are read is decided by `folder_reading` and said in one sentence.


ClassLevel = int | str | None


class FolderSource(source.ListedSource):
    """ImageFolder layout (CLASS/…/IMAGE), the same below train/ and val/ or test/, or a flat folder.

    Of images with a text beside them (NAME.txt) it is the caption, see `captions_beside`.

    Attributes:
        class_level: the level of folders that names the class (GROUP/CLASS/…/IMAGE: 2); "leaf": the path of
            the innermost folder; None: chosen.
        group_level: the level that becomes the column `group`.
        levels: after listing, a row for each level of folders: what it is read as, and some of its names.
        other_level: what `class_level` the next likely reading has; None where there is none.
    """

    kind = "folder"

    def __init__(
        self,
        root: str | Path,
        seed: int | None = 0,
        class_level: ClassLevel = None,
        group_level: int | None = None,
        reading: TreeReading | None = None,
    ):
        self.root, self.seed = located(str(root)), seed
        self.class_level, self.group_level, self.reading = class_level, group_level, reading
        self.levels: list[dict[str, Any]] = []
        self.other_level: ClassLevel = None

    @classmethod
    def first_way(cls, root: str | Path, seed: int | None = 0, class_level: int = 1) -> Self:
        """Open a folder as studies without a stored reading did."""
        opened = cls(root, seed, class_level)
        opened._is_old = True
        return opened

    _is_old = False

    @classmethod
    def reopen(cls, description: dict[str, Any]) -> Self:
        root, seed = description["root"], description["seed"]
        if "reading" in description:
            opened = cls(root, seed, reading=TreeReading.of_json(description["reading"]))
        else:
            opened = cls.first_way(root, seed, description.get("class_level", 1))
        return opened.grouped_by(description.get("group"))

    def describe(self) -> dict[str, Any]:
        about = {"kind": self.kind, "root": self.root, "seed": self.seed, **self.group_option}
        if self._is_old:
            return about | ({"class_level": self.class_level} if self.class_level != 1 else {})
        _ = self.reading is None and self.listing  # which chooses the reading
        assert self.reading is not None
        return about | {"reading": self.reading.as_json()}

    def read(self, row: int) -> Image.Image:
        return decode(self.place(row), self.pixel_reading)

    def place(self, row: int) -> str:
        return os.path.join(self.root, self.listing.places.get(row) or self.id_texts[row].as_py())

    def read_id(self, image_id: str) -> Image.Image:
        path = os.path.join(self.root, image_id)
        leaves = os.path.isabs(image_id) or ".." in image_id.split("/")  # possible in a foreign study
        is_there = is_url(path) or os.path.isfile(path)
        if self.is_listed or leaves or not is_there:
            return super().read_id(image_id)
        return decode(path, self.pixel_reading)

    def fingerprint(self) -> str:
        stamps = (source.file_stamp(self.place(row)) for row in range(len(self.table)))
        return source.digest_table(self.kind, self.table, stamps, self.extras)

    def with_photographs(self, listing: source.Listing) -> source.Listing:
        if self.seed is None or self._is_old:
            return listing
        return with_photographs(listing, self.asked_group, partial(self._listed_picture, listing))

    def _listed_picture(self, listing: source.Listing, row: int) -> Image.Image:
        name = listing.places.get(row) or listing.table["image_id"].iat[row]
        return decode(os.path.join(self.root, name), self.pixel_reading)

    def _list(self) -> source.Listing:
        passed_by = HIDDEN_FOLDERS if self._is_old else Walk.passed_by
        walk = walk_by_address(self.root, passed_by) if is_url(self.root) else Walk(passed_by=passed_by)
        tree = walk_folders(self.root, walk)
        reading, tree, notes = self._reading(tree)
        rows = _rows_of(self.root, tree, reading)
        if not rows.names:
            raise _no_images(self.root, walk)
        notes += rows.notes
        image_ids, odd, odd_notes = _as_text(rows.names)
        splits, labels = rows.splits, rows.labels
        given = len(set(splits)) > 1
        if given:
            if self._is_old:
                spelled = source.unseen_classes_note(splits, labels)
            else:
                labels, spelled = one_spelling(splits, labels)
            notes += spelled
        else:
            splits, drawn = source.draw_split(image_ids, labels, self.seed)
            notes += drawn
        root = readable(self.root)
        table = source.image_table(
            image_ids, [f"{root}/{image_id}" for image_id in image_ids], splits, labels
        )
        captions = captions_beside([os.path.join(self.root, name) for name in rows.names], walk)
        table_remarks = []
        if not self._is_old:
            table_remarks = table_notes(self.root, image_ids)
            if captions is None and (captions := captions_of_metadata(self.root, image_ids)):
                table_remarks = [say_of_folder_table("captions", n=len(captions) - captions.count(None))]
        columns = rows.columns | ({"caption": captions} if captions else {})
        extras = pd.DataFrame({name: pd.array(values, dtype="str") for name, values in columns.items()})
        notes += [*odd_notes, *walk.notes(), *table_remarks]
        ignored = [f"{path}/" for path in reading.ignored]
        group = GROUP if reading.group_asked else None  # else `groups.find_group` decides
        if reading.group is not None and group is None and self.asked_group is None and not given:
            notes.append(few_note(GROUP, len(set(rows.columns[GROUP]))))
        return source.Listing(
            table,
            notes,
            extras if columns else None,
            split_given=given,
            places=odd,
            unread=ignored,
            group=group,
        )

    def _reading(self, tree: Tree) -> tuple[TreeReading, Tree, list[str]]:
        """Return how the tree is read, the tree without masks, and what is said of it; keep a new reading."""
        if self._is_old:
            return first_reading(tree, int(self.class_level or 1)), tree, []
        if self.reading is not None:
            masks = Masks(tuple(self.reading.masks), self.reading.mask_files)
            return self.reading, set_apart(tree, masks)[0], []
        masks = find_masks(self.root, tree)
        images_only, mask_counts = set_apart(tree, masks)
        self._refuse_bands(images_only)
        labels = partial(label_file, self.root, images_only)
        asked = {"class_level": self.class_level, "group_level": self.group_level}
        choice = choose_reading(images_only, masks, labels, **asked)
        choice = self._with_shard_labels(choice, images_only)
        _check_levels(choice.profile, self.class_level, self.group_level)
        self.reading = choice.reading
        self.other_level = choice.other
        self.levels = levels_table(choice, images_only, mask_counts)
        tables = lists_naming(self.root, images_only, choice.reading.splits)
        beside = [table for table in tables if table not in choice.reading.label_files.values()]
        notes = sentences(choice, images_only, mask_counts, beside, root=readable(self.root))
        return choice.reading, images_only, notes

    def _refuse_bands(self, tree: Tree) -> None:
        """Raise ImageSourceError where files are bands of pictures, unless levels are asked for."""
        is_asked = (self.class_level, self.group_level) != (None, None)
        if not is_asked and (refusal := bands_in_files(self.root, tree)) is not None:
            raise ImageSourceError(str(refusal))

    def _with_shard_labels(self, choice: ReadingChoice, tree: Tree) -> ReadingChoice:
        """Take labels from the tables beside folders that only hold parts of one set."""
        if choice.why != "parts":
            return choice
        tables = shard_tables(self.root, tree, choice.reading.splits)
        column = next(filter(None, (label_column(self.root, table) for table in tables.values())), None)
        if column is None:
            return choice
        return replace(choice, reading=replace(choice.reading, shard_tables=tables, shard_label=column))


def _check_levels(levels: Profile, class_level: ClassLevel, group_level: int | None) -> None:
    """Raise ImageSourceError where no image lies as deep as a level that is asked for."""
    depth = len(levels.levels)
    for option, level in (("--class-level", class_level), ("--group-level", group_level)):
        if isinstance(level, int) and level > depth:
            raise ImageSourceError(
                f"{option} {level}: no image lies that deep; the images lie in {counted(depth, 'level')} of "
                "folders"
            )


def _as_text(names: list[str]) -> tuple[list[str], dict[int, str], list[str]]:
    """Return image ids, the raw names of rows whose name is not valid UTF-8, and a note about those."""
    odd = {row: name for row, name in enumerate(names) if not _is_text(name)}
    image_ids = [readable(name) if row in odd else name for row, name in enumerate(names)]
    if not odd:
        return image_ids, odd, []
    examples = first_of([image_ids[row] for row in odd], 3)
    note = rf"{counted(len(odd), 'file name')} not valid UTF-8, shown with \xNN: {examples}"
    return image_ids, odd, [note]


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in name)


def _no_images(root: str, walk: Walk) -> ImageSourceError:
    seen = "".join(f"; {note}" for note in walk.notes())
    form = None if is_url(root) else unread_form(root)
    if form is not None:
        return ImageSourceError(f"no images in '{readable(root)}': {form}")
    return ImageSourceError(
        f"no images in '{readable(root)}'{seen}. "
        "Expected CLASS/IMAGE, train/CLASS/IMAGE or IMAGE (.jpg, .png, .webp, .tif …)"
    )


def missing_folder(path: Path) -> ImageSourceError:
    """Return the error for a missing folder of images, with the closest existing name."""
    parent = path.parent
    if not parent.is_dir():
        above = next(folder for folder in path.parents if folder.is_dir())
        return ImageSourceError(f"no such folder: '{path}' ('{above}' exists). Check the path")
    try:
        near = did_you_mean(path.name, sorted(os.listdir(parent)))
    except OSError:
        near = ""
    return ImageSourceError(f"no such folder: '{path}'.{near or ' Check the path'}")
