"""Tables in a folder of images that list them or name their labels."""

import csv
import itertools
import json
import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.common.addresses import is_url
from core.common.arrow_tables import as_frame
from core.common.parquet_footer import check_image_rows
from core.common.records import Record, Templates
from core.common.remote_objects import read_object, read_small
from core.data.columns import decide_columns
from core.data.folder_levels import above_of, join
from core.data.folder_walk import Folder
from core.data.source import split_named
from core.data.table_cells import labels_of_cells, text_column
from core.data.table_text import LOOKED_AT, fields_of, writing_of
from core.errors import ImageSourceError, PeregrineError

# A table in a folder of images that lists them, with labels and splits that names of folders do not have.


ENDINGS = (".csv", ".tsv", ".jsonl")
MOST_LISTED_TABLES = 10  # that are looked into
LISTED = 0.5  # of the first cells of a column
say_of_folder_table = Templates.beside(__file__)


def table_notes(root: str, image_ids: Sequence[str]) -> list[Record]:
    """Name the first table in a folder of images, or its folders of splits, that names images of it."""
    tables = [] if is_url(root) else list(itertools.islice(_tables_in(root), MOST_LISTED_TABLES))
    if not tables:
        return []
    names = {os.path.basename(image_id) for image_id in image_ids}
    stems = {os.path.splitext(name)[0] for name in names}
    image_names = names | {stem for stem in stems if not stem.isdecimal()}  # a number may be anything
    for table in tables:
        columns = _columns_of(os.path.join(root, table), image_names)
        if columns:
            return [say_of_folder_table("folder_table", what=table, names=columns)]
    return []


def _tables_in(root: str) -> Iterator[str]:
    """Yield the tables of a folder, those called metadata first, then those of its folders of splits."""
    entries = _tables_sorted(root)
    files = [name for name in entries if name.lower().endswith(ENDINGS)]
    yield from sorted(files, key=lambda name: not name.startswith("metadata."))
    for folder in filter(split_named, entries):
        for name in _tables_sorted(os.path.join(root, folder)):
            if name.startswith("metadata.") and name.lower().endswith(ENDINGS):
                yield f"{folder}/{name}"


def _tables_sorted(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _columns_of(path: str, image_names: set[str]) -> tuple[str, ...]:
    """Return the columns of a table of which one names images, without that one; else nothing."""
    try:
        rows = _lines_of_json(path) if path.endswith(".jsonl") else _rows_of_table(path)
    except (OSError, ValueError, csv.Error):
        return ()
    for at, cells in enumerate(itertools.zip_longest(*rows[1:], fillvalue="")):
        n_listed = sum(os.path.basename(str(cell).replace("\\", "/")) in image_names for cell in cells)
        if n_listed >= max(1, LISTED * len(cells)):
            return tuple(str(name) for column, name in enumerate(rows[0]) if column != at and str(name))
    return ()


def _rows_of_table(path: str) -> list[list[str]]:
    writing = writing_of(path, is_there=lambda cell: False)
    with open(path, encoding=writing.encoding, newline="") as file:
        lines = list(itertools.islice(file, LOOKED_AT))[writing.skipped :]
    rows = fields_of(lines, writing.separator)
    return [list(writing.names), *rows] if writing.names else rows


def _lines_of_json(path: str) -> list[list[str]]:
    with open(path, encoding="utf-8") as file:
        items = [json.loads(line) for line in itertools.islice(file, LOOKED_AT) if line.strip()]
    if not all(isinstance(item, dict) for item in items):
        return []
    names = list(dict.fromkeys(name for item in items for name in item))
    return [names, *([str(item.get(name, "")) for name in names] for item in items)]


# Lists in a folder of images that name these: labels of a split without class folders, or annotations that
# say more than the folders do. Of tables with columns see `folder_table`.


HEAD = 1 << 16  # bytes of a table that are looked at
LINES = 100
MOST_TABLES, MOST_BY_ADDRESS = 40, 4  # that are looked at
MOST_FOLDERS = 50  # in which a bare file name is looked for
MOST_BYTES = 200_000_000
LABELLED = 0.9  # share of images that a file of labels must name
FIELDS = re.compile(r'[\t,;"\']|\s+')
LISTS = (".json", ".txt")
TEXTS = ("caption", "text", "description")  # in the first line of a list of captions


def label_file(root: str, tree: Mapping[str, Folder], folder: str, classes: set[str]) -> str | None:
    """Return the list beside images, or above them, that gives nearly all a label of `classes`."""
    images = tree[folder].images if folder in tree else []
    for path in above_of(folder):
        for table in tree[path].tables if path in tree else []:
            name = join(path, table)
            if images and table.lower().endswith((".txt", ".csv", ".tsv")):
                n_named = len(labels_in(root, name, images, classes))
                if n_named >= LABELLED * len(images):
                    return name
    return None


def labels_in(root: str, table: str, images: Iterable[str], classes: set[str]) -> dict[str, str]:
    """Return the label of each image that a list names; a line holds a file's name and one of `classes`."""
    image_names = set(images)
    labels = {}
    try:
        text = read_small(os.path.join(root, table), MOST_BYTES).decode("utf-8-sig")
    except (OSError, ValueError, PeregrineError):
        return {}
    for line in text.splitlines():
        words = [word for word in FIELDS.split(line) if word]
        name = next(
            (word.rpartition("/")[2] for word in words[:2] if word.rpartition("/")[2] in image_names), None
        )
        label = next((word for word in words if word in classes), None)
        if name is not None and label is not None:
            labels[name] = label
    return labels


def lists_naming(root: str, tree: Mapping[str, Folder], splits: Iterable[str]) -> list[str]:
    """Return the .json and .txt files, in a tree or in a folder without images, that name its images."""
    looked_in = dict.fromkeys(path for split in ("", *splits) for path in above_of(split))
    looked_in |= dict.fromkeys(path for path in tree if path.count("/") < 2 and not tree[path].images)
    names = [join(path, table) for path in looked_in if path in tree for table in _not_of_images(tree[path])]
    most = MOST_BY_ADDRESS if is_url(root) else MOST_TABLES
    places = ImageNames(tree)
    return [name for name in names[:most] if _names_images(_head(os.path.join(root, name)), places)]


class ImageNames:
    """Look-ups of images by a path, or by a bare name with or without extension."""

    def __init__(self, tree: Mapping[str, Folder]):
        self.tree = tree
        with_images = [path for path, folder in tree.items() if folder.images]
        self.folders = with_images if len(with_images) <= MOST_FOLDERS else []
        starts = [path for path in tree if path.count("/") < 1][:MOST_FOLDERS]
        self.starts = sorted({"", *starts})

    def hold(self, word: str) -> bool:
        """Return True for the path or the name of an image."""
        folder, _, name = word.replace("\\", "/").removeprefix("./").strip("/").rpartition("/")
        if not name:
            return False
        if folder:
            return any(self._lies(join(start, folder), name) for start in self.starts)
        return any(self._lies(path, name) for path in self.folders or [""])

    def _lies(self, path: str, name: str) -> bool:
        images = self.tree[path].images if path in self.tree else []
        at = bisect_left(images, name)
        near = images[at : at + 3]
        return name in near or name in [os.path.splitext(image)[0] for image in near]


def _names_images(head: str, images: ImageNames) -> bool:
    lines = [line for line in head.splitlines() if line.strip()]
    if not lines or any(word in lines[0].lower() for word in TEXTS):
        return False
    if head.lstrip()[:1] in ("{", "["):  # JSON, often one line
        names = re.findall(r'"([^"\n]{1,300}\.\w{2,5})"', head)[:LINES]
        return bool(names) and 2 * sum(map(images.hold, names)) >= len(names)
    lines = lines[: LINES + 1]
    if len(lines) > 2:
        lines = lines[1:-1] if len(head) >= HEAD else lines[1:]
    named = sum(any(map(images.hold, _cells(line))) for line in lines)
    return 2 * named >= len(lines)


def _cells(line: str) -> Iterator[str]:
    """Yield cells of a line with a letter and a digit or a dot, as names of files have."""
    for cell in re.split(r'[\t,;"]', line):
        yield from (word for word in {cell.strip(), *cell.split()} if len(word) > 2)


def _head(path: str) -> str:
    try:
        if is_url(path):
            return read_object(path, 0, HEAD).decode("utf-8", "ignore")
        if os.path.islink(path) or not os.path.isfile(path):  # a private file elsewhere; a pipe would block
            return ""
        with open(path, "rb") as file:
            return file.read(HEAD).decode("utf-8", "ignore")
    except (OSError, PeregrineError):
        return ""


def _not_of_images(folder: Folder) -> list[str]:
    """Return the lists of a folder but those of single images, such as captions."""
    lists = [name for name in folder.tables if name.lower().endswith(LISTS)]
    stems = {os.path.splitext(name)[0] for name in folder.images} if lists else set()
    return [name for name in lists if os.path.splitext(name)[0] not in stems]


# Labels of the pictures that img2dataset downloads into folders: NNNNN.parquet beside each folder NNNNN/.
#
# Further columns of the list that was downloaded stand there (`--save_additional_columns`).


SHARD_KEY = "key"  # of a picture: its name without extension
SHARD_WRITTEN = frozenset(  # columns of img2dataset itself
    (
        SHARD_KEY,
        "url",
        "caption",
        "status",
        "error_message",
        "exif",
        "similarity",
        "hash",
        "sha256",
        "md5",
        "sha512",
    )
    + ("width", "height", "original_width", "original_height")
)


def shard_tables(root: str, tree: Mapping[str, Folder], prefixes: Iterable[str]) -> dict[str, str]:
    """Return the table of each folder of pictures below one of `prefixes` that has one beside it."""
    if is_url(root):
        return {}
    places = [
        (join(prefix, name), join(prefix, f"{name}.parquet"))
        for prefix in prefixes
        for name in tree[prefix].folders
    ]
    tables = {join(prefix, name) for prefix in prefixes for name in tree[prefix].tables}
    return {folder: table for folder, table in places if table in tables}


def label_column(root: str, table: str) -> str | None:
    """Return the column of a shard's table that holds labels of images; None where there is none."""
    try:
        frame = _read_shard_table(os.path.join(root, table))
    except (OSError, ValueError, pa.ArrowException):
        return None
    try:
        decision = decide_columns(frame, stated={"path": SHARD_KEY, "split": None}, files=None, table=table)
    except ImageSourceError:  # no keys, or columns that contradict each other
        return None
    return decision.columns.get("label")


def labels_of_shards(
    root: str, tables: Mapping[str, str], column: str, names: Sequence[str]
) -> list[str | None]:
    """Return the label of each image of shards, SHARD/KEY.ext; None where its table has none."""
    labels: dict[str, str] = {}
    for folder, table in tables.items():
        try:
            frame = _read_shard_table(os.path.join(root, table))[[SHARD_KEY, column]]
        except (OSError, ValueError, KeyError, pa.ArrowException):
            continue
        texts, _ = labels_of_cells(text_column(cast(pd.Series, frame[column])))
        keys = [join(folder, str(key)) for key in frame[SHARD_KEY]]
        labels |= {key: text for key, text in zip(keys, texts, strict=True) if isinstance(text, str)}
    return [labels.get(os.path.splitext(name)[0]) for name in names]


def _read_shard_table(path: str) -> pd.DataFrame:
    """Read the keys and the columns that are not img2dataset's."""
    check_image_rows(path)
    fields = [one for one in pq.read_schema(path) if not pa.types.is_nested(one.type)]
    names = [field.name for field in fields if field.name == SHARD_KEY or field.name not in SHARD_WRITTEN]
    return as_frame(pq.read_table(path, columns=names))
