"""Writes a table of many rows, lists its images, and prints seconds and peak memory as JSON. Own process."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.results import peak_bytes
from core.data.sources.images import open_images

N_CLASSES = 1000


def write_table(path: Path, n_rows: int) -> None:
    """A .csv of paths, numbers and names of classes, and a split, as long data sets are listed."""
    with path.open("w", encoding="utf-8") as file:
        file.write("path,class,class_name,subset\n")
        for row in range(n_rows):
            number = row % N_CLASSES
            subset = "val" if row % 20 == 0 else "train"
            file.write(f"{number:03d}/{row:08d}.jpg,{number},class {number},{subset}\n")


def main(folder: str, n_rows: str) -> None:
    path = Path(folder) / "long.csv"
    write_table(path, int(n_rows))
    before, began = peak_bytes(), time.process_time()
    source = open_images(path)
    measured = {"seconds": time.process_time() - began, "bytes": peak_bytes() - before, "n_rows": len(source)}
    measured |= {"file_bytes": path.stat().st_size}
    path.unlink()
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
