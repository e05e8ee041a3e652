"""Data sets of Hugging Face `datasets`, read in place: Parquet files with images, `save_to_disk` folders.

Both carry the names of the classes in their schema. Where a row has an address in place of a picture, the
picture is read from there. `datasets` itself is not needed, and no code of a data set is run.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Self, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

from core.common.addresses import is_url, listed_place, located
from core.common.arrow_tables import as_frame, exact_or_text
from core.common.formatting import counted, first_of
from core.common.inside import parse_json
from core.common.remote_objects import is_file, objects_below, read_small
from core.common.threads import cached_property
from core.data import source
from core.data.columns import ONE_HOT, ColumnChoice, decide_columns, split_values, texts_or_empty
from core.data.contradictions import one_spelling
from core.data.decode import decode
from core.data.hugging_face_columns import (
    ColumnFile,
    Columns,
    class_labels,
    find_roles,
    image_columns,
    open_column_file,
    places,
)
from core.data.listed_files import ListedFiles
from core.data.picture_limits import check_bytes
from core.data.shards import is_pattern, matching_files, split_of_name
from core.data.table_cells import further_columns, one_hot_labels, text_column, unhidden
from core.data.table_text import is_image_name
from core.data.tables import decode_listed
from core.errors import ImageSourceError, UnreadableImage, first_line

SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk writes beside its .arrow files
ENDINGS = (".parquet", ".arrow")
MOST_FILES = 10_000
READ_ERRORS = (OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError)  # of pyarrow


@dataclass(frozen=True)
class DataFile:
    """One file of a data set: where it lies, its name in ids, and the split that its name or folder says."""

    path: str
    name: str
    split: str | None


class HuggingFaceSource(source.ListedSource):
    """Images in the rows of Parquet or Arrow files; ids are `FILE/ROW`. Rows are read forwards, one
    at a time, so that a data set of any size costs the memory of one row group at most."""

    kind = "hugging_face"

    def __init__(
        self,
        path: str | Path,
        seed: int | None = 0,
        label: str | None = None,
        *,
        columns: Mapping[str, Any] | None = None,
        reading: int = source.READING,
    ):
        """
        Args:
            path: a .parquet or .arrow file, a pattern, or a folder, also by address. label: the column of the
                classes. columns, reading: as for a table; the path is the column of the pictures.
        """
        self.columns, self.reading = dict(columns or {}), reading
        self.path, self.seed, self.label = located(str(path)), seed, label or self.columns.get("label")
        self._lock = Lock()

    @classmethod
    def reopen(cls, description: dict[str, Any]) -> Self:
        return super().reopen({"reading": source.OLD_READING, **description})

    def describe(self) -> dict[str, Any]:
        described = {"kind": self.kind, "path": self.path, "seed": self.seed, "label": self.label}
        described |= self.group_option
        if self.reading == source.OLD_READING:
            return described
        if not {"label", "split"} <= self.columns.keys():
            _ = self.listing  # which decides on them
        return {**described, "reading": self.reading, "columns": self.columns}

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name not in ("_lock", "_opened")}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=Lock())

    @cached_property
    def files(self) -> list[DataFile]:
        return data_files(self.path)

    @cached_property
    def _opened(self) -> dict[int, ColumnFile]:
        return {}

    def read(self, row: int) -> Image.Image:
        if path_beside := self.place(row):
            return decode_listed(self.path_texts[row].as_py(), path_beside, self.pixel_reading)
        at, position = (int(part[row]) for part in self.listing.places)
        with self._lock:  # a file is read forwards, by one thread at a time
            content = self._content(at, position)
        if content is None:
            if is_url(path := self.path_texts[row].as_py()):
                return decode_listed(path, listed_place("", path), self.pixel_reading)
            return decode(self._beside(os.path.basename(path)), self.pixel_reading)
        check_bytes(len(content))
        return decode(bytes(content), self.pixel_reading)

    def _beside(self, name: str) -> str:
        """Return the file of a picture whose row has only its name: the only one called so below all files.

        Raises:
            UnreadableImage: there is none, or there are several.
        """
        if not is_image_name(name):  # of a row without a name it is its number
            raise UnreadableImage("the row has no bytes of a picture, nor its address")
        path = self._pictures.below([name])[0]
        if path is None:
            raise UnreadableImage(f"the row has no bytes, only the file name '{name}'")
        return os.path.join(self._pictures.folder, path)

    @cached_property
    def _pictures(self) -> ListedFiles:
        folder = self.path if os.path.isdir(self.path) else os.path.dirname(self.files[0].path)
        return ListedFiles(folder, lambda cell: cell)

    def place(self, row: int) -> str:
        if not self._columns.by_place or not (text := self.path_texts[row].as_py()):
            return ""
        folder = os.path.dirname(self.files[int(self.listing.places[0][row])].path)
        return listed_place(folder, text)

    def _content(self, at: int, position: int) -> memoryview | None:
        try:
            return self._file(at).binary(self._columns.image, position)
        except READ_ERRORS as error:
            raise UnreadableImage(f"{self.files[at].name}: {first_line(error)[:100]}") from None

    def _file(self, at: int) -> ColumnFile:
        if at not in self._opened:
            while len(self._opened) >= 8:
                self._opened.pop(next(iter(self._opened)))
            self._opened[at] = open_column_file(self.files[at].path)
        return self._opened[at]

    def fingerprint(self) -> str:
        stamps = [source.file_stamp(file.path) for file in self.files]
        return source.digest_table(
            self.kind, self.table, (stamps[at] for at in self.listing.places[0]), self.extras
        )

    @cached_property
    def _columns(self) -> Columns:
        path = self.files[0].path
        return find_roles(
            _reading(path, lambda: open_column_file(path).schema),
            path,
            self.label,
            image=self.columns.get("path"),
        )

    def _list(self) -> source.Listing:
        frames = [self._rows_of(file) for file in self.files]
        n_rows = np.array([len(frame) for frame in frames])
        splits, notes, given, keep_files = self._splits(n_rows)
        frame = _joined([f for f, keep in zip(frames, keep_files, strict=True) if keep])
        at = np.repeat(np.flatnonzero(keep_files), n_rows[keep_files])
        position = np.concatenate([np.arange(n) for n in n_rows[keep_files]])
        choice = self._choice(frame, given)
        split = "split" if self.reading == source.OLD_READING else choice.columns.get("split", "")
        keep_rows, of_rows, more = (None, [], []) if given else _split_column(frame, split)
        if keep_rows is None and self.columns.get("split") and not given and "split" in choice.columns:
            raise ImageSourceError(f"column {split} of '{self.path}' gives no split. Use train, val and test")
        if keep_rows is not None:
            frame = frame.loc[keep_rows].reset_index(drop=True)
            at, position = at[keep_rows], position[keep_rows]
            splits, notes, given = of_rows, more, True
        ids = [f"{self.files[a].name}/{row:06d}" for a, row in zip(at, position, strict=True)]
        paths = list(frame.pop("_path"))
        if not self._columns.by_place:
            paths = [_beside(file_id, name) for file_id, name in zip(ids, paths, strict=True)]
        self.columns |= {"split": choice.columns.get("split") if keep_rows is not None else None}
        labels, label_notes = self._labels(frame, choice)
        if given:
            labels, spelled = one_spelling(splits, labels)
            notes += spelled
        else:
            splits, drawn = source.draw_split(ids, labels, self.seed)
            notes += drawn
        extras = further_columns(frame) if len(frame.columns) else None
        if self.reading != source.OLD_READING:
            extras, renamed = unhidden(extras)
            notes += renamed
        table = source.image_table(ids, paths, splits, labels)
        return source.Listing(table, [*label_notes, *notes], extras, given, (at, position))

    def _choice(self, frame: pd.DataFrame, given: bool) -> ColumnChoice:
        """Decide on the columns of label and split, as of any table; a ClassLabel is one without question."""
        of_schema = self._columns.label
        if self.reading == source.OLD_READING:
            return ColumnChoice({"label": of_schema} if of_schema else {})
        stated: dict[str, Any] = {"image_id": None, **self.columns, "path": None}
        if of_schema and (self.label or of_schema in self._columns.classes):
            stated["label"] = of_schema
        stated |= {"split": None} if given else {}
        cells = frame.drop(columns="_path")
        choice = decide_columns(
            cells, stated=stated, files=None, needs_path=False, table=self.path, group=self.asked_group
        )
        self.columns |= {"label": choice.columns.get("label")}
        self.columns |= {ONE_HOT: list(choice.one_hot)} if choice.one_hot else {}
        return choice

    def _rows_of(self, file: DataFile) -> pd.DataFrame:
        """Return every column but the pictures, with the names of classes for their numbers."""
        columns = self._columns
        names = [*filter(None, [columns.label]), *columns.further]
        names += [columns.image] if columns.by_place else []
        opened = _reading(file.path, lambda: open_column_file(file.path))
        if missing := [name for name in (columns.image, *names) if name not in opened.schema.names]:
            raise ImageSourceError(
                f"'{file.path}' has no column '{missing[0]}', which '{self.files[0].path}' has. "
                "Give the files of one data set"
            )
        table = _plain_columns(_reading(file.path, lambda: opened.small(names)))
        frame = exact_or_text(as_frame(table.select(names).replace_schema_metadata(None)))
        frame = pd.DataFrame(frame, index=range(opened.n_rows))
        for name, classes in (columns.classes | class_labels(opened.schema, names)).items():
            if name in names:
                frame[name] = _named(table[name].to_pylist(), classes)
        if columns.by_place:
            frame["_path"] = frame.pop(columns.image).fillna("")
        else:
            frame["_path"] = _reading(file.path, lambda: opened.paths(columns.image))
        return frame

    def _labels(self, frame: pd.DataFrame, choice: ColumnChoice) -> tuple[list[str | None], list[str]]:
        columns, label = self._columns, choice.columns.get("label")
        notes: list[str] = [f"columns left out: {first_of(columns.left_out)}"] if columns.left_out else []
        notes += choice.notes
        if choice.one_hot:
            values = one_hot_labels(frame, choice.one_hot)
            for name in choice.one_hot:
                frame.pop(name)
            return list(values), notes
        if label is None:
            return [None] * len(frame), [*notes, "no column of labels: images without labels"]
        values = text_column(frame.pop(label))
        labels = [value if isinstance(value, str) else None for value in values]
        if missing := labels.count(None):
            notes.append(f"{counted(missing, 'image')} without label")
        others = [name for name in columns.classes if name != label]
        if others:
            notes.append(f"labels are '{label}'; for {first_of(others)} write ?label={others[0]}")
        return labels, notes

    def _splits(self, n_rows: np.ndarray) -> tuple[list[str], list[str], bool, np.ndarray]:
        """Return the split of each row kept, notes, whether the files say so, and which files are kept."""
        everything = np.ones(len(self.files), bool)
        named = [file.split for file in self.files]
        if len(set(named)) < 2 or not {"val", "test"} & set(named):
            return [], [], False, everything
        keep, splits, more = source.one_evaluation_split([split or "train" for split in named])
        if len(set(splits)) < 2:
            return [], [], False, everything
        if source.VAL_AS_TRAIN in more:
            return list(np.repeat(splits, n_rows)), more, True, keep
        left = Counter(dict.fromkeys(filter(None, named), 0))
        for split, n, is_read in zip(named, n_rows, keep, strict=True):
            left[split or "train"] += 0 if is_read else int(n)
        notes = [
            f"{counted(n, 'image')} of '{split}' left out: 'val' is used" for split, n in left.items() if n
        ]
        if "val" not in named:
            notes.append("'test' is used as the evaluation split, named val")
        return list(np.repeat(splits, n_rows[keep])), notes, True, keep


def _beside(file_id: str, name: str) -> str:
    """Return the address of a picture named in a file: beside the file, unless it is an address already."""
    if not name:
        return file_id
    return name if is_url(name) else f"{file_id.rpartition('/')[0]}/{name}"


def _plain_columns(table: pa.Table) -> pa.Table:
    """Return a table whose categories are their values."""
    for at, one in enumerate(table.schema):
        if pa.types.is_dictionary(one.type):
            table = table.set_column(at, one.name, table.column(at).cast(one.type.value_type))
    return table


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all files; a column that is text in one of them is text in all."""
    texts = {name for frame in frames for name in frame if pd.api.types.is_string_dtype(frame[name])}
    if len(frames) == 1:
        return pd.concat(frames, ignore_index=True)
    alike = []
    for frame in frames:
        as_text = {str(name): text_column(cast(pd.Series, frame[name])) for name in frame if name in texts}
        alike.append(frame.assign(**as_text))
    return pd.concat(alike, ignore_index=True)


def _split_column(frame: pd.DataFrame, name: str) -> tuple[np.ndarray | None, list[str], list[str]]:
    """Return which rows are used, their splits and notes, where a column of splits names several."""
    values = split_values(cast(pd.Series, frame[name]), name) if name in frame else None
    if values is None:
        return None, [], []
    named = texts_or_empty(cast(pd.Series, frame[name])).str.strip().str.lower().map(values)
    keep, splits, notes = source.one_evaluation_split(list(named))
    return (keep, splits, notes) if len(set(splits)) > 1 else (None, [], [])


def holds_pictures(path: str | Path, *, or_places: bool = False) -> bool:
    """Return True when a Parquet file has a column of images; False also where it cannot be read.

    Args:
        or_places: or one of addresses or paths of images.
    """
    try:
        schema = open_column_file(str(path)).schema
        return bool(image_columns(schema) or (or_places and places(schema)))
    except READ_ERRORS:
        return False


def is_data_set(folder: Path) -> bool:
    """Return True for a folder of save_to_disk, or with a Parquet file of images or of their addresses."""
    if any((folder / name).is_file() for name in SAVED):
        return True
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if tables := sorted(name for name in names if name.lower().endswith(".parquet")):
            return holds_pictures(os.path.join(here, tables[0]), or_places=True)
        if any(name.rpartition(".")[2].lower() in source.IMAGE_EXTENSIONS for name in names):
            return False  # a folder of a million images is not walked to its end
    return False


def data_files(path: str) -> list[DataFile]:
    """List the files of a Hugging Face data set of images, in the order of their names.

    Raises:
        ImageSourceError: none, too many, or a folder of save_to_disk that names files outside itself.
    """
    if os.path.isdir(path) or (is_url(path) and not path.lower().endswith(ENDINGS)):
        paths = _saved_files(path) or sorted(_below(path, ".parquet", most=MOST_FILES))
        root = path
    else:
        paths = sorted(matching_files(path)) if is_pattern(path) and not os.path.exists(path) else [path]
        root = os.path.commonpath([os.path.dirname(one) for one in paths])
    if not paths:
        raise ImageSourceError(f"no .parquet or .arrow files in '{path}'. Give the folder that holds them")
    names = [
        re.sub(r"\.(parquet|arrow)$", "", os.path.relpath(one, root)).replace(os.sep, "/") for one in paths
    ]
    return [DataFile(one, name, split_of_name(name)) for one, name in zip(paths, names, strict=True)]


def _below(folder: str, ending: str, *, most: int) -> list[str]:
    if is_url(folder):
        names = [name for name in objects_below(folder) if name.lower().endswith(ending)]
        return [f"{folder}/{name}" for name in names if not f"/{name}".count("/.")][:most]
    paths: list[str] = []
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [os.path.join(here, name) for name in sorted(names) if name.lower().endswith(ending)]
        if len(paths) >= most:
            return paths[:most]
    return paths


def _saved_files(folder: str) -> list[str]:
    """List the .arrow files that save_to_disk's own records name; none if the folder is another one."""
    top = os.path.join(folder, SAVED[0])
    parts = [folder]
    if is_file(top):
        splits = _reading(top, lambda: list(parse_json(read_small(top))["splits"]))
        parts = [os.path.join(folder, _plain(name, top)) for name in splits]
    paths = []
    for part in parts:
        state = os.path.join(part, SAVED[1])
        if part != folder or is_file(state):
            named = _reading(
                state, lambda at=state: [one["filename"] for one in parse_json(read_small(at))["_data_files"]]
            )
            paths += [os.path.join(part, _plain(name, state)) for name in named]
    return paths


def _plain(name: Any, where: str) -> str:
    if not isinstance(name, str) or name in ("", ".", "..") or os.path.basename(name) != name or "\0" in name:
        raise ImageSourceError(
            f"'{where}' names '{name}', which is no file beside it. Save the data set again"
        )
    return name


def _named(numbers: Sequence[Any], names: Sequence[str]) -> pd.Series:
    """Return the names of the classes; missing for `datasets`' -1 and for any other number without one."""
    by_number: dict[float, str] = dict(enumerate(names))  # 1.0 is found by 1, and 1.5 is none
    class_names = [by_number.get(n) if isinstance(n, (int, float)) else None for n in numbers]
    return pd.Series(class_names, dtype="str")


def _reading(path: str, read: Any) -> Any:
    """Return what `read` gives. Raises ImageSourceError with the path where the file cannot be read."""
    try:
        return read()
    except ImageSourceError:
        raise
    except READ_ERRORS as error:
        raise ImageSourceError(
            f"cannot read '{path}': {first_line(error)[:120]}. Download or write it again"
        ) from None
