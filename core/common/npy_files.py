"""Arrays of plain .npy files, which several threads may read at once in Python 3.11.

numpy reads the headers of files with `ast`. Two threads that parse with it at a time disturb each other
(SystemError: "AST constructor recursion depth mismatch"), and Streamlit parses a page each time it draws it.
"""

import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

LONGEST_HEADER = 10_000  # bytes, as in numpy
PLAIN = re.compile(
    rb"\{'descr': '([<>|=]?[a-zA-Z][0-9]{0,6})', 'fortran_order': False, "
    rb"'shape': \(([0-9, ]{0,200})\), \} *\n"
)


def map_npy(path: Path) -> np.ndarray:
    """Return the array of a file, memory-mapped; an empty one is an ordinary array.

    Raises:
        OSError: the file cannot be read. ValueError, EOFError: it holds no plain array, or only part of one.
    """
    with open(path, "rb") as file:
        dtype, shape = _read_header(file)
        if 0 in shape:
            return np.empty(shape, dtype)
        return np.memmap(file, dtype, "r", file.tell(), shape)


def read_npy(file: Any, n_bytes: int) -> np.ndarray:
    """Return the array at the beginning of a file that holds `n_bytes`. Raises as `map_npy`."""
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
