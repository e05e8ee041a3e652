"""Check that a Parquet file fits into memory when unpacked: a few kilobytes can hold millions of rows."""

from __future__ import annotations

import os

import pyarrow.parquet as pq

MOST_ROWS = 10_000_000  # rows of a table of images, which is kept in memory
MOST_BYTES = 4_000_000_000
MANY = 1_000_000


def check_image_rows(path: str) -> None:
    """Raise ValueError for a table of images with too many rows, or too much text in them."""
    n_rows = _check_bytes(path)
    if n_rows > MOST_ROWS:
        raise ValueError(f"it has {n_rows:,} rows; a study may have at most {MOST_ROWS:,} images")


def check_caption_rows(path: str) -> None:
    """Raise ValueError for a bank that must be repetitive: less than a byte for each of many captions."""
    n_rows, n_bytes = _check_bytes(path), os.path.getsize(path)
    if n_rows > MANY and n_bytes < n_rows:
        raise ValueError(f"it has {n_rows:,} rows in {n_bytes:,} bytes, so nearly all captions are the same")


def _check_bytes(path: str) -> int:
    """Return the number of rows; raise ValueError if the unpacked columns would not fit into memory."""
    about = pq.read_metadata(path)
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    n_bytes = sum(
        group.column(column).total_uncompressed_size
        for group in groups
        for column in range(about.num_columns)
    )
    if n_bytes > MOST_BYTES:
        raise ValueError(f"it has {n_bytes / 1e6:,.0f} MB when unpacked; limit {MOST_BYTES / 1e6:,.0f} MB")
    return about.num_rows
