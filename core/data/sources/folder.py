"""Images in folders: one folder per class, with or without train/ and val/ above, or one flat folder.

How deeper trees are read is decided by `folder_reading` and said in one sentence.
"""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import pandas as pd
from PIL import Image

from core.common.formatting import counted
from core.common.remote.addresses import is_url, located
from core.data.sources import source
from core.data.sources.copies import with_photographs
from core.data.sources.decode import decode
from core.data.sources.folder_bands import bands_in_files
from core.data.sources.folder_masks import Masks, find_masks, set_apart
from core.data.sources.folder_profile import Profile
from core.data.sources.folder_reading import ReadingChoice, Tree, TreeReading, choose_reading, first_reading
from core.data.sources.folder_rows import GROUP, rows_of
from core.data.sources.folder_sentence import levels_table, sentences
from core.data.sources.folder_table import say_of_folder_table, table_notes
from core.data.sources.folder_tables import label_file, lists_naming
from core.data.sources.folder_walk import (
    HIDDEN_FOLDERS,
    Walk,
    captions_beside,
    readable,
    walk_by_address,
    walk_folders,
)
from core.data.sources.groups import few_note
from core.data.sources.metadata_tables import captions_of_metadata
from core.data.sources.shard_tables import label_column, shard_tables
from core.data.sources.split_labels import one_spelling
from core.data.sources.unread_forms import unread_form
from core.errors import ImageSourceError, did_you_mean

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
        rows = rows_of(self.root, tree, reading)
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
    examples = source.some([image_ids[row] for row in odd], 3)
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
    """Return the error for a missing folder, with the closest existing name."""
    parent = path.parent
    if not parent.is_dir():
        above = next(folder for folder in path.parents if folder.is_dir())
        return ImageSourceError(f"no such folder: '{path}' ('{above}' exists). Check the path")
    try:
        near = did_you_mean(path.name, sorted(os.listdir(parent)))
    except OSError:
        near = ""
    return ImageSourceError(f"no such folder: '{path}'.{near or ' Check the path'}")
