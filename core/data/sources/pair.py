"""Train images from one source and evaluation images from another (`--images TRAIN --val VAL`)."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from core.common.formatting import counted
from core.data.sources.source import ImageSource, ListedSource, Listing
from core.data.sources.split_labels import one_spelling
from core.data.sources.table_cells import text_column
from core.errors import UnreadableImage

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
