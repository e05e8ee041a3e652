"""Masks of any data set: MASKS/core/… and MASKS/spurious/…, or all core, with the names of the images."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from core.common.addresses import is_url, located
from core.common.dataframes import evenly
from core.common.formatting import counted, first_of
from core.common.records import Record
from core.data.folder import missing_folder
from core.data.folder_walk import Folder, Walk, images_below, look_into, readable, walk_by_address
from core.data.mask_match import is_named_mask, match_files, one_of_cityscapes, without_extension
from core.data.mask_source import EXAMPLES, KINDS, MaskListing, MaskSource, coverage, no_mask, read_mask
from core.data.mask_values import (
    AS_BRIGHT,
    Levels,
    MaskReading,
    check_polarity,
    decided,
    say_of_masks,
    stored_values,
)
from core.data.source import ImageSource, file_stamp
from core.errors import ImageSourceError, MaskError, UnreadableImage

_EXPECTED = "Expected MASKS/core/… and MASKS/spurious/… named like the images"
LOOKED_AT = 48  # masks of a kind whose values are counted, to decide which are the mask


class FolderMasks(MaskSource):
    """Mask files that mirror the image paths; their extension, and a split folder, may differ."""

    kind = "folder"

    def __init__(self, root: str | Path, source: ImageSource, reading: MaskReading | None = None):
        """Args: reading: which values are the mask; None: decided by a look at some of the files."""
        self.root, self.source = located(os.path.expanduser(root)), source
        self._reading = reading

    @classmethod
    def reopened(cls, description: dict[str, Any], source: ImageSource) -> "FolderMasks":
        """Open the masks of a description; those of an earlier version are as bright as they are."""
        reading = description.get("reading")
        return cls(description["root"], source, MaskReading.from_dict(reading) if reading else AS_BRIGHT)

    def describe(self) -> dict[str, Any]:
        described = {"kind": self.kind, "root": self.root}
        reading = self.reading
        return described if reading.is_soft else {**described, "reading": reading.to_dict()}

    @property
    def reading(self) -> MaskReading:
        """Which values of a file are the mask."""
        if self._reading is None:
            _ = self.listing  # which decides
        return self._reading or AS_BRIGHT

    def read(self, image_id: str, mask: str) -> np.ndarray:
        names = self._find(image_id, mask)
        if not names:
            raise no_mask(mask)
        return self._read(names, self.reading)

    def _read(self, names: Sequence[str], reading: MaskReading) -> np.ndarray:
        """Read the files of one mask, all of them together."""
        masks = [read_mask(os.path.join(self.root, name), reading) for name in names]
        if len({mask.shape for mask in masks}) > 1:
            raise UnreadableImage(f"its {len(masks)} files are of different sizes")
        return np.maximum.reduce(masks)

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.kind.encode())
        if not self.reading.is_soft:
            digest.update(repr(self.reading).encode())
        for image_id, mask in self.table.itertuples(index=False):
            names = self.listing.places[mask][image_id]
            stamp = " ".join(file_stamp(os.path.join(self.root, name)) for name in names)
            digest.update(f"{image_id}\0{mask}\0{stamp}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def _find(self, image_id: str, mask: str) -> tuple[str, ...]:
        """Return the mask's names below the root; before listing, the image's own name is tried first."""
        if not self.is_listed and (name := self._same_name(image_id, mask)):
            return (name,)
        return self.listing.places[mask].get(image_id, ())

    def _same_name(self, image_id: str, mask: str) -> str | None:
        folder, _, end = image_id.rpartition("/")
        if ".." in folder.split("/") or os.path.isabs(folder) or is_url(self.root):
            return None
        try:
            names = os.listdir(os.path.join(self.root, mask, folder))
        except OSError:
            return None
        if end not in names:
            stem = without_extension(end)
            like = [name for name in names if name != stem and without_extension(name) == stem]
            if len(like) != 1:
                return None
            end = like[0]
        return "/".join(part for part in (mask, folder, end) if part)

    def _list(self) -> MaskListing:
        walk = self._walk()
        folders = _mask_folders(self.root, walk)
        table, places = self.source.table, {}
        ids, paths, groups = list(table["image_id"]), list(table["path"]), self._groups()
        unmatched, ambiguous, n_masks = [], [], 0
        for kind in KINDS:
            names = self._names(folders.get(kind), walk)
            below = [readable(name)[len(folders.get(kind, "")) :].lstrip("/") for name in names]
            matches = match_files(ids, below, paths, groups)
            places[kind] = {}
            for row, of_row in matches.of_image.items():
                places[kind][ids[row]] = tuple(names[mask] for mask in of_row)
            unmatched += [readable(names[mask]) for mask in sorted(matches.left)]
            ambiguous += [readable(names[mask]) for mask in sorted(matches.ambiguous)]
            n_masks += len(names)
        is_plain = folders.get("core") == ""
        if is_plain and not places["core"]:
            top = look_into(self.root, Walk(tree=walk.tree))
            raise self._none_like_images(top, unmatched, ambiguous, walk)
        if not n_masks:
            raise self._no_masks(walk)
        if not any(places.values()):
            raise self._nothing_matches(n_masks, unmatched[0], ambiguous, ids)
        report = {"kind": self.kind, "n_masks": n_masks} | coverage(len(ids), places)
        report |= {"n_unmatched_masks": len(unmatched), "unmatched_masks": unmatched[:EXAMPLES]}
        if is_plain:
            report["notes"].append(say_of_masks("all_core", n=len(places["core"]), of=n_masks))
        report["notes"] += _notes({} if is_plain else folders, unmatched, ambiguous) + walk.notes()
        report["notes"] += self._look_at_values(places)
        return MaskListing(places, report)

    def _groups(self) -> list[object] | None:
        """Return which images are of one photograph, patient or sequence; None where nothing says so."""
        extras, group = self.source.extras, self.source.group
        if extras is None or group is None or group not in extras:
            return None
        column = extras[group]
        return [value if is_given else None for value, is_given in zip(column, column.notna(), strict=True)]

    def _look_at_values(self, places: dict[str, dict[str, tuple[str, ...]]]) -> list[Record]:
        """Decide which values are the mask, by some of the files, where that was not said."""
        if self._reading is not None:
            return []
        levels, looked_at = Levels(), {}
        for kind, of_kind in places.items():
            names = list(of_kind.values())
            looked_at[kind] = [names[at] for at in evenly(len(names), LOOKED_AT)]
            for name in [name for files in looked_at[kind] for name in files]:
                with suppress(UnreadableImage):
                    levels.add(stored_values(os.path.join(self.root, name)))
        reading, notes = decided(levels, self.root)
        for kind, names in looked_at.items():
            check_polarity(self._read_some(names, reading), kind, self.root)
        self._reading = reading
        return notes

    def _read_some(self, names: list[tuple[str, ...]], reading: MaskReading) -> Iterator[np.ndarray]:
        for files in names:
            with suppress(UnreadableImage):
                yield self._read(files, reading)

    def _walk(self) -> Walk:
        try:
            return walk_by_address(self.root) if is_url(self.root) else Walk()
        except ImageSourceError as error:
            raise MaskError(str(error)) from None

    def _names(self, folder: str | None, walk: Walk) -> list[str]:
        if folder is None:
            return []
        if folder:
            return images_below(os.path.join(self.root, folder), walk, root=self.root, prefix=f"{folder}/")
        names = images_below(self.root, walk, root=self.root)
        names = list(one_of_cityscapes(names))
        return [name for name in names if is_named_mask(readable(name))] or names

    def _no_masks(self, walk: Walk) -> MaskError:
        seen = "".join(f"; {note}" for note in walk.notes())
        return MaskError(
            f"no mask images in '{readable(self.root)}'{seen}. "
            "Expected core/… and spurious/… with files named like the images"
        )

    def _none_like_images(
        self, top: Folder, unmatched: list[str], ambiguous: list[str], walk: Walk
    ) -> MaskError:
        """Return the error for a folder without core/ and spurious/ whose files are called as no image is."""
        if not unmatched:
            seen = "".join(f"; {note}" for note in walk.notes())
            return MaskError(f"no mask images in '{readable(self.root)}'{seen}. {_EXPECTED}")
        ids = list(self.source.table["image_id"])
        several = f" ({counted(len(ambiguous), 'name')} would match several)" if ambiguous else ""
        looked_for = f"'{without_extension(ids[0])}.png'" if ids else "none"
        n_masks, n_images = counted(len(unmatched), "mask"), counted(len(ids), "image")
        folder = f"'{readable(self.root)}' (it contains: {_contents(top)})"
        return MaskError(
            f"neither core/ nor spurious/ in {folder}, and none of its {n_masks} is named like one of the "
            f"{n_images}{several}: looked for names such as {looked_for}, found names such as "
            f"'{unmatched[0]}'. Name masks like the images"
        )

    def _nothing_matches(self, n_masks: int, example: str, ambiguous: list[str], ids: list[str]) -> MaskError:
        expected_name = f"{example.partition('/')[0]}/{without_extension(ids[0])}.png" if ids else "core/…"
        several = f" ({counted(len(ambiguous), 'name')} would match several)" if ambiguous else ""
        masks, images = counted(n_masks, "mask"), counted(len(ids), "image")
        return MaskError(
            f"none of the {masks} in '{readable(self.root)}' matches one of the {images}{several}: looked "
            f"for names such as '{expected_name}', found names such as '{example}'. Name masks like the "
            "images, below core/ and spurious/"
        )


def _mask_folders(root: str, walk: Walk) -> dict[str, str]:
    """Map each kind to the name of its folder; core to "" where there is none of them: all may be core."""
    if not (is_url(root) or os.path.isdir(root)):
        raise _no_such_folder(root)
    try:
        top = look_into(root, Walk(tree=walk.tree))
    except ImageSourceError as error:
        raise MaskError(str(error)) from None
    folders = {kind: name for name in top.folders for kind in KINDS if name.lower() == kind}
    is_other = (
        os.path.isfile(os.path.join(root, "wordnet_dict.py")) or os.path.basename(root).lower() in KINDS
    )
    if not folders and (is_other or not (top.folders or top.images)):
        raise _unknown_layout(root, top)
    return folders or {"core": ""}


def _no_such_folder(root: str) -> MaskError:
    if os.path.exists(root):
        return MaskError(f"'{root}' is a file. Give the folder that holds core/ and spurious/")
    return MaskError(str(missing_folder(Path(root))))


def _unknown_layout(root: str, top: Folder) -> MaskError:
    if os.path.isfile(os.path.join(root, "wordnet_dict.py")):
        return MaskError(
            f"'{readable(root)}' has the layout of Salient ImageNet. Use --salient-imagenet for it"
        )
    if os.path.basename(root).lower() in KINDS:
        return MaskError(f"'{readable(root)}' holds one kind of mask. Give its parent folder")
    return MaskError(
        f"neither core/ nor spurious/ in '{readable(root)}' (it contains: {_contents(top)}). {_EXPECTED}"
    )


def _contents(top: Folder) -> str:
    there = [f"{readable(name)}/" for name in top.folders] + [readable(name) for name in top.images]
    return first_of(there) or "nothing"


def _notes(folders: dict[str, str], unmatched: list[str], ambiguous: list[str]) -> list[str]:
    notes = [f"no {kind}/ folder: no {kind} masks" for kind in KINDS if folders and kind not in folders]
    if ambiguous:
        several = counted(len(ambiguous), "mask")
        notes.append(
            f"{several} not used, ambiguous between several masks or images: {first_of(ambiguous, 3)}"
        )
    if left := [name for name in unmatched if name not in set(ambiguous)]:
        notes.append(f"{counted(len(left), 'mask')} without an image: {first_of(left, 3)}")
    return notes
