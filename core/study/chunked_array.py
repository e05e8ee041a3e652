"""Arrays on disk as folders of plain .npy chunks: `NAME/00000.npy`, `NAME/00001.npy` …"""

import errno
import hashlib
import json
import math
import os
import re
import struct
import tokenize
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.common.command_line import command_line
from core.common.inside import TooLarge, make_durable_folder, parse_json, read_bounded, replacing, sync_folder
from core.errors import NotEnoughMemory, PeregrineError, ShapeError, StudyError, first_line
from core.study.inside import inside
from core.study.leftovers import owner

# Arrays of plain .npy files, which several threads may read at once in Python 3.11.
#
# numpy reads the headers of files with `ast`. Two threads that parse with it at a time disturb each other
# (SystemError: "AST constructor recursion depth mismatch"), and Streamlit parses a page each time it draws
# it.


LONGEST_HEADER = 10_000  # bytes, as in numpy
PLAIN = re.compile(
    rb"\{'descr': '([<>|=]?[a-zA-Z][0-9]{0,6})', 'fortran_order': False, "
    rb"'shape': \(([0-9, ]{0,200})\), \} *\n"
)


def _map_npy(path: Path) -> np.ndarray:
    """Return the array of a study's .npy file, memory-mapped; an empty one is an ordinary array.

    Raises:
        OSError: the file cannot be read. ValueError, EOFError: it holds no plain array, or only part of one.
    """
    with open(path, "rb") as file:
        dtype, shape = _read_header(file)
        if 0 in shape:
            return np.empty(shape, dtype)
        return np.memmap(file, dtype, "r", file.tell(), shape)


def read_npy(file: Any, n_bytes: int) -> np.ndarray:
    """Return the array at the beginning of a study's file of `n_bytes`. Raises as `_map_npy`."""
    dtype, shape = _read_header(file)
    if math.prod(shape) * dtype.itemsize > n_bytes:
        raise ValueError("claims more numbers than there are bytes")
    flat = np.empty(math.prod(shape), dtype)
    if flat.nbytes and file.readinto(flat.view(np.uint8).data) < flat.nbytes:
        raise EOFError("ends before the last number")
    return flat.reshape(shape)


def _read_header(file: Any) -> tuple[np.dtype, tuple[int, ...]]:
    major, _ = np.lib.format.read_magic(file)
    form = "<H" if major == 1 else "<I"
    size = file.read(struct.calcsize(form))
    length = struct.unpack(form, size)[0] if len(size) == struct.calcsize(form) else 0
    header = PLAIN.fullmatch(file.read(length)) if length <= LONGEST_HEADER else None
    if header is None:
        raise ValueError("its header is not that of a plain array")
    dtype = np.dtype(header[1].decode())
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return dtype, tuple(int(size) for size in header[2].split(b",") if size.strip())


# Arrays on disk as folders of plain .npy chunks: `NAME/00000.npy`, `NAME/00001.npy` …
#
# A chunk is written under a temporary name, synced and renamed, and only then entered in the ledger with
# its checksum. Only a chunk that is in the ledger with a matching checksum counts as done, so an
# interrupted run resumes where it stopped, and several processes can write different chunks.


CHUNK_ROWS = 4096
LEDGER, MOST_LEDGER = "ledger.jsonl", 256 << 20  # bytes
# Errors of numpy and zipfile when a changed bit alters a header, a name, the compression or "encrypted".
NO_ARRAY = (ValueError, KeyError, EOFError, SyntaxError, NotImplementedError, RuntimeError)
NO_ARRAY = (*NO_ARRAY, OverflowError, zipfile.BadZipFile, tokenize.TokenError)


def chunk_name(chunk: int) -> str:
    """Name the file of a chunk of a study's array by its number."""
    return f"{chunk:05d}.npy"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file of a study, as its manifest states it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ChunkedArray:
    """A read-only array in chunks, memory-mapped chunk by chunk.

    Rows keep their order across chunks; chunks may differ in length. `array[rows]` returns an ordinary array.

    Args:
        fault: check of values that were read (and whether they are complete): the problem, or None; it keeps
            numbers from a damaged file from being used as indices.
        damaged: builds the error to raise from a description of the problem.
        opened: called after each chunk is opened; it raises when that is no longer the one meant.
        checksums: sha256 of each chunk, compared when it is first read; `verify` compares a study's.
    """

    def __init__(
        self,
        folder: Path,
        rows_per_chunk: Sequence[int],
        dtype: str,
        row_shape: Sequence[int],
        *,
        fault: Callable[[np.ndarray, bool], str | None] | None = None,
        damaged: Callable[[str], PeregrineError] | None = None,
        opened: Callable[[], None] | None = None,
        checksums: Sequence[str | None] = (),
    ):
        self.folder, self._fault, self._damaged, self._opened = folder, fault, damaged, opened
        self._unchecked = dict(enumerate(checksums))
        self.dtype = np.dtype(dtype)
        self.starts = np.concatenate([[0], np.cumsum(rows_per_chunk)]).astype(np.int64)
        self.shape: tuple[int, ...] = (int(self.starts[-1]), *row_shape)
        self._last: tuple[int, np.ndarray] | None = None  # opening a chunk costs more than reading a few rows

    def __getstate__(self) -> dict[str, Any]:
        """A process that shares work opens the chunks itself; what is wrong with them, the study says."""
        return self.__dict__ | {"_last": None, "_damaged": None, "_opened": None}

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def n_chunks(self) -> int:
        return len(self.starts) - 1

    def chunk_start(self, chunk: int) -> int:
        """Return the row number of the chunk's first row."""
        return int(self.starts[chunk])

    def by_chunk(self, values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield every chunk's number with its part of values of all rows."""
        return zip(range(self.n_chunks), np.split(values, self.starts[1:-1]), strict=False)

    def chunk(self, chunk: int) -> np.ndarray:
        """Return one chunk, memory-mapped (an empty one is an ordinary empty array)."""
        last = self._last
        if last is None or last[0] != chunk:
            self._last = last = (chunk, self._open(chunk))
        return last[1]

    def part(self, chunk: int, rows: Any) -> np.ndarray:
        """Return rows of a chunk: a slice, or their numbers in it."""
        return self.chunk(chunk)[rows]

    def _open(self, chunk: int) -> np.ndarray:
        file = f"{self.folder.name}/{chunk_name(chunk)}"
        path = inside(self.folder.parent, file)
        expected = (int(self.starts[chunk + 1] - self.starts[chunk]), *self.shape[1:])
        try:
            rows = _map_npy(path)
        except OSError as error:
            if error.errno == errno.ENOMEM:
                raise NotEnoughMemory(f"not enough memory to read {path}") from error
            raise self.damage(f"{file} cannot be read: {error.strerror or first_line(error)}") from error
        except NO_ARRAY as error:
            raise self.damage(f"{file} cannot be read: {first_line(error).rstrip('. ')}") from error
        if (rows.shape, rows.dtype) != (expected, self.dtype):
            actual, declared = f"{rows.dtype} {rows.shape}", f"{self.dtype} {expected}"
            raise self.damage(f"{file} holds {actual}, but the manifest says {declared}")
        checksum = self._unchecked.get(chunk)
        if checksum is not None and file_sha256(path) != checksum:
            raise self.damage(f"{file} has changed since it was written (checksum differs)")
        self._unchecked.pop(chunk, None)
        if self._opened:
            self._opened()
        return rows

    def damage(self, what: str) -> PeregrineError:
        """Return the error to raise when a file or its content is not what was written."""
        run = command_line("verify", self.folder.parent)
        return self._damaged(what) if self._damaged else StudyError(f"{what}. Run: {run}")

    def _sound(self, values: np.ndarray) -> np.ndarray:
        if self._fault and (what := self._fault(values, len(values) == len(self))):
            raise self.damage(f"{self.folder.name} {what}")
        return values

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield pairs (number of the first row, chunk), in order."""
        return ((self.chunk_start(number), self.chunk(number)) for number in range(self.n_chunks))

    def _row_numbers(self, indices: Any) -> np.ndarray:
        """(n,) int64, from 0. Raises IndexError for a row that is not there, and for what is no number."""
        row_numbers = np.asarray(indices)
        if row_numbers.size and row_numbers.dtype.kind not in "iu":
            raise IndexError(f"rows are whole numbers, not {row_numbers.dtype}")
        row_numbers = row_numbers.astype(np.int64)
        if row_numbers.size and (row_numbers.min() < -len(self) or row_numbers.max() >= len(self)):
            raise IndexError(f"row out of range for {self.folder.name} with {len(self)} rows")
        return np.where(row_numbers < 0, row_numbers + len(self), row_numbers)

    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the rows at `indices`, in that order; only the chunks that contain them are read."""
        row_numbers = self._row_numbers(indices)
        selected = np.empty((len(row_numbers), *self.shape[1:]), self.dtype)
        if (row_numbers[1:] >= row_numbers[:-1]).all():  # as usual: those of each chunk are a slice
            edges = np.searchsorted(row_numbers, self.starts)
            for home in np.flatnonzero(np.diff(edges)).tolist():
                here = slice(edges[home], edges[home + 1])
                selected[here] = self.part(home, row_numbers[here] - self.starts[home])
            return self._sound(selected)
        homes = np.searchsorted(self.starts, row_numbers, side="right") - 1
        for home in np.unique(homes):
            here = np.flatnonzero(homes == home)
            selected[here] = self.part(home, row_numbers[here] - self.starts[home])
        return self._sound(selected)

    def span(self, start: int, stop: int) -> np.ndarray:
        """Return the rows start … stop - 1, read contiguously."""
        start, stop, _ = slice(start, stop).indices(len(self))
        parts = [np.empty((0, *self.shape[1:]), self.dtype)]
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        for number in range(first, self.n_chunks):
            low, high = int(self.starts[number]), int(self.starts[number + 1])
            if low >= stop:
                break
            if high > start:
                rows_of_chunk = slice(max(start - low, 0), min(stop, high) - low)
                parts.append(np.asarray(self.part(number, rows_of_chunk)))
        return self._sound(np.concatenate(parts))

    def __getitem__(self, key: Any) -> Any:
        """What the whole array of NumPy gives for the key; where it names rows, only these are read."""
        keys = key if isinstance(key, tuple) else (key,)
        first, rest = (keys[0], keys[1:]) if keys else (Ellipsis, ())
        if isinstance(first, slice):
            if rest and first.step in (None, 1) and all(isinstance(one, (int, slice)) for one in rest):
                return self._columns(first, rest)
            return self._sliced(first)[(slice(None), *rest)]
        if first is None or first is Ellipsis:
            return self[:][keys]
        named = self._named_rows(first)
        if named.dtype == bool:  # a mask of more than rows
            return self[:][keys]
        rows = self.rows(named.ravel())
        if named.ndim == 1 and not rest:
            return rows
        return rows[(np.arange(named.size).reshape(named.shape)[()], *rest)]

    def _sliced(self, key: slice) -> np.ndarray:
        start, stop, step = key.indices(len(self))
        return self.span(start, stop)[::step] if step > 0 else self.rows(range(start, stop, step))

    def _columns(self, rows: slice, key: tuple[int | slice, ...]) -> np.ndarray:
        """Some columns of a slice of the rows, chunk by chunk: a column is small where the rows are not."""
        start, stop, _ = rows.indices(len(self))
        edges = np.unique(np.clip(self.starts, start, max(start, stop))).tolist()
        spans = list(zip(edges[:-1], edges[1:], strict=True)) or [(start, start)]
        return np.concatenate([self.span(low, high)[(slice(None), *key)] for low, high in spans])

    def _named_rows(self, key: Any) -> np.ndarray:
        """The numbers of the rows that an index names, in its shape; a mask of several axes as it is.

        Raises:
            IndexError: what NumPy says of an index that it does not take.
        """
        named = np.asarray(key)
        if named.size == 0 and not isinstance(key, np.ndarray):
            return named.astype(np.int64)  # an empty list
        if named.dtype.kind in "iu":
            return named
        # A mask is of the first axes alone: asked of these, NumPy copies no whole rows.
        np.broadcast_to(np.int8(0), self.shape[: named.ndim])[key]
        return np.flatnonzero(named) if named.ndim == 1 else named

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)


class MappedArray(ChunkedArray):
    """An array whose rows are a function of those of another one, computed chunk by chunk as they are read.

    Args:
        of: the other array. each: (n, …) rows -> (n, …) float32 rows of the same shape.
    """

    def __init__(self, of: ChunkedArray, each: Callable[[np.ndarray], np.ndarray]):
        super().__init__(of.folder, np.diff(of.starts).tolist(), "float32", of.shape[1:])
        self._of, self._each = of, each

    def _open(self, chunk: int) -> np.ndarray:
        start, stop = self.starts[chunk : chunk + 2].tolist()
        return self._each(self._of.span(start, stop)).astype(self.dtype)


def write_chunk(
    folder: Path, chunk: int, rows: np.ndarray, before_rename: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Store one chunk of a study's array durably and return its ledger entry."""
    rows = np.ascontiguousarray(rows)
    if rows.dtype == object:
        raise ShapeError(f"{folder.name}: chunks hold numbers, got dtype object")
    make_durable_folder(folder)
    with replacing(folder / chunk_name(chunk)) as temporary:
        with open(temporary, "wb") as file:
            np.lib.format.write_array(file, rows, allow_pickle=False)
        checksum = file_sha256(temporary)
        before_rename()
    return {
        "chunk": chunk,
        "rows": len(rows),
        "shape": list(rows.shape[1:]),
        "dtype": rows.dtype.str,
        "sha256": checksum,
    }


def array_entry(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an array's manifest entry, built from the ledger entries of its chunks."""
    chunks = [{"rows": line["rows"], "sha256": line["sha256"]} for line in lines]
    shape = [sum(line["rows"] for line in lines), *lines[0]["shape"]]
    return {"kind": "array", "shape": shape, "dtype": lines[0]["dtype"], "chunks": chunks}


def write_whole(
    folder: Path, values: np.ndarray, before_rename: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Store an array of a study as a single chunk, without a ledger; return its manifest entry."""
    line = write_chunk(folder, 0, values, before_rename)
    for stale in folder.iterdir():
        if stale.name != chunk_name(0):
            stale.unlink()
    sync_folder(folder)
    return array_entry([line])


class ArrayWriter:
    """Write the chunks of one array, keeping those that an earlier, interrupted run has finished.

    `fingerprint` identifies the inputs of the chunks: chunks with another fingerprint are discarded, but not
    before the first chunk of this one is on the disk.

    Args:
        before_first: called before anything of another run is discarded.
    """

    def __init__(self, folder: Path, fingerprint: str, before_first: Callable[[], None] = lambda: None):
        self.folder, self.fingerprint, self._before_first = folder, fingerprint, before_first
        self.ledger = folder / LEDGER
        self.done: dict[int, dict[str, Any]] = {}
        self.has_begun = self._ledger_fits()
        if self.has_begun:
            self._adopt_finished_chunks()

    def begin(self) -> None:
        """Discard the chunks of other inputs, unless this run or another process of it has done so."""
        if not self.has_begun:
            self._before_first()
            self.has_begun = True
            if not self._ledger_fits():
                self._start_again()

    def _ledger_lines(self) -> list[dict[str, Any]]:
        lines = []
        try:
            content = read_bounded(self.ledger, MOST_LEDGER).decode("utf-8", "replace")
        except TooLarge as error:
            raise StudyError(f"'{self.ledger}' is no ledger: {error}. Delete it, and run again") from None
        for text in content.splitlines():
            try:
                line = parse_json(text)
            except ValueError:  # a line truncated by a kill: its chunk counts as not done
                continue
            if isinstance(line, dict) and type(line.get("chunk", 0)) is int:
                lines.append(line)
        return lines

    def _ledger_fits(self) -> bool:
        lines = self._ledger_lines() if self.ledger.exists() else []
        return bool(lines) and lines[0].get("fingerprint") == self.fingerprint

    def _adopt_finished_chunks(self) -> None:
        for line in self._ledger_lines():
            if "chunk" not in line:
                continue
            path = self.folder / chunk_name(line["chunk"])
            # the ledger alone is no proof: a chunk may have been replaced or truncated since it was noted
            if path.exists() and file_sha256(path) == line["sha256"]:
                self.done[line["chunk"]] = line

    def _start_again(self) -> None:
        make_durable_folder(self.folder)
        for stale in self.folder.iterdir():
            if owner(stale.name) is None:  # else the first chunk, about to get its name
                stale.unlink()
        self._append({"fingerprint": self.fingerprint})
        sync_folder(self.folder)

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, ensure_ascii=False)
        descriptor = os.open(self.ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, f"\n{text}\n".encode())  # the leading newline ends a truncated line
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def refresh(self) -> None:
        """Read the ledger again to see which chunks other processes have finished."""
        self.done |= {line["chunk"]: line for line in self._ledger_lines() if "chunk" in line}

    def has(self, chunk: int) -> bool:
        return chunk in self.done

    def extra(self, chunk: int) -> Any:
        """Return what was stored beside a finished chunk."""
        return self.done[chunk]["extra"]

    def put(self, chunk: int, rows: np.ndarray, extra: Any = None) -> None:
        """Store one chunk durably; `extra` is a JSON-able value kept in the ledger until `finish`."""
        line = write_chunk(self.folder, chunk, rows, self.begin) | {"extra": extra}
        self._append(line)
        self.done[chunk] = line

    def finish(self, n_chunks: int) -> dict[str, Any]:
        """Check that all chunks are present and consistent, and return the array's manifest entry."""
        self.refresh()
        absent = [chunk for chunk in range(n_chunks) if chunk not in self.done]
        if absent:
            raise StudyError(f"{self.folder.name}: chunk {absent[0]} of {n_chunks} is not written yet")
        lines = [self.done[chunk] for chunk in range(n_chunks)]
        if len({(line["dtype"], tuple(line["shape"])) for line in lines}) > 1:
            raise ShapeError(f"{self.folder.name}: chunks differ in dtype or row shape")
        self.ledger.unlink()
        sync_folder(self.folder)
        return array_entry(lines)
