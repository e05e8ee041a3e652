"""The reader of Parquet footers: it says what was written, and raises ValueError for anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.common.parquet_footer import MAGIC, count_rows, read_footer

ROWS = 100
NUMBERS = {
    "whole": np.arange(ROWS) - 50,
    "byte": np.arange(ROWS, dtype=np.int8),
    "unsigned": np.arange(ROWS, dtype=np.uint32) + 2**31,
    "real": np.linspace(-1, 1, ROWS),
    "truth": np.arange(ROWS) < 70,
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of numbers, texts, times, missing values and columns in columns, in four row groups."""
    columns = {name: pa.array(values) for name, values in NUMBERS.items()}
    columns |= {"text": pa.array(["a", "bc"] * 50), "none": pa.nulls(ROWS, pa.float64())}
    columns |= {"day": pa.array(pd.date_range("2020", periods=ROWS)), "fixed": pa.array([b"abc"] * ROWS)}
    columns["fixed"] = columns["fixed"].cast(pa.binary(3))
    columns["nested"] = pa.array([{"left": 1.5, "right": {"deep": [7, 8]}}] * ROWS)
    file = tmp_path_factory.mktemp("footer") / "t.parquet"
    pq.write_table(pa.table(columns), file, row_group_size=30)
    return file


def test_footer__says_what_was_written(path):
    footer = read_footer(path)
    assert footer.n_rows == count_rows(path) == ROWS
    assert [group.n_rows for group in footer.groups] == [30, 30, 30, 10]
    leaves = {leaf.path: leaf for leaf in footer.leaves}
    assert list(leaves)[-2:] == ["nested.left", "nested.right.deep.list.element"]
    assert [leaves[name].width for name in ("byte", "real", "text", "fixed")] == [4, 8, 0, 3]
    places = {leaf.path: number for number, leaf in enumerate(footer.leaves)}
    for name, values in NUMBERS.items():
        parts = [values[start : start + 30] for start in range(0, ROWS, 30)]
        ends = [group.chunks[places[name]].ends for group in footer.groups]
        assert ends == [(part.min(), part.max()) for part in parts], name
    assert [group.chunks[places["none"]].n_nulls for group in footer.groups] == [30, 30, 30, 10]
    assert footer.groups[0].chunks[places["nested.right.deep.list.element"]].n_values == 60
    assert {footer.groups[0].chunks[places[name]].ends for name in ("none", "day", "text")} == {None}


def test_footer__of_other_bytes_is_an_error_of_one_kind(path, tmp_path, rng):
    whole, changed = path.read_bytes(), tmp_path / "t.parquet"
    end = len(whole) - 8
    start = end - int.from_bytes(whole[end : end + 4], "little")
    refused = 0
    for at in rng.integers(start, end, 20):
        content = bytearray(whole)
        content[at : at + 2] = rng.bytes(2)
        changed.write_bytes(content)
        try:
            read_footer(changed)
        except ValueError:
            refused += 1
    assert refused > 2


@pytest.mark.parametrize(
    "content", [b"", MAGIC, b"x" * 100, MAGIC + b"\xff" * 4 + MAGIC, MAGIC + bytes(4) + MAGIC]
)
def test_footer__of_no_table(tmp_path, content):
    (tmp_path / "t").write_bytes(content)
    for read in (read_footer, count_rows):
        with pytest.raises(ValueError, match="no Parquet file|damaged"):
            read(tmp_path / "t")
    with pytest.raises(FileNotFoundError):
        read_footer(tmp_path / "gone")


def test_footer__nested_without_end_is_refused(tmp_path):
    for body in (b"\x1c" * 5000, b"\x19\xfc" + b"\xff" * 5 + b"\x0f"):  # structures; a list that never ends
        (tmp_path / "t").write_bytes(MAGIC + body + len(body).to_bytes(4, "little") + MAGIC)
        with pytest.raises(ValueError, match="footer is"):
            read_footer(tmp_path / "t")
