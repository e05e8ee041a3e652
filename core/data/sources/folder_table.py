"""A table in a folder of images that lists them, with labels and splits that names of folders do not have."""

import csv
import itertools
import json
import os
from collections.abc import Iterator, Sequence

from core.common.records import Record, Templates
from core.common.remote.addresses import is_url
from core.data.sources.source import split_named
from core.data.sources.table_text import LOOKED_AT, fields_of, writing_of

ENDINGS = (".csv", ".tsv", ".jsonl")
MOST_TABLES = 10  # that are looked into
LISTED = 0.5  # of the first cells of a column
say_of_folder_table = Templates.beside(__file__)


def table_notes(root: str, image_ids: Sequence[str]) -> list[Record]:
    """Name the first table in a folder, or in its folders of splits, whose cells name images of it."""
    tables = [] if is_url(root) else list(itertools.islice(_tables(root), MOST_TABLES))
    if not tables:
        return []
    names = {os.path.basename(one) for one in image_ids}
    stems = {os.path.splitext(name)[0] for name in names}
    image_names = names | {stem for stem in stems if not stem.isdecimal()}  # a number may be anything
    for table in tables:
        columns = _columns_of(os.path.join(root, table), image_names)
        if columns:
            return [say_of_folder_table("folder_table", what=table, names=columns)]
    return []


def _tables(root: str) -> Iterator[str]:
    """Yield the tables of a folder, those called metadata first, then those of its folders of splits."""
    entries = _sorted(root)
    files = [name for name in entries if name.lower().endswith(ENDINGS)]
    yield from sorted(files, key=lambda name: not name.startswith("metadata."))
    for folder in filter(split_named, entries):
        for name in _sorted(os.path.join(root, folder)):
            if name.startswith("metadata.") and name.lower().endswith(ENDINGS):
                yield f"{folder}/{name}"


def _sorted(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _columns_of(path: str, image_names: set[str]) -> tuple[str, ...]:
    """Return the columns of a table of which one names images, without that one; else nothing."""
    try:
        rows = _lines_of_json(path) if path.endswith(".jsonl") else _rows(path)
    except (OSError, ValueError, csv.Error):
        return ()
    for at, cells in enumerate(itertools.zip_longest(*rows[1:], fillvalue="")):
        n_listed = sum(os.path.basename(str(cell).replace("\\", "/")) in image_names for cell in cells)
        if n_listed >= max(1, LISTED * len(cells)):
            return tuple(str(name) for column, name in enumerate(rows[0]) if column != at and str(name))
    return ()


def _rows(path: str) -> list[list[str]]:
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
