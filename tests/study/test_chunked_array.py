"""Chunked arrays: what is read is what was written, and an interrupted writer goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import ShapeError, StudyError
from core.study import seals
from core.study.chunked_array import ArrayWriter, ChunkedArray, chunk_name, file_sha256, write_whole


def write(folder: Path, whole: np.ndarray, lengths: list[int], fingerprint: str = "f") -> ChunkedArray:
    writer = ArrayWriter(folder, fingerprint)
    edges = np.cumsum([0, *lengths])
    for chunk, (start, stop) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        if not writer.has(chunk):
            writer.put(chunk, whole[start:stop])
    return opened(folder, writer.finish(len(lengths)))


def opened(folder: Path, entry: dict) -> ChunkedArray:
    return ChunkedArray(folder, [c["rows"] for c in entry["chunks"]], entry["dtype"], entry["shape"][1:])


@pytest.mark.parametrize("lengths", [[7], [3, 4], [1, 0, 5, 1], [0, 7]], ids=str)
@pytest.mark.parametrize("shape", [(7,), (7, 3)], ids=str)
def test_reading__equals_the_whole_array(tmp_path, rng, lengths, shape):
    whole = rng.normal(size=shape).astype(np.float32)
    array = write(tmp_path / "a", whole, lengths)
    assert array.shape == whole.shape and array.dtype == whole.dtype
    for key in [
        slice(None),
        slice(2, 6),
        slice(None, None, -2),
        [6, 0, 3, 3],
        whole.reshape(7, -1)[:, 0] > 0,
    ]:
        np.testing.assert_array_equal(array[key], whole[key])
    np.testing.assert_array_equal(array[-1], whole[-1])
    np.testing.assert_array_equal(np.concatenate([chunk for _, chunk in array.chunks()]), whole)
    assert [start for start, _ in array.chunks()] == list(np.cumsum([0, *lengths[:-1]]))


MASK = np.array([True, False, True, True, False, False, True])
KEYS = {  # of 7 rows of 3 by 2
    "a cell": (3, 1, 1), "a row of a row": (3, 1), "a column": np.s_[:, 1], "columns": np.s_[1:6, 0:2, -1],
    "pairs": ([1, 5], [0, 2]), "apart": np.s_[3, :, [0, 1]], "mask and number": (MASK, 1),
    "the last axis": (..., 0), "a new axis": None, "rows of rows": [[0, 6], [2, 2]], "no rows": [],
    "whole": (), "a mask": MASK.tolist(), "a series": pd.Series(MASK), "a number": np.array(4),
    "every second": np.s_[5:0:-2, 1], "none of them": np.s_[4:2, 0],
    "cells": np.arange(42).reshape(7, 3, 2) > 9,
    "a mask that is too short": MASK[:3], "objects": MASK.astype(object), "halves": [0.5, 1.0], "a text": "a",
    "too far": 7, "no such column": np.s_[:, 3], "too many": (0, 0, 0, 0), "a truth": True,
}  # fmt: skip


@pytest.mark.parametrize("name", KEYS)
def test_reading__gives_the_result_of_numpy_or_its_error(tmp_path, name):
    key, whole = KEYS[name], np.arange(42.0).reshape(7, 3, 2)
    array = write(tmp_path / "a", whole, [3, 0, 4])
    try:
        expected = whole[key]
    except IndexError:
        with pytest.raises(IndexError):
            array[key]
    else:
        found = array[key]
        np.testing.assert_array_equal(found, expected)
        assert np.shape(found) == np.shape(expected) and type(found) is type(expected)


@pytest.mark.parametrize("rows", [MASK, MASK.astype(object), [0.0, 1.0]], ids=["mask", "objects", "floats"])
def test_reading__rows_are_whole_numbers(tmp_path, rows):
    with pytest.raises(IndexError, match="numbers"):
        write(tmp_path / "a", np.zeros((7, 2)), [7]).rows(rows)


def test_reading__row_out_of_range(tmp_path, rng):
    array = write(tmp_path / "a", rng.normal(size=(4, 2)), [4])
    with pytest.raises(IndexError, match="range.*4"):
        array.rows([4])


def test_chunks_are_plain_threadsafe(tmp_path, rng):
    whole = rng.normal(size=(5, 2))
    write(tmp_path / "a", whole, [3, 2])
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["00000.npy", "00001.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "a" / "00001.npy"), whole[3:])


def test_resume__keeps_finished_chunks_and_ends_byte_identical(tmp_path, rng):
    whole = rng.normal(size=(6, 2))
    write(tmp_path / "straight", whole, [2, 2, 2])
    ArrayWriter(tmp_path / "broken", "f").put(0, whole[:2])
    again = ArrayWriter(tmp_path / "broken", "f")
    assert again.has(0) and not again.has(1)
    write(tmp_path / "broken", whole, [2, 2, 2])
    for chunk in range(3):
        name = chunk_name(chunk)
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


def test_resume__a_chunk_that_is_damaged_or_not_in_the_ledger_is_not_done(tmp_path, rng):
    whole = rng.normal(size=(6, 2))
    writer = ArrayWriter(tmp_path / "a", "f")
    writer.put(0, whole[:2])
    writer.put(1, whole[2:4])
    path = tmp_path / "a" / chunk_name(0)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    np.save(tmp_path / "a" / chunk_name(2), whole[4:])  # renamed, but killed before the ledger entry
    again = ArrayWriter(tmp_path / "a", "f")
    assert [again.has(chunk) for chunk in range(3)] == [False, True, False]


def test_resume__a_ledger_line_cut_short_is_ignored_and_does_not_spoil_the_next(tmp_path, rng):
    whole = rng.normal(size=(4, 2))
    writer = ArrayWriter(tmp_path / "a", "f")
    writer.put(0, whole[:2], extra={"unreadable": [1]})
    with open(writer.ledger, "a") as file:
        file.write('{"chunk": 1, "rows"')
    again = ArrayWriter(tmp_path / "a", "f")
    assert again.has(0) and again.extra(0) == {"unreadable": [1]} and not again.has(1)
    again.put(1, whole[2:])
    assert ArrayWriter(tmp_path / "a", "f").has(1)


@pytest.mark.parametrize(
    "line", ["[" * 100_000, "[1]", '{"chunk": "../../x", "sha256": 1}', '{"chunk": [0]}', "{}", "\0"]
)
def test_resume__a_ledger_line_of_a_stranger_is_ignored(tmp_path, rng, line):
    whole = rng.normal(size=(4, 2))
    ArrayWriter(tmp_path / "a", "f").put(0, whole)
    with open(tmp_path / "a" / "ledger.jsonl", "a") as ledger:
        ledger.write(f"\n{line}\n")
    assert list(ArrayWriter(tmp_path / "a", "f").done) == [0]


def test_resume__a_ledger_of_a_terabyte_is_not_read(tmp_path, rng):
    ArrayWriter(tmp_path / "a", "f").put(0, rng.normal(size=(4, 2)))
    with open(tmp_path / "a" / "ledger.jsonl", "r+b") as ledger:
        ledger.truncate(10**12)
    with pytest.raises(StudyError, match="1,000,000.*268"):
        ArrayWriter(tmp_path / "a", "f")


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "|b1", "|u1", "<U7", "<f2", "<i8"])
def test_opening__does_not_parse_python(tmp_path, rng, monkeypatch, dtype):
    """numpy reads a header by `ast`, which fails now and then where other threads parse (CPython 3.11)."""
    whole = rng.integers(0, 2, (5, 3)).astype(dtype)
    array = write(tmp_path / "a", whole, [2, 3, 0])

    def parse(*_: object, **__: object) -> None:
        raise SystemError("AST constructor recursion depth mismatch (before=88, after=93)")

    monkeypatch.setattr("ast.parse", parse)
    np.testing.assert_array_equal(array[:], whole)
    seals.write_arrays(tmp_path / "a.npz", {"x": whole})
    seals.write_array(tmp_path / "a.npy", whole)
    stored = seals.read_arrays(tmp_path / "a.npz", ["x"])
    assert stored is not None and stored["x"].flags.writeable
    for again in (stored["x"], seals.read_array(tmp_path / "a.npy")):
        assert again is not None and again.dtype == whole.dtype
        np.testing.assert_array_equal(again, whole)


def test_resume__chunks_made_from_something_else_are_discarded(tmp_path, rng):
    ArrayWriter(tmp_path / "a", "old").put(0, rng.normal(size=(2, 2)))
    again = ArrayWriter(tmp_path / "a", "new")
    assert not again.has(0) and (tmp_path / "a" / chunk_name(0)).exists()
    again.put(1, rng.normal(size=(2, 2)))  # the first that takes their place
    assert not (tmp_path / "a" / chunk_name(0)).exists() and ArrayWriter(tmp_path / "a", "new").has(1)


def test_two_processes__write_different_chunks_of_one_array(tmp_path, rng):
    whole = rng.normal(size=(4, 2))
    first, second = ArrayWriter(tmp_path / "a", "f"), ArrayWriter(tmp_path / "a", "f")
    second.put(1, whole[2:])
    first.put(0, whole[:2])
    np.testing.assert_array_equal(opened(tmp_path / "a", first.finish(2))[:], whole)


def test_finish__errors(tmp_path, rng):
    writer = ArrayWriter(tmp_path / "a", "f")
    writer.put(0, np.zeros((2, 2)))
    with pytest.raises(StudyError, match="1.*2.*written"):
        writer.finish(2)
    writer.put(1, np.zeros((2, 3)))
    with pytest.raises(ShapeError, match="differ"):
        writer.finish(2)
    with pytest.raises(ShapeError, match="numbers"):
        writer.put(2, np.array(["a", None], dtype=object))


def test_a_chunk_of_another_shape_than_the_manifest_says_is_refused(tmp_path, rng):
    array = write(tmp_path / "a", rng.normal(size=(4, 2)), [2, 2])
    np.save(tmp_path / "a" / chunk_name(1), np.zeros((1, 2)))
    with pytest.raises(StudyError, match=r"\(1.*2\).*manifest.*\(2.*2\)"):
        array.chunk(1)
    (tmp_path / "a" / chunk_name(0)).unlink()
    with pytest.raises(StudyError, match="verify"):
        array.chunk(0)


def test_a_full_disk__loses_nothing_that_was_finished(tmp_path, rng, monkeypatch):
    writer = ArrayWriter(tmp_path / "a", "f")
    writer.put(0, rng.normal(size=(2, 2)))

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="space"):
        writer.put(1, rng.normal(size=(2, 2)))
    monkeypatch.undo()
    again = ArrayWriter(tmp_path / "a", "f")
    assert again.has(0) and not again.has(1)
    assert not [path for path in (tmp_path / "a").iterdir() if path.suffix == ".tmp"]


def test_write_whole__leaves_nothing_of_a_longer_array(tmp_path, rng):
    folder = tmp_path / "a"
    for chunk in range(2):
        ArrayWriter(folder, "f").put(chunk, rng.normal(size=(2, 3)))
    values = rng.normal(size=(4, 3))
    entry = write_whole(folder, values)
    assert [path.name for path in folder.iterdir()] == [chunk_name(0)]
    assert entry["shape"] == [4, 3] and entry["chunks"] == [
        {"rows": 4, "sha256": file_sha256(folder / chunk_name(0))}
    ]
    assert np.array_equal(np.load(folder / chunk_name(0)), values)
