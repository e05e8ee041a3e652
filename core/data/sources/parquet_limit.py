"""Whether a Parquet file unpacks into what a machine can hold: a few kilobytes can be millions of rows."""

from __future__ import annotations

import os

import pyarrow.parquet as pq

MOST_ROWS = 10_000_000  # of a table of images, each of which is kept in memory
MOST_BYTES = 4_000_000_000
MANY = 1_000_000


def check_image_rows(path: str) -> None:
    """Raise ValueError for a table of images with too many rows, or too much text in them."""
    n_rows = _check_bytes(path)
    if n_rows > MOST_ROWS:
        raise ValueError(f"it has {n_rows:,} rows; at most {MOST_ROWS:,} images make a study")


def check_caption_rows(path: str) -> None:
    """Raise ValueError for a bank that can only repeat itself: less than a byte for each of many captions."""
    n_rows, n_bytes = _check_bytes(path), os.path.getsize(path)
    if n_rows > MANY and n_bytes < n_rows:
        raise ValueError(f"it has {n_rows:,} rows in {n_bytes:,} bytes, so nearly all captions are the same")


def _check_bytes(path: str) -> int:
    """The number of rows; ValueError where the columns, unpacked, would not fit into memory."""
    about = pq.read_metadata(path)
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    n_bytes = sum(
        group.column(column).total_uncompressed_size
        for group in groups
        for column in range(about.num_columns)
    )
    if n_bytes > MOST_BYTES:
        raise ValueError(f"it has {n_bytes / 1e6:,.0f} MB when unpacked; at most {MOST_BYTES / 1e6:,.0f} MB")
    return about.num_rows
