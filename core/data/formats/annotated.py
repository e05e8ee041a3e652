"""Images that an annotation file of another tool lists: COCO, FiftyOne, Label Studio, .txt lists."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from core.common.formatting import counted
from core.common.inside import parse_json
from core.common.remote.objects import read_small
from core.data.formats import coco, fiftyone, label_studio
from core.data.formats.rows import NotThisForm, Rows, image_root, storable
from core.data.formats.text_list import read_text_list
from core.data.sources.columns import ColumnChoice, find_columns
from core.data.sources.source import Listing, some
from core.data.sources.tables import READING, TableSource, is_below
from core.errors import ImageSourceError, did_you_mean, first_line

MOST_BYTES = 1_000_000_000  # of a JSON file, looked at before reading; COCO's largest has 470 MB
UNUSED = (
    "segmentation",
    "mask",
    "keypoints",
    "points",
)  # large, and nothing of a label: dropped while reading
SUFFIXES = (".json", ".txt")


class Form(NamedTuple):
    """A kind of JSON file: what it is called, what an object of it holds (none: it is a list of objects), and
    what reads it."""

    name: str
    keys: tuple[str, ...]
    read: Callable[[Any, str, str | None], Rows]

    def fits(self, tree: Any) -> bool:
        """Return True for the content of such a file."""
        if self.keys:
            return isinstance(tree, dict) and all(key in tree for key in self.keys)
        return isinstance(tree, list) and all(isinstance(one, dict) for one in tree)


COCO = Form("COCO", ("images", "annotations"), coco.read_coco)
FORMS = (
    COCO,
    Form("FiftyOne's samples.json", ("samples",), fiftyone.read_samples),
    Form("FiftyOne's labels.json", ("labels", "classes"), fiftyone.read_labels),
    Form("Label Studio", (), label_studio.read_label_studio),
)


class AnnotatedSource(TableSource):
    """A table whose rows come out of an annotation file. Every image must lie in the folder of the images."""

    kind = "annotated"

    def __init__(
        self,
        path: str | Path,
        seed: int | None = 0,
        root: str | Path | None = None,
        label: str | None = None,
        *,
        columns: Mapping[str, Any] | None = None,
        sep: str | None = None,
        header: bool | None = None,
        reading: int = READING,
    ):
        """Args: label: the field of the labels, as `columns["label"]`; the rest as for a table."""
        super().__init__(path, seed, root, columns=columns, sep=sep, header=header, reading=reading)
        self.label = label or self.columns.get("label")

    def describe(self) -> dict[str, Any]:
        _ = self.listing  # which finds the folder of the images
        return {**super().describe(), "label": self.label}

    def _list(self) -> Listing:
        rows = self._rows()
        if not rows.paths:
            raise ImageSourceError(f"'{self.path}' lists no images. Expected one entry an image")
        if self.root is None:
            self.root = image_root(rows, os.path.dirname(self.path))
        self._check_root()
        columns = {"path": [storable(path) for path in rows.paths], "label": rows.labels}
        frame = pd.DataFrame({name: pd.array(values, dtype="str") for name, values in columns.items()})
        if rows.splits is not None:
            frame["split"] = rows.splits
        for name, values in rows.further.items():
            frame[storable(name if name not in frame else f"{name}_")] = [storable(value) for value in values]
        frame, notes = _once(frame)
        listing = self._listing_of(
            frame, ColumnChoice(find_columns(["path", "label", *["split"] * (rows.splits is not None)]))
        )
        outside = [path for path in rows.paths if not is_below(self.root, path)]
        if outside:
            count = counted(len(outside), "image")
            notes.append(f"{count} outside '{self.root}', the folder of the images: {some(outside, 3)}")
        unlabelled = list(listing.table["label"].isna()).count(True)
        notes += [f"{counted(unlabelled, 'image')} without label"] if unlabelled else []
        listing.notes = [*rows.notes, *notes, *listing.notes]
        return listing

    def _rows(self) -> Rows:
        if self.path.lower().endswith(".txt"):
            return read_text_list(self.path, self.root)
        tree = _read_json(self.path)
        for form in FORMS:
            if form.fits(tree):
                try:
                    return form.read(tree, self.path, self.label)
                except NotThisForm as error:
                    raise ImageSourceError(
                        f"'{self.path}' looks like {form.name}, but {error}. Export it again"
                    ) from None
        raise ImageSourceError(
            f"'{self.path}' is none of the known JSON files ({', '.join(form.name for form in FORMS)}). "
            "Make a .csv of paths and labels of it"
        )


def _without_shapes(item: dict[str, Any]) -> dict[str, Any]:
    for name in UNUSED:
        item.pop(name, None)
    return item


def _once(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Keep the first of the rows of each image; a note says how many were left out."""
    again = frame["path"].duplicated()
    if not again.any():
        return frame, []
    left = counted(int(again.sum()), "further entry", "further entries")
    return frame.loc[~again].reset_index(drop=True), [f"{left} of the same images left out"]


def _read_json(path: str) -> Any:
    try:
        return parse_json(read_small(path, MOST_BYTES), _without_shapes)
    except FileNotFoundError:
        folder = Path(path).parent
        near = did_you_mean(Path(path).name, sorted(os.listdir(folder)) if folder.is_dir() else [])
        raise ImageSourceError(f"no such file: '{path}'.{near or ' Check the path'}") from None
    except (OSError, ValueError) as error:
        reason = first_line(error)[:120]
        raise ImageSourceError(f"cannot read '{path}': {reason}. Export it again, or make a .csv") from None


def exported_file(folder: Path) -> Path | None:
    """Return the file that lists the images of a folder that FiftyOne exported; None for other folders."""
    if (folder / "samples.json").is_file():
        return folder / "samples.json"
    labels = folder / "labels.json"
    return labels if labels.is_file() and (folder / "data").is_dir() else None
