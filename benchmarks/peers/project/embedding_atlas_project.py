"""Embedding Atlas: a table with the bytes of the pictures and a place for each in its map."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

FILE = "photographs.parquet"


def main(folder: str) -> None:
    paths = sorted(Path(folder).iterdir())
    x, y = np.random.default_rng(0).normal(size=(2, len(paths)))
    pictures = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    pd.DataFrame({"name": [path.name for path in paths], "image": pictures, "x": x, "y": y}).to_parquet(FILE)


if __name__ == "__main__":
    main(*sys.argv[1:])
