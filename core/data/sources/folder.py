"""Images in folders: one folder per class, with or without train/ and val/ above, or one flat folder."""

import os
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from PIL import Image

from core.common.formatting import counted
from core.common.remote.addresses import is_url, located
from core.data.sources import source
from core.data.sources.copies import with_photographs
from core.data.sources.decode import decode
from core.data.sources.folder_walk import (
    Folder,
    Walk,
    captions_beside,
    images_below,
    leads_above,
    look_into,
    readable,
    walk_by_address,
)
from core.data.sources.split_labels import one_spelling
from core.errors import ImageSourceError, did_you_mean


class ImageFile(NamedTuple):
    """One image file: its name below the root (as in the file system), class and split."""

    name: str
    label: str | None
    split: str


class FolderSource(source.ListedSource):
    """ImageFolder layout (CLASS/…/IMAGE), the same below train/ and val/ or test/, or a flat folder.

    Of images with a text beside them (NAME.txt) it is the caption, see `captions_beside`.
    With `class_level` 2 the class is the name of the second folder (GROUP/CLASS/…/IMAGE), and so on.
    """

    kind = "folder"

    def __init__(self, root: str | Path, seed: int | None = 0, class_level: int = 1):
        self.root, self.seed, self.class_level = located(str(root)), seed, class_level

    def describe(self) -> dict[str, Any]:
        level = {"class_level": self.class_level} if self.class_level != 1 else {}
        return {"kind": self.kind, "root": self.root, "seed": self.seed, **level, **self.group_option}

    def read(self, row: int) -> Image.Image:
        return decode(self.place(row))

    def place(self, row: int) -> str:
        return os.path.join(self.root, self.listing.places.get(row) or self.id_texts[row].as_py())

    def read_id(self, image_id: str) -> Image.Image:
        path = os.path.join(self.root, image_id)
        leaves = os.path.isabs(image_id) or ".." in image_id.split("/")  # possible in a foreign study
        is_there = is_url(path) or os.path.isfile(path)
        if self.is_listed or leaves or not is_there:
            return super().read_id(image_id)
        return decode(path)

    def fingerprint(self) -> str:
        stamps = (source.file_stamp(self.place(row)) for row in range(len(self.table)))
        return source.digest_table(self.kind, self.table, stamps, self.extras)

    def with_photographs(self, listing: source.Listing) -> source.Listing:
        if self.seed is None:
            return listing
        return with_photographs(listing, self.asked_group, partial(self._listed_picture, listing))

    def _listed_picture(self, listing: source.Listing, row: int) -> Image.Image:
        name = listing.places.get(row) or listing.table["image_id"].iat[row]
        return decode(os.path.join(self.root, name))

    def _list(self) -> source.Listing:
        walk = walk_by_address(self.root) if is_url(self.root) else Walk()
        images, notes, unread = _find(self.root, walk)
        if not images:
            raise _no_images(self.root, walk)
        images, level_notes = at_class_level(images, self.class_level)
        notes += level_notes
        image_ids, odd, odd_notes = _as_text([image.name for image in images])
        labels = [None if image.label is None else readable(image.label) for image in images]
        splits = [image.split for image in images]
        given = len(set(splits)) > 1
        if given:
            labels, spelled = one_spelling(splits, labels)
            notes += spelled
        else:
            splits, drawn = source.draw_split(image_ids, labels, self.seed)
            notes += drawn
        root = readable(self.root)
        table = source.image_table(
            image_ids, [f"{root}/{image_id}" for image_id in image_ids], splits, labels
        )
        captions = captions_beside([os.path.join(self.root, image.name) for image in images], walk)
        extras = pd.DataFrame({"caption": captions}) if captions else None
        notes += [*odd_notes, *walk.notes()]
        return source.Listing(table, notes, extras, split_given=given, places=odd, unread=unread)


def _find(root: str, walk: Walk) -> tuple[list[ImageFile], list[str], list[str]]:
    top = look_into(root, walk)
    split_of = _split_folders(root, top, walk)
    if not split_of:
        return *_find_classes(root, "", "all", top, walk), []
    image_files, notes = [], []
    ignored = [f"{name}/" for name in top.folders if name not in split_of]
    for name, split in split_of.items():
        if split == "val" and any(image.split == "val" for image in image_files):
            ignored.append(f"{name}/")
            continue
        inside = look_into(os.path.join(root, name), walk)
        images, more = _find_classes(root, f"{name}/", split, inside, walk)
        image_files += images
        notes += more if images else [f"{name}/ holds no images"]
    if ignored:
        used = dict.fromkeys(image.name.split("/")[0] + "/" for image in image_files)
        notes.append(f"ignored beside {' and '.join(used)}: {source.some(ignored)}")
    if "train" not in map(source.split_named, split_of) and len({one.split for one in image_files}) > 1:
        notes.append(source.VAL_AS_TRAIN)
    if top.images:
        notes.append(f"{counted(len(top.images), 'image')} ignored, outside train/ and val/")
    return image_files, notes, ignored


def at_class_level(images: list[ImageFile], level: int) -> tuple[list[ImageFile], list[str]]:
    """Take the classes from another level of folders; warn where the first level holds one class only.

    Raises:
        ImageSourceError: no image lies that deep.
    """
    below = [_folders(image) for image in images]
    depth = max((len(folders) for folders in below), default=0)
    if level == 1:
        names = [sorted({folders[at] for folders in below if len(folders) > at}) for at in range(depth)]
        better = next((at for at in range(1, depth) if len(names[at]) > 1), None)
        if better is None or len(names[0]) > 1:
            return images, []
        levels = "; ".join(
            f"level {at + 1}: {source.some([readable(n) for n in names[at]])}" for at in range(depth)
        )
        return images, [
            f"1 class only, '{readable(names[0][0])}', since the first level of folders names it ({levels}). "
            f"If the classes are on level {better + 1}, give --class-level {better + 1}"
        ]
    deep_enough = [
        image._replace(label=folders[level - 1])
        for image, folders in zip(images, below, strict=True)
        if len(folders) >= level
    ]
    if not deep_enough:
        raise ImageSourceError(
            f"--class-level {level}: no image lies that deep; the images lie in {counted(depth, 'level')} of "
            "folders"
        )
    left = len(images) - len(deep_enough)
    return deep_enough, [f"{counted(left, 'image')} ignored, above class level {level}"] if left else []


def _folders(image: ImageFile) -> list[str]:
    """Return the names of the folders that an image lies in, from the level of its class folder down."""
    return image.name.split("/")[int(image.split != "all") : -1]


def _split_folders(root: str, top: Folder, walk: Walk) -> dict[str, str]:
    """Map folder names to "train" or "val", preferred evaluation folder first; empty if they are classes."""
    order = list(source.SPLIT_NAMES)
    named = [name for name in top.folders if source.split_named(name)]
    named.sort(key=lambda name: order.index(name.lower()))
    kinds = list(map(source.split_named, named))
    splits = {name: "train" if kind == "train" else "val" for name, kind in zip(named, kinds, strict=True)}
    if "train" in splits.values() and "val" in splits.values():
        return splits
    alone = len(splits) == len(top.folders)
    inside = (look_into(os.path.join(root, name), Walk(tree=walk.tree)).folders for name in named)
    if not (alone and any(inside)):
        return {}
    fitted_on = "val" if set(kinds) == {"val", "test"} else "train"
    return {name: "train" if kind == fitted_on else "val" for name, kind in zip(named, kinds, strict=True)}


def _find_classes(
    root: str, prefix: str, split: str, inside: Folder, walk: Walk
) -> tuple[list[ImageFile], list[str]]:
    """List the images of one folder: those of its class folders, or else its own, without labels."""
    labelled, empty = [], []
    for label in inside.folders:
        folder = os.path.join(root, prefix, label)
        if leads_above(folder, root):
            walk.links.append(prefix + label)
            continue
        names = images_below(folder, walk, root=root, prefix=f"{prefix}{label}/")
        labelled += [ImageFile(name, label, split) for name in names]
        if not names:
            empty.append(readable(label))
    where = f" in {prefix}" if prefix else ""
    notes = (
        [f"{counted(len(empty), 'empty class folder')} ignored{where}: {source.some(empty)}"] if empty else []
    )
    if not labelled:
        images = [ImageFile(prefix + name, None, split) for name in inside.images]
        return images, notes + ([f"no class folders{where}: images without labels"] if images else [])
    if inside.images:
        notes.append(f"{counted(len(inside.images), 'image')} ignored{where}, outside the class folders")
    return labelled, notes


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
