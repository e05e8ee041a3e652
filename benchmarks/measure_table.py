"""Writes a table of many rows, lists its images, and prints seconds and peak memory as JSON. Own process."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.results import peak_bytes
from core.data.images import open_images

N_CLASSES = 1000
BATCH = 200_000


def rows_of(n_rows: int) -> Iterator[dict[str, str]]:
    """Paths of 46 letters, labels and splits, as long data sets are listed; no file of them is there."""
    for row in range(n_rows):
        number = row % N_CLASSES
        path = f"data/images/part-{number:03d}/picture_{row:012d}.jpg"
        yield {"path": path, "label": f"class {number}", "split": "val" if row % 20 == 1 else "train"}


def rows_of_tree(root: Path) -> Iterator[dict[str, str]]:
    """The files of SPLIT/CLASS/FILE, class after class."""
    for folder in sorted(root.glob("*/*")):
        for entry in os.scandir(folder):
            split, label = folder.parent.name, folder.name
            yield {"path": f"{root.name}/{split}/{label}/{entry.name}", "label": label, "split": split}


def write_table(path: Path, rows: Iterator[dict[str, str]]) -> None:
    """Write a .csv or .parquet, some rows at a time."""
    columns = ("path", "label", "split")
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8") as file:
            file.write(",".join(columns) + "\n")
            file.writelines(",".join(row.values()) + "\n" for row in rows)
        return
    schema = pa.schema([(name, pa.string()) for name in columns])
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(itertools.islice(rows, BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema))


def main(folder: str, ending: str, n_rows: str) -> None:
    """Args: n_rows: a number, or the folder below `folder` whose files are listed."""
    path = Path(folder) / f"long{ending}"
    rows = rows_of(int(n_rows)) if n_rows.isdecimal() else rows_of_tree(Path(folder) / n_rows)
    if os.fork() == 0:  # what writes the table is none of what is measured
        write_table(path, rows)
        os._exit(0)
    if os.wait()[1]:
        raise RuntimeError("the table could not be written")
    before, began = peak_bytes(), time.process_time()
    source = open_images(path)
    measured = {"seconds": time.process_time() - began, "bytes": peak_bytes() - before, "n_rows": len(source)}
    measured |= {
        "file_bytes": path.stat().st_size,
        "n_missing": sum("not found" in note for note in source.notes),
    }
    path.unlink()
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
