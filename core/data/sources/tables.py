"""Images listed in a table: CSV, TSV or Parquet with a column of paths, and optional labels and splits."""

import csv
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from PIL import Image

from core.common.formatting import counted
from core.common.remote.addresses import is_url, listed_place, located
from core.common.remote.objects import local_copy, stat_all
from core.data.sources.decode import decode
from core.data.sources.folder import missing_folder
from core.data.sources.parquet_limit import read_image_rows
from core.data.sources.source import (
    SPLIT_NAMES,
    ListedSource,
    Listing,
    digest_table,
    draw_split,
    file_stamp,
    image_table,
    one_evaluation_split,
    some,
)
from core.data.sources.split_labels import one_spelling
from core.errors import AddressRefused, ImageSourceError, UnreadableImage, did_you_mean, first_line

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
COLUMNS = {
    "image_id": ("image_id", "id"),
    "path": ("path", "image", "file", "filename", "file_name", "filepath", "file_path", "image_path"),
    "label": ("label", "class", "target", "class_name", "y"),
    "split": ("split",),
}
WHOLE, LONG = r"[+-]?\d+", r"[+-]?\d{16,}"  # the latter a float may round
LEADING_ZERO = r"[+-]?0\d"
ADDRESS_NAMES = ("url", "image_url", "img_url", "image_link")  # of columns, where none is called a path


class TableSource(ListedSource):
    """One image per row; missing files stay as unreadable.

    Relative paths start at the table's folder, or at `root`; with a root, every path must lie in it.
    """

    kind = "table"
    needs_paths = True
    may_drop_rows = True

    def __init__(self, path: str | Path, seed: int | None = 0, root: str | Path | None = None):
        self.path, self.seed = located(str(path)), seed
        self.root = located(os.path.expanduser(root)) if root else None

    def describe(self) -> dict[str, Any]:
        root = {"root": self.root} if self.root else {}
        return {"kind": self.kind, "path": self.path, "seed": self.seed, **root, **self.group_option}

    def read(self, row: int) -> Image.Image:
        path = self.path_texts[row].as_py()
        if self.root and not is_below(self.root, path):
            raise UnreadableImage(f"its path leaves '{self.root}', the folder of the images")
        return decode_listed(path, self.place(row))

    def place(self, row: int) -> str:
        return self._resolve(self.path_texts[row].as_py())

    def fingerprint(self) -> str:
        stamps = (file_stamp(self._resolve(path)) for path in self.table["path"])
        return digest_table(self.kind, self.table, stamps, self.extras)

    def _resolve(self, path: str) -> str:
        if self.root:  # a path outside is that of no file
            return listed_place(self.root, path) if is_below(self.root, path) else ""
        return listed_place(os.path.dirname(self.path), path)

    def _with_slashes(self, path: str) -> str:
        """The path as this system writes it, of one that Windows wrote; a backslash may be a letter here."""
        return path if "\\" not in path or os.path.exists(self._resolve(path)) else path.replace("\\", "/")

    def _list(self) -> Listing:
        self._check_root()
        frame = read_table_file(self.path)
        roles = find_columns(frame.columns)
        if self.needs_paths and "path" not in roles and (names := place_columns(frame.columns)):
            roles["path"] = names[0]
        if self.needs_paths and "path" not in roles:
            raise ImageSourceError(
                f"no column of image paths in '{self.path}' (columns: {some(list(frame.columns), 20)}). "
                f"Name it one of {', '.join(COLUMNS['path'][:4])}, url"
            )
        return self._listing_of(frame, roles)

    def _check_root(self) -> None:
        if self.root and not (is_url(self.root) or os.path.isdir(self.root)):
            raise missing_folder(Path(self.root))

    def _listing_of(self, frame: pd.DataFrame, roles: dict[str, str]) -> Listing:
        self._check_paths(frame, roles)
        columns = {role: text_column(cast(pd.Series, frame[name])) for role, name in roles.items()}
        if "path" in columns:
            columns["path"] = columns["path"].map(self._with_slashes, na_action="ignore")
        image_ids = self._image_ids(columns, len(frame))
        paths = columns.get("path", pd.Series([""] * len(frame), dtype="str")).fillna("")
        table = image_table(image_ids, list(paths), ["train"] * len(frame), [None] * len(frame))
        table["label"] = columns.get("label", table["label"])
        plain = not str(self.path).lower().endswith(".parquet")
        extras = further_columns(frame.drop(columns=list(roles.values())), plain=plain)
        splits = _split_names(self.path, columns["split"]) if "split" in columns else None
        if splits is not None and not self.may_drop_rows:
            splits = ["train" if name == "train" else "val" for name in splits]
        table, extras, notes, given = _with_splits(table, extras, splits, self.seed)
        notes += self._missing_note(list(table["path"]))
        return Listing(table, notes, extras, split_given=given)

    def _check_paths(self, frame: pd.DataFrame, roles: dict[str, str]) -> None:
        if "path" in roles and isinstance(frame[roles["path"]].iloc[0], (dict, bytes)):
            raise ImageSourceError(
                f"column '{roles['path']}' of '{self.path}' holds images, not paths. Save them as files first"
            )

    def _image_ids(self, columns: dict[str, pd.Series], n_rows: int) -> list[str]:
        role = "image_id" if "image_id" in columns else "path"
        ids = columns.get(role)
        if ids is None:
            return [str(row) for row in range(n_rows)]
        if (empty := ids.isna() | (ids == "")).any():
            row = int(np.argmax(empty)) + 1
            raise ImageSourceError(f"row {row} of '{self.path}' has no {role}. Fill it or remove it")
        if (again := ids.duplicated()).any():
            first = ids.iat[int(np.argmax(again))]
            raise ImageSourceError(
                f"{role} '{first}' occurs more than once in '{self.path}' "
                f"({counted(int(again.sum()), 'repeated row')}). Remove repetitions, or add a column image_id"
            )
        return list(ids)

    def _missing_note(self, paths: Sequence[str]) -> list[str]:
        places = [self._resolve(path) for path in paths]
        remote = [file for file in places if is_url(file)]
        there = {file for file, about in zip(remote, stat_all(remote), strict=True) if about}
        missing = [
            path
            for path, file in zip(paths, places, strict=True)
            if not (file in there or os.path.exists(file))
        ]
        if not missing:
            return []
        count = f"{len(missing):,} of {counted(len(paths), 'file')}"
        return [f"{count} not found from '{self.root or os.path.dirname(self.path)}': {some(missing, 3)}"]


class RepresentationsOnly(TableSource):
    """Metadata of images with precomputed representations; images themselves only if it has paths.

    Without a table: numbered rows without labels. Row order is the order of the representations.
    """

    kind = "representations"
    needs_paths = False
    may_drop_rows = False

    def __init__(self, path: str | Path | None, n_rows: int | None = None, seed: int | None = 0):
        super().__init__(path or "", seed)
        self.path = self.path if path else ""
        self.n_rows = n_rows

    def describe(self) -> dict[str, Any]:
        described = {"kind": self.kind, "path": self.path, "n_rows": self.n_rows, "seed": self.seed}
        return {**described, **self.group_option}

    @property
    def has_pictures(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool((self.table["path"] != "").any())

    def read(self, row: int) -> Image.Image:
        path = self.path_texts[row].as_py()
        if not path:
            raise UnreadableImage("no picture, only its representation")
        return decode_listed(path, self._resolve(path))

    def fingerprint(self) -> str:
        stamps = (file_stamp(self._resolve(path)) if path else "" for path in self.table["path"])
        return digest_table(self.kind, self.table, stamps, self.extras)

    def _list(self) -> Listing:
        if self.path:
            return super()._list()
        return self._listing_of(pd.DataFrame(index=range(self.n_rows or 0)), {})

    def _missing_note(self, paths: Sequence[str]) -> list[str]:
        notes = super()._missing_note(paths) if any(paths) else ["no pictures, only representations"]
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


def decode_listed(text: str, place: str) -> Image.Image:
    """Decode the picture that a list names as `text` and that lies at `place`. Raises UnreadableImage."""
    if is_url(text):
        try:
            located(text)
        except AddressRefused as error:
            raise UnreadableImage(str(error)) from None
    return decode(place)


def is_below(root: str, path: str) -> bool:
    """Return False for a path that leads out of `root` by `..`, or is absolute and elsewhere; links may.

    >>> [is_below("/photos", path) for path in ("a/../b.jpg", "/photos/c.jpg", "../c.jpg", "/photos2/d.jpg")]
    [True, True, False, False]
    """
    return "\0" not in path and Path(os.path.normpath(os.path.join(root, path))).is_relative_to(root)


def read_table_file(path: str) -> pd.DataFrame:
    """Read a table file; CSV and TSV cells stay text.

    Raises:
        ImageSourceError: the file is missing, empty, or not a table.
    """
    try:
        file = local_copy(path) if is_url(path) else path
        frame = read_image_rows(file) if path.lower().endswith(".parquet") else _read_text(file)
    except FileNotFoundError:
        folder = Path(path).parent
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        raise ImageSourceError(f"no such file: '{path}'.{did_you_mean(Path(path).name, names)}") from None
    except UnicodeDecodeError:
        raise ImageSourceError(f"'{path}' is not UTF-8 text. Save it as CSV in UTF-8") from None
    except (OSError, ValueError) as error:
        raise ImageSourceError(f"cannot read the table '{path}': {first_line(error)}") from None
    if frame.empty:
        raise ImageSourceError(f"the table '{path}' has no rows. Expected a header line and one image a row")
    frame.columns = [str(name).strip() for name in frame.columns]
    if (again := frame.columns.duplicated()).any():
        raise ImageSourceError(f"'{path}' has two columns '{frame.columns[again][0]}'. Rename one of them")
    return frame.reset_index(drop=True)


def _read_text(path: str) -> pd.DataFrame:
    with open(path, encoding="utf-8-sig") as file:
        header = file.readline()
    separator = "\t" if path.lower().endswith(".tsv") else max(",;\t", key=header.count)
    options = {"sep": separator, "dtype": "str", "keep_default_na": False, "encoding": "utf-8-sig"}
    options |= {"index_col": False, "skipinitialspace": separator != "\t"}
    with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
        try:
            frame = pd.read_csv(path, **options)
        except pd.errors.ParserWarning:
            raise ValueError("its first row has more cells than its header names") from None
    if separator == "\t" and any(column.str.contains("\t").any() for _, column in frame.items()):
        frame = pd.read_csv(path, quoting=csv.QUOTE_NONE, **options)  # its quotes are letters, and hid rows
    return frame.apply(lambda column: column.str.strip())


def find_columns(names: Iterable[str]) -> dict[str, str]:
    """Map each role (image_id, path, label, split) to the first column named like it, in any case.

    A column y is WILDS' label, unless a column x beside it makes it a coordinate.
    """
    by_lower = {name.lower(): name for name in reversed(list(names))}
    if "x" in by_lower:
        by_lower.pop("y", None)
    roles = {}
    for role, aliases in COLUMNS.items():
        if name := next((by_lower[alias] for alias in aliases if alias in by_lower), None):
            roles[role] = name
    return roles


def place_columns(names: Iterable[str]) -> list[str]:
    """List the columns that are called as paths or addresses of images are, the likeliest first."""
    by_lower = {name.lower(): name for name in reversed(list(names))}
    return [by_lower[alias] for alias in (*COLUMNS["path"], *ADDRESS_NAMES) if alias in by_lower]


def text_column(column: pd.Series) -> pd.Series:
    """Convert values to text, missing where empty; whole numbers stay whole."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    text = column.astype("str")
    return text.where(column.notna() & (text != ""))


def further_columns(frame: pd.DataFrame, *, plain: bool = False) -> pd.DataFrame | None:
    """Return the columns without a role, missing where empty; None if there are none.

    Args:
        plain: the file has only text: columns whose cells are all numbers become numbers. A file with types
            says itself what is text.
    """
    if frame.columns.empty:
        return None
    columns = {name: cast(pd.Series, frame[name]) for name in frame.columns}
    texts = {name: one for name, one in columns.items() if pd.api.types.is_string_dtype(one)}
    filled = {name: one.where(one != "") for name, one in texts.items()}
    if plain:
        filled = {name: _as_numbers(one) for name, one in filled.items()}
    return pd.DataFrame(columns | filled)


def _as_numbers(filled: pd.Series) -> pd.Series:
    """A column as numbers, whole ones also beside gaps; as text where numbers would make one of two cells."""
    numbers = cast(pd.Series, pd.to_numeric(filled, errors="coerce"))
    if not (numbers.notna() == filled.notna()).all() or not numbers.notna().any():
        return filled
    if filled.str.match(LEADING_ZERO).any() or numbers.nunique() < filled.nunique():
        return filled  # "01" and "1", "1.10" and "1.1" are different patients, versions, places
    if not pd.api.types.is_float_dtype(numbers):
        return numbers
    if filled.str.fullmatch(LONG).any():
        return filled  # ids beside missing ones: rounded, they would be others
    is_whole = filled.str.fullmatch(WHOLE) | filled.isna()
    return numbers.astype("Int64") if is_whole.all() else numbers


def _with_splits(
    table: pd.DataFrame, extras: pd.DataFrame | None, splits: list[str] | None, seed: int | None
) -> tuple[pd.DataFrame, pd.DataFrame | None, list[str], bool]:
    """Return the table with its own or a seeded split; then notes, and whether the split was its own."""
    notes: list[str] = []
    labels = [label if isinstance(label, str) else None for label in table["label"]]
    if splits is not None:
        keep_rows, named, notes = one_evaluation_split(splits)
        if len(set(named)) > 1:
            table = table[keep_rows].assign(split=pd.array(named, dtype="str")).reset_index(drop=True)
            extras = None if extras is None else extras.iloc[np.flatnonzero(keep_rows)].reset_index(drop=True)
            labels = [label for label, keep in zip(labels, keep_rows, strict=True) if keep]
            labels, spelled = one_spelling(named, labels)
            table = table.assign(label=pd.array(labels, dtype="str"))
            return table, extras, notes + spelled, True
        notes = [f"the column split has only '{named[0]}'"]
    drawn, more = draw_split(list(table["image_id"]), labels, seed)
    return table.assign(split=pd.array(drawn, dtype="str")), extras, notes + more, False


def _split_names(path: str, splits: pd.Series) -> list[str]:
    names = splits.fillna("").str.strip().str.lower()
    unknown = sorted(set(names) - set(SPLIT_NAMES))
    if unknown:
        raise ImageSourceError(
            f"column split of '{path}' holds '{unknown[0]}' (row {int((names == unknown[0]).argmax()) + 1}). "
            "Use train, val (or valid, validation) and test"
        )
    return [SPLIT_NAMES[name] for name in names]
