"""Images listed in a table: CSV, TSV or Parquet with a column of paths, and optional labels and splits."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pandas as pd
from PIL import Image

from core.common.addresses import is_url, listed_place, located
from core.common.arrow_tables import Coded, arrow_of, as_texts, coded, column_of, repeated, texts_of_codes
from core.common.formatting import counted, first_of
from core.common.inside import PACKED
from core.common.records import Record
from core.data.annotation_rows import image_names
from core.data.columns import (
    COLUMNS,
    ROLES,
    ColumnChoice,
    column_name,
    decide_columns,
    find_columns,
    place_columns,
    say_of_columns,
    split_values,
)
from core.data.contradictions import find_contradiction, spelled_as_train
from core.data.copies import with_photographs
from core.data.decode import decode
from core.data.folder import missing_folder
from core.data.folder_tables import say_of_folder_table
from core.data.listed_files import ListedFiles, folder_near, missing_files
from core.data.names_beside import names_of, say_of_beside, stated_names
from core.data.pixel_values import PixelReading
from core.data.source import (
    OLD_READING,
    READING,
    SIDES,
    SPLIT_NAMES,
    ListedSource,
    Listing,
    digest_table,
    draw_split,
    evaluation_splits,
    file_stamp,
    image_table,
)
from core.data.table_cells import (
    further_columns,
    labels_of_cells,
    one_hot_labels,
    text_column,
    unhidden,
    with_places,
)
from core.data.table_files import joined_metadata, metadata_tables, read_table_file, with_captions
from core.errors import AddressRefused, ImageSourceError, UnreadableImage

# Tables with a row a box: the row of the largest box stands for its image.


CORNERS = (  # of a box, as columns are called
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
BOX_SIDES = (  # of a box whose corner stands before them
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("left", "top", "width", "height"),
    ("bbox_x", "bbox_y", "bbox_w", "bbox_h"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
)


def _one_row_an_image(frame: pd.DataFrame, decision: ColumnChoice) -> tuple[pd.DataFrame, ColumnChoice]:
    """Keep a table's row of the largest box of each image, where several rows have one path and boxes.

    Images stay in the order of their first rows; of equally large boxes the first counts.
    """
    columns = decision.columns
    boxes = _box_columns(frame, columns.values())
    path = columns.get("path")
    if path is None or boxes is None or ("image_id" in columns and frame[columns["image_id"]].is_unique):
        return frame, decision
    paths = cast(pd.Series, frame[path])
    splits = cast(pd.Series, frame[columns["split"]]) if "split" in columns else None
    if not paths.duplicated().any() or (splits is not None and find_contradiction(paths, splits)):
        return frame, decision
    largest = _areas(frame, boxes).groupby(paths, sort=False, dropna=False).idxmax()
    images = None if decision.images is None else decision.images.loc[list(largest)].reset_index(drop=True)
    note = say_of_columns("boxes", n=len(frame), of=len(largest))
    rows = frame.loc[list(largest)].reset_index(drop=True)
    return rows, replace(decision, images=images, notes=[*decision.notes, note])


def _box_columns(frame: pd.DataFrame, used: Iterable[str]) -> tuple[list[str], bool] | None:
    """Return the four columns of a box, and whether the last two are its sides; None where there are none."""
    taken = set(used)
    named = {column_name(str(name)): str(name) for name in reversed(list(frame.columns)) if name not in taken}
    for names in (*CORNERS, *BOX_SIDES):
        if set(names) <= named.keys():
            return [named[name] for name in names], names in BOX_SIDES
    return None


def _areas(frame: pd.DataFrame, boxes: tuple[list[str], bool]) -> pd.Series:
    """Return the area of the box of each row; -1 for a row without one."""
    names, has_sides = boxes
    numbers = [pd.to_numeric(cast(pd.Series, frame[name]), errors="coerce") for name in names]
    left, top, right, bottom = (cast(pd.Series, number).astype("float64") for number in numbers)
    area = right * bottom if has_sides else (right - left).abs() * (bottom - top).abs()
    return area.where(np.isfinite(area), -1.0)


# Images listed in a table: CSV, TSV or Parquet with a column of paths, and optional labels and splits.


LOOKED_AT, WHOLE_NUMBER = 100, r"\d+(\.0+)?"
MOST_NUMBERS = 100_000  # classes of a table whose names are looked for


class TableSource(ListedSource):
    """One image per row; missing files stay as unreadable.

    Relative paths start at the table's folder, or at `root`; with a root, every path must lie in it.
    """

    kind = "table"
    needs_paths = True
    may_drop_rows = True
    may_name_numbers = True

    def __init__(
        self,
        path: str | Path,
        seed: int | None = 0,
        root: str | Path | None = None,
        *,
        columns: Mapping[str, Any] | None = None,
        sep: str | None = None,
        header: bool | None = None,
        names: str | None = None,
        reading: int = READING,
    ):
        """
        Args:
            names: the file beside the table that names its classes, where that is known.
            columns: the column of a role (see `columns.ROLES`); None: the table has none; a role that is left
                out is decided. sep, header: how a table of text is written; None: decided by its first lines.
            reading: `OLD_READING` lists as versions before 0.4 did.
        """
        self.path, self.seed = located(str(path)), seed
        self.root = located(os.path.expanduser(root)) if root else None
        self.columns, self.sep, self.header = dict(columns or {}), sep, header
        self.reading, self.names = reading, names
        self.split_asked = bool(self.columns.get("split"))

    @classmethod
    def reopen(cls, description: dict[str, Any]) -> Self:
        return super().reopen({"reading": OLD_READING, **description})

    def describe(self) -> dict[str, Any]:
        root = {"root": self.root} if self.root else {}
        about = {"kind": self.kind, "path": self.path, "seed": self.seed, **root, **self.group_option}
        return about if self.reading == OLD_READING else {**about, **self._reading_stated()}

    def _reading_stated(self) -> dict[str, Any]:
        """Return by what the same columns are read again."""
        if not set(ROLES) <= self.columns.keys():
            _ = self.listing  # which decides on them
        written = {"sep": self.sep, "header": self.header, "names": self.names}
        written = {name: value for name, value in written.items() if value is not None}
        return {"reading": self.reading, "columns": self.columns, **written}

    def read(self, row: int) -> Image.Image:
        return self._picture(self.path_texts[row].as_py())

    def _picture(self, path: str) -> Image.Image:
        if self.root and not is_below(self.root, path):
            raise UnreadableImage(f"its path leaves '{self.root}', the folder of the images")
        return decode_listed(path, self._resolve(path), self.pixel_reading)

    def with_photographs(self, listing: Listing) -> Listing:
        if self.seed is None or self.reading == OLD_READING or not self.needs_paths:
            return listing
        paths = listing.table["path"]
        return with_photographs(listing, self.asked_group, lambda row: self._picture(paths.iat[row]))

    def place(self, row: int) -> str:
        return self._resolve(self.path_texts[row].as_py())

    def fingerprint(self) -> str:
        stamps = (file_stamp(self._resolve(path)) for path in self.table["path"])
        return digest_table(self.kind, self.table, stamps, self.extras)

    @property
    def _folder(self) -> str:
        """Return where paths start."""
        return self.root or os.path.dirname(self.path)

    def _resolve(self, path: str) -> str:
        if self.root:  # a path outside is that of no file
            return listed_place(self.root, path) if is_below(self.root, path) else ""
        return listed_place(os.path.dirname(self.path), path)

    def _with_slashes(self, paths: pd.Series) -> pd.Series:
        """The paths as this system writes them; a backslash of Windows may be a letter here."""
        has_any = paths.str.contains("\\", regex=False, na=False).to_numpy()
        if not has_any.any():
            return paths
        of_windows = np.flatnonzero(has_any)[missing_files(cast(pd.Series, paths[has_any]), self._resolve)]
        paths = paths.copy()
        paths.iloc[of_windows] = paths.iloc[of_windows].str.replace("\\", "/", regex=False)
        return paths

    def _list(self) -> Listing:
        self._check_root()
        files = ListedFiles(self._folder, self._resolve)
        if self.reading == OLD_READING:
            frame, notes = read_table_file(self.path, old=True)
        else:
            frame, notes = read_table_file(
                self.path, separator=self.sep, header=self.header, is_there=files.is_there
            )
        return self._decided(frame, files, notes)

    def _decided(self, frame: pd.DataFrame, files: ListedFiles, notes: list[str]) -> Listing:
        """List the rows of a table by the columns that are decided on."""
        if self.reading == OLD_READING:
            decision = self._old_columns(frame)
        else:
            is_first = not set(ROLES) <= self.columns.keys()
            decision = decide_columns(
                frame,
                stated=self.columns,
                files=files,
                needs_path=self.needs_paths,
                table=self.path,
                group=self.asked_group,
            )
            self.columns = decision.as_stated()
            if self.may_drop_rows:
                frame, decision = _one_row_an_image(frame, decision)
            self.names = self._names_beside(frame, decision) if is_first else self.names
        listing = self._listing_of(frame, decision)
        listing.notes = [*notes, *decision.notes, *listing.notes]
        return listing

    def _names_beside(self, frame: pd.DataFrame, decision: ColumnChoice) -> str | None:
        """Return the file beside the table that states names for its numbers of classes."""
        label = decision.columns.get("label")
        if label is None or not self.may_name_numbers or is_url(self.path):
            return None
        cells = cast(pd.Series, frame[label])
        if not text_column(cells.iloc[:LOOKED_AT]).dropna().str.fullmatch(WHOLE_NUMBER).all():
            return None  # at a glance: a table may have millions of rows
        labels, _ = labels_of_cells(text_column(pd.Series(cells.dropna().unique()[:MOST_NUMBERS])))
        named = stated_names(list(labels.dropna()), self.path)
        return None if named is None else os.path.basename(named.file)

    def _named(self, labels: pd.Series) -> tuple[pd.Series, list[Record]]:
        """Return the names of classes for their numbers, where a file beside states them."""
        if self.names is None:
            return labels, []
        file = os.path.join(os.path.dirname(self.path), self.names)
        named = names_of(file, list(labels.dropna().unique()), self.path)
        note = say_of_beside("named", what=self.names, names=())
        return as_texts(labels.map(named.name_of)), [note, *named.notes]

    def _old_columns(self, frame: pd.DataFrame) -> ColumnChoice:
        roles = find_columns(frame.columns)
        if self.needs_paths and "path" not in roles and (names := place_columns(frame.columns)):
            roles["path"] = names[0]
        if self.needs_paths and "path" not in roles:
            raise ImageSourceError(
                f"no column of image paths in '{self.path}' (columns: {first_of(list(frame.columns), 20)}). "
                f"Name it one of {', '.join(COLUMNS['path'][:4])}, url"
            )
        return ColumnChoice(roles)

    def _check_root(self) -> None:
        if self.root and not (is_url(self.root) or os.path.isdir(self.root)):
            raise missing_folder(Path(self.root))

    def _listing_of(self, frame: pd.DataFrame, decision: ColumnChoice) -> Listing:
        roles = decision.columns
        self._check_paths(frame, roles)
        columns = {role: text_column(cast(pd.Series, frame[name])) for role, name in roles.items()}
        if "path" in columns:
            columns["path"] = self._with_slashes(columns["path"])
        image_ids = self._image_ids(columns, len(frame))
        paths = columns.get("path", _repeated("", len(frame)))
        paths = paths.fillna("") if paths.hasnans else paths
        if decision.images is not None:
            paths = decision.images.where(decision.images.notna(), paths)
        labels, notes = self._labels(frame, columns, decision)
        table = image_table(image_ids, paths, _repeated("train", len(frame)), labels)
        extras, more = self._extras(frame, [*roles.values(), *decision.one_hot], decision)
        splits, split_notes = None, []
        if "split" in columns:
            asked = self.split_asked
            splits, split_notes = _split_names(self.path, columns["split"], roles["split"], asked=asked)
        if splits is not None and not self.may_drop_rows:
            splits = Coded(splits.codes, ["train" if name == "train" else "val" for name in splits.names])
        table, extras, of_split, given = _with_splits(table, extras, splits, self.seed)
        missing = self._missing_note(column_of(table, "path"))
        notes = [*notes, *more, *split_notes, *of_split, *missing]
        return Listing(table, notes, extras, split_given=given)

    def _labels(
        self, frame: pd.DataFrame, columns: Mapping[str, pd.Series], decision: ColumnChoice
    ) -> tuple[pd.Series, list[Record]]:
        """Return the label of each row, and what is to be said of them."""
        if decision.one_hot:
            return one_hot_labels(frame, decision.one_hot), []
        if "label" not in columns:
            return _repeated(None, len(frame)), []
        labels = columns["label"]
        if self.reading == OLD_READING:
            return labels, []
        labels, notes = labels_of_cells(labels)
        labels, of_names = self._named(labels)
        return labels, [*notes, *of_names]

    def _extras(
        self, frame: pd.DataFrame, used: Sequence[str], decision: ColumnChoice
    ) -> tuple[pd.DataFrame | None, list[Record]]:
        """Return the columns without a role; the group's stays one."""
        plain = not str(self.path).lower().removesuffix(PACKED).endswith(".parquet")
        dropped = [name for name in used if name != self.asked_group]
        extras = further_columns(frame.drop(columns=dropped), plain=plain)
        if self.reading == OLD_READING:
            return extras, []
        extras, notes = with_places(frame, extras, decision)
        extras, renamed = unhidden(extras)
        return extras, [*notes, *renamed]

    def _check_paths(self, frame: pd.DataFrame, roles: dict[str, str]) -> None:
        if "path" in roles and isinstance(frame[roles["path"]].iloc[0], (dict, bytes)):
            raise ImageSourceError(
                f"column '{roles['path']}' of '{self.path}' holds images, not paths. Save them as files first"
            )

    def _image_ids(self, columns: dict[str, pd.Series], n_rows: int) -> pd.Series:
        role = "image_id" if "image_id" in columns else "path"
        ids = columns.get(role)
        if ids is None:
            return pd.Series(range(n_rows)).astype("str")
        if (empty := ids.isna() | (ids == "")).any():
            row = int(np.argmax(empty)) + 1
            raise ImageSourceError(f"row {row} of '{self.path}' has no {role}. Fill it or remove it")
        if (again := repeated(ids)).any():
            for name in ("split", "label"):
                if name in columns and (both := find_contradiction(ids, columns[name])):
                    raise ImageSourceError(f"two {name}s of one image in '{self.path}': {both}. Keep one")
            first = ids.iat[int(np.argmax(again))]
            raise ImageSourceError(
                f"{role} '{first}' occurs more than once in '{self.path}' "
                f"({counted(int(again.sum()), 'repeated row')}). Remove repetitions, or add a column image_id"
            )
        return ids

    def _missing_note(self, paths: pd.Series) -> list[str]:
        is_missing = missing_files(paths, self._resolve)
        if not is_missing.any():
            return []
        texts = arrow_of(paths)
        missing = [texts[int(row)].as_py() for row in np.flatnonzero(is_missing)[:3]]
        n_missing = int(is_missing.sum())
        count = f"{n_missing:,} of {counted(len(paths), 'file')}"
        more = f" and {n_missing - 3:,} more" if n_missing > 3 else ""
        note = f"{count} not found from '{self._folder}': {', '.join(missing)}{more}"
        root = None if self.root or n_missing < len(paths) else folder_near(self._folder, missing)
        hint = f"; they lie in '{root}': {os.path.basename(self.path)}?root={root}" if root else ""
        return [note + hint]


class RepresentationsOnly(TableSource):
    """Metadata of images with precomputed representations; images themselves only if it has paths.

    Without a table: numbered rows without labels. Row order is the order of the representations.
    """

    kind = "representations"
    needs_paths = False
    may_drop_rows = False
    may_name_numbers = False

    def __init__(
        self,
        path: str | Path | None,
        n_rows: int | None = None,
        seed: int | None = 0,
        *,
        columns: Mapping[str, Any] | None = None,
        sep: str | None = None,
        header: bool | None = None,
        reading: int = READING,
    ):
        super().__init__(path or "", seed, columns=columns, sep=sep, header=header, reading=reading)
        self.path = self.path if path else ""
        self.n_rows = n_rows

    def describe(self) -> dict[str, Any]:
        about = {"kind": self.kind, "path": self.path, "n_rows": self.n_rows, "seed": self.seed}
        about |= self.group_option
        is_old = self.reading == OLD_READING or not self.path
        return about if is_old else {**about, **self._reading_stated()}

    @property
    def has_pictures(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool((self.table["path"] != "").any())

    def read(self, row: int) -> Image.Image:
        path = self.path_texts[row].as_py()
        if not path:
            raise UnreadableImage("no picture, only its representation")
        return decode_listed(path, self._resolve(path), self.pixel_reading)

    def fingerprint(self) -> str:
        stamps = (file_stamp(self._resolve(path)) if path else "" for path in self.table["path"])
        return digest_table(self.kind, self.table, stamps, self.extras)

    def _list(self) -> Listing:
        if self.path:
            return super()._list()
        return self._listing_of(pd.DataFrame(index=range(self.n_rows or 0)), ColumnChoice())

    def _missing_note(self, paths: pd.Series) -> list[str]:
        notes = super()._missing_note(paths) if (paths != "").any() else ["no pictures, only representations"]
        if not self.path:
            return notes
        return [f"row n of the representations is taken for row n of '{os.path.basename(self.path)}'", *notes]


def open_representation_table(
    table: str | Path | None, *, n_rows: int | None = None, seed: int = 0
) -> RepresentationsOnly:
    """Open the images of precomputed representations: a table with or without paths, or only a count.

    Raises:
        ImageSourceError: the table is unreadable, or its length is not `n_rows`.
    """
    source = RepresentationsOnly(table, n_rows, seed)
    if n_rows is not None and len(source.table) != n_rows:
        raise ImageSourceError(
            f"'{table}' has {len(source.table)} rows but there are {n_rows} representations; "
            "there must be one row for each, in their order"
        )
    return source


def decode_listed(text: str, path: str, reading: PixelReading) -> Image.Image:
    """Decode the picture that a list names as `text` and that lies at `path`. Raises UnreadableImage."""
    if is_url(text):
        try:
            located(text)
        except AddressRefused as error:
            raise UnreadableImage(str(error)) from None
    return decode(path, reading)


def is_below(root: str, path: str) -> bool:
    """Return False for a listed path of an image that leads out of `root` by `..`; links may.

    >>> [is_below("/photos", path) for path in ("a/../b.jpg", "/photos/c.jpg", "../c.jpg", "/photos2/d.jpg")]
    [True, True, False, False]
    """
    return "\0" not in path and Path(os.path.normpath(os.path.join(root, path))).is_relative_to(root)


def _repeated(text: str | None, n_rows: int) -> pd.Series:
    codes = np.full(n_rows, -1 if text is None else 0, np.int32)
    return texts_of_codes(codes, [text or ""])


def _with_splits(
    table: pd.DataFrame, extras: pd.DataFrame | None, splits: Coded | None, seed: int | None
) -> tuple[pd.DataFrame, pd.DataFrame | None, list[str], bool]:
    """Return the table with its own or a seeded split; then notes, and whether the split was its own."""
    notes: list[str] = []
    if splits is not None:
        n_images = np.bincount(splits.codes, minlength=len(splits.names))
        counts = Counter()
        for name, n in zip(splits.names, n_images.tolist(), strict=True):
            counts[name] += n
        split_of, notes = evaluation_splits(counts)
        side_of = np.array(
            [SIDES.index(one) if one else -1 for one in map(split_of.get, splits.names)], np.int8
        )
        sides = side_of[splits.codes]
        if {"train", "val"} <= set(split_of.values()):
            if (sides < 0).any():
                rows = np.flatnonzero(sides >= 0)
                sides = sides[rows]
                table = table.iloc[rows].reset_index(drop=True)
                extras = None if extras is None else extras.iloc[rows].reset_index(drop=True)
            labels, spelled = spelled_as_train(column_of(table, "label"), sides == 1)
            split = texts_of_codes(sides, SIDES)
            return table.assign(split=split.array, label=labels.array), extras, notes + spelled, True
        (only,) = {one for one in split_of.values() if one}
        notes = [f"the column split has only '{only}'"]
    drawn, more = draw_split(column_of(table, "image_id"), column_of(table, "label"), seed)
    return table.assign(split=as_texts(drawn).array), extras, notes + more, False


def _split_names(path: str, splits: pd.Series, column: str, *, asked: bool) -> tuple[Coded, list[Record]]:
    """Return the split of each row, and a note where numbers say it.

    Raises:
        ImageSourceError: a value is unknown, or may mean either.
    """
    values = split_values(splits, column, asked=asked)
    written = coded(splits.fillna(""))
    names = [name.strip().lower() for name in written.names]
    if values is None:
        unknown = sorted(set(names) - SPLIT_NAMES.keys())
        codes = [code for code, name in enumerate(names) if name == unknown[0]]
        row = int(np.isin(written.codes, codes).argmax()) + 1
        ways = f"; 0 and 1 may mean either: ?split={column} takes 0 as train and 1 as val"
        both = ways if set(unknown) <= {"0", "1"} else ""
        raise ImageSourceError(
            f"column {column} of '{path}' holds '{unknown[0]}' (row {row}){both}. "
            "Use train, val (or valid, validation) and test"
        )
    by_number = "2" in values or "2.0" in values or (asked and "0" in values and values["0"] == "train")
    notes = [say_of_columns("numbered_splits", what=column)] if by_number else []
    return Coded(written.codes, [values[name] for name in names]), notes


# Folders whose labels stand in metadata.csv, .jsonl or .parquet, as imagefolder of `datasets` reads them.
#
# A row is an image, and what no row names is left out.


class MetadataSource(TableSource):
    """A folder of pictures with its tables; see the module."""

    kind = "metadata"
    may_name_numbers = False

    def __init__(
        self,
        root: str | Path,
        seed: int | None = 0,
        *,
        columns: Mapping[str, Any] | None = None,
        reading: int = READING,
    ):
        super().__init__(root, seed, root, columns=columns, reading=reading)

    @classmethod
    def with_labels(cls, root: str | Path, seed: int | None = 0, *, group: str | None = None) -> Self | None:
        """Open a folder whose tables name the classes of its pictures; None for any other folder."""
        if is_url(str(root)) or not metadata_tables(str(root)):
            return None
        with suppress(ImageSourceError):
            source = cls(root, seed).grouped_by(group)
            return source if source.labelled else None
        return None

    def _list(self) -> Listing:
        tables = metadata_tables(self.path)
        frame = joined_metadata(self.path, tables)
        files = ListedFiles(self._folder, self._resolve)
        listing = self._decided(frame, files, [])
        listing.extras = with_captions(listing.extras)
        left = len(image_names(self.path)) - len(listing.table)
        labels_note = say_of_folder_table(
            "metadata", names=tuple(tables), what=self.columns.get("label") or ""
        )
        listing.notes = [labels_note, *listing.notes]
        if left > 0:
            listing.notes.append(say_of_folder_table("not_listed", n=left))
        return listing
