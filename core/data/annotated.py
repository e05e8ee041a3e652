"""Images that an annotation file of another tool lists: COCO, FiftyOne, Label Studio, .txt lists."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import pandas as pd

from core.common.addresses import is_url
from core.common.formatting import counted, first_of
from core.common.inside import parse_json
from core.common.remote_objects import read_small
from core.data import coco, fiftyone, label_studio, regions
from core.data.annotation_rows import TRIED, NotThisForm, Rows, image_root, storable
from core.data.columns import ColumnChoice, find_columns, say_of_columns
from core.data.contradictions import find_contradiction
from core.data.json_tables import frame_of_json
from core.data.label_studio import UPLOAD
from core.data.listed_files import ListedFiles
from core.data.source import OLD_READING, READING, Listing
from core.data.table_text import ends_with_image, has_header
from core.data.tables import TableSource, is_below
from core.data.text_list import read_joined_lists, read_text_list
from core.data.unread_forms import unread_form
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
    is_one: Callable[[Any], bool] | None = None  # where keys do not tell

    def fits(self, tree: Any) -> bool:
        """Return True for the content of such a file."""
        if self.is_one is not None:
            return self.is_one(tree)
        if self.keys:
            return isinstance(tree, dict) and all(key in tree for key in self.keys)
        return isinstance(tree, list) and all(isinstance(one, dict) for one in tree)


COCO = Form("COCO", ("images", "annotations"), coco.read_coco)
FORMS = (
    COCO,
    Form("Datumaro", ("items", "categories"), regions.read_datumaro),
    Form("LabelMe", ("shapes", "imagePath"), regions.read_labelme),
    Form("Supervisely", ("classes", "tags"), regions.read_supervisely),
    Form("FiftyOne's samples.json", ("samples",), fiftyone.read_samples),
    Form("FiftyOne's labels.json", ("labels", "classes"), fiftyone.read_labels),
    Form("VIA", (), regions.read_via, regions.is_via),
    Form("Visual Genome", (), regions.read_visual_genome, regions.is_visual_genome),
    Form("CreateML", (), regions.read_createml, regions.is_createml),
    Form("Label Studio", (), label_studio.read_label_studio),
)


class AnnotatedSource(TableSource):
    """A table whose rows come out of an annotation file. Every image must lie in the folder of the images."""

    kind = "annotated"
    may_name_numbers = False

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
        is_old = self.reading == OLD_READING
        if not is_old and self.path.lower().endswith(".txt") and self._is_table():
            return super()._list()
        rows = self._rows()
        if isinstance(rows, pd.DataFrame):
            self._check_root()
            return self._decided(rows, ListedFiles(self._folder, self._resolve), [])
        if not rows.paths:
            raise ImageSourceError(f"'{self.path}' lists no images. Expected one entry an image")
        if self.root is None:
            self.root = image_root(rows, os.path.dirname(self.path))
        self._check_root()
        if not is_old:
            self._find_below(rows)
        columns = {"path": [storable(path) for path in rows.paths], "label": rows.labels}
        frame = pd.DataFrame({name: pd.array(values, dtype="str") for name, values in columns.items()})
        if rows.splits is not None:
            frame["split"] = rows.splits
        for name, values in rows.further.items():
            frame[storable(name if name not in frame else f"{name}_")] = [storable(value) for value in values]
        frame, notes = _once(frame, self.path)
        listing = self._listing_of(
            frame, ColumnChoice(find_columns(["path", "label", *["split"] * (rows.splits is not None)]))
        )
        outside = [path for path in rows.paths if not is_below(self.root, path)]
        if outside:
            count = counted(len(outside), "image")
            notes.append(f"{count} outside '{self.root}', the folder of the images: {first_of(outside, 3)}")
        unlabelled = list(listing.table["label"].isna()).count(True)
        notes += [f"{counted(unlabelled, 'image')} without label"] if unlabelled else []
        listing.notes = [*rows.notes, *notes, *listing.notes]
        return listing

    def _is_table(self) -> bool:
        """Whether a .txt is a table: the user names columns, or a header names them."""
        is_asked = (
            bool({"path", "label", "split"} & self.columns.keys()) or self.sep or self.header is not None
        )
        if is_asked or is_url(self.path):
            return bool(is_asked)
        return has_header(self.path) or ends_with_image(self.path)

    def _find_below(self, rows: Rows) -> None:
        """Take images that are not where the file says from below the folder, by the last parts of paths."""
        files = ListedFiles(self._folder, self._resolve)
        if all(map(files.is_there, rows.paths[:TRIED])):
            return
        images = files.below(rows.paths)
        names = [path.rpartition("/")[2] for path in rows.paths]
        if not any(images) and all(
            map(UPLOAD.match, names)
        ):  # Label Studio's, of files with or without prefix
            images = files.below(names)
            images = images if any(images) else files.below([UPLOAD.sub("", name) for name in names])
        if not any(images):
            return
        n_found = sum(path is not None for path in images)
        rows.paths = [below or path for below, path in zip(images, rows.paths, strict=True)]
        rows.notes.append(say_of_columns("found_below", n=n_found, of=len(images), what=self._folder))

    def _rows(self) -> Rows | pd.DataFrame:
        is_old = self.reading == OLD_READING
        if not is_old and (joined := read_joined_lists(self.path)) is not None:
            return joined
        if self.path.lower().endswith(".txt"):
            return read_text_list(self.path, self.root, old=is_old)
        tree = _read_json(self.path)
        if is_old and COCO.fits(tree):
            return coco.read_coco(tree, self.path, self.label, old=True)
        if not is_old and (frame := _as_table(tree)) is not None:
            return frame
        for form in FORMS:
            if form.fits(tree):
                try:
                    return form.read(tree, self.path, self.label)
                except NotThisForm as error:
                    raise ImageSourceError(
                        f"'{self.path}' looks like {form.name}, but {error}. Export it again"
                    ) from None
        if not is_url(self.path) and (other := unread_form(self.path)) is not None:
            raise ImageSourceError(str(other))
        raise ImageSourceError(
            f"'{self.path}' is none of the known JSON files ({', '.join(form.name for form in FORMS)}). "
            "Make a .csv of paths and labels of it"
        )


def _as_table(tree: Any) -> pd.DataFrame | None:
    """Return the rows of a file that is a table; None for one of a known form."""
    is_form = any(form.fits(tree) for form in FORMS if form.keys)
    is_form = is_form or regions.is_via(tree) or regions.is_visual_genome(tree)
    is_form = is_form or label_studio.is_label_studio(tree)
    return None if is_form else frame_of_json(tree)


def _without_shapes(item: dict[str, Any]) -> dict[str, Any]:
    for name in UNUSED:
        if (
            name != "points" or not {"shape_type", "label_id"} & item.keys()
        ):  # LabelMe, Datumaro: nothing else
            item.pop(name, None)
    return item


def _once(frame: pd.DataFrame, file: str) -> tuple[pd.DataFrame, list[str]]:
    """Keep the first of the rows of each image; a note says how many were left out, and of another label.

    Raises:
        ImageSourceError: an image is in two splits.
    """
    paths, labels = cast(pd.Series, frame["path"]), cast(pd.Series, frame["label"])
    again = paths.duplicated()
    if not again.any():
        return frame, []
    if "split" in frame and (both := find_contradiction(paths, cast(pd.Series, frame["split"]))):
        raise ImageSourceError(f"two splits of one image in '{file}': {both}. Keep one")
    left = counted(int(again.sum()), "further entry", "further entries")
    notes = [f"{left} of the same images left out"]
    if both := find_contradiction(paths, labels):
        notes.append(f"two labels of one image: {both}; the first counts")
    return frame.loc[~again].reset_index(drop=True), notes


def _read_json(path: str) -> Any:
    try:
        text = read_small(path, MOST_BYTES)
        try:
            return parse_json(text, _without_shapes)
        except ValueError:
            if (lines := _objects_of_lines(text)) is None:
                raise
            return lines
    except FileNotFoundError:
        folder = Path(path).parent
        near = did_you_mean(Path(path).name, sorted(os.listdir(folder)) if folder.is_dir() else [])
        raise ImageSourceError(f"no such file: '{path}'.{near or ' Check the path'}") from None
    except (OSError, ValueError) as error:
        reason = first_line(error)[:120]
        raise ImageSourceError(f"cannot read '{path}': {reason}. Export it again, or make a .csv") from None


def _objects_of_lines(text: bytes) -> list[Any] | None:
    """Return the objects of lines of JSON, as pandas and `datasets` write them; None where a line is none."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or not all(line.lstrip().startswith(b"{") for line in lines):
        return None
    try:
        return [parse_json(line, _without_shapes) for line in lines]
    except ValueError:
        return None


def exported_file(folder: Path) -> Path | None:
    """Return the file that lists the images of a FiftyOne or Supervisely folder; None for others."""
    if (folder / "samples.json").is_file():
        return folder / "samples.json"
    if regions.is_project(folder):
        return folder / regions.META
    labels = folder / "labels.json"
    return labels if labels.is_file() and (folder / "data").is_dir() else None
