"""What several threads may do at once in Python 3.11: read .npy files, and compute attributes once.

numpy reads the headers of files with `ast`. Two threads that parse with it at a time disturb each other
(SystemError: "AST constructor recursion depth mismatch"), and Streamlit parses a page each time it draws it.

`functools.cached_property` has one lock for all instances. Where the attributes of two studies ask for each
other's, two threads would wait for each other for ever. As from Python 3.12 on, there is none here.
"""

import functools
import math
import re
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property as cached_property
else:

    class cached_property(functools.cached_property):  # noqa: N801
        """As in Python 3.12: two threads may both compute the value, and one of them is kept."""

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            held = instance.__dict__
            return (
                held[self.attrname]
                if self.attrname in held
                else held.setdefault(self.attrname, self.func(instance))
            )


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
