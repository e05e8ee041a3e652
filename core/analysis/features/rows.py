"""The rows of a chunk of representations, block by block as float32: stored as such, or as codes by entry."""

import warnings
from collections.abc import Iterator

import numpy as np
import torch

from core.analysis.features.kernels import make_dense
from core.storage.chunked_array import ChunkedArray
from core.storage.layers import DenseCodes

BLOCK_ENTRIES = 256 * 2048  # of half precision that is widened at once, and of firing entries
IN_CACHE = 1 << 18  # entries of codes that are dense at once: 1 MiB
NOWHERE = np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
# Chunks are memory-mapped read-only, which torch cannot express; nothing here writes to them.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


class ChunkRows:
    """ChunkRows (n, r) of a chunk.

    Args:
        stored: (n, r) float32 or float16; None for codes.
        begin, columns, values: codes by entry: row i is values[begin[i] : begin[i + 1]] at these columns,
            ascending, and 0 elsewhere. begin and columns are empty for rows that are stored.
    """

    def __init__(
        self,
        stored: np.ndarray | None,
        n_features: int,
        begin: np.ndarray = NOWHERE[0],
        columns: np.ndarray = NOWHERE[1],
        values: np.ndarray = NOWHERE[2],
    ):
        self.stored, self.n_features = stored, n_features
        self.begin, self.columns, self.values = begin, _unwritten(columns), _unwritten(values)

    @classmethod
    def of_chunk(cls, array: ChunkedArray, chunk: int) -> "ChunkRows":
        if not isinstance(array, DenseCodes):
            return cls(array.chunk(chunk), array.shape[1])
        begin, columns, values = array.entries(chunk)
        return cls(None, array.shape[1], begin, columns, values)

    def __len__(self) -> int:
        return len(self.begin) - 1 if self.stored is None else len(self.stored)

    @property
    def is_sparse(self) -> bool:
        return self.stored is None

    def take(self, rows: np.ndarray) -> "ChunkRows":
        """The rows of these numbers."""
        if self.stored is not None:
            return ChunkRows(np.asarray(self.stored[rows]), self.n_features)
        n = np.diff(self.begin)[rows]
        begin = np.concatenate([[0], np.cumsum(n)])
        shifts = self.begin[rows] - begin[:-1]
        entries = np.repeat(shifts, n) + np.arange(begin[-1])
        return ChunkRows(None, self.n_features, begin, self.columns[entries], self.values[entries])

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield pairs (which rows, their float32 entries), in order; a block of codes until the next one."""
        yield from self.stored_blocks() if self.stored is not None else self._dense_blocks()

    def stored_blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the pairs of `blocks` for stored rows; for codes a single block without entries."""
        if self.stored is None:
            yield slice(0, len(self)), _unwritten(np.zeros((0, 0), np.float32))
            return
        size = max(8, BLOCK_ENTRIES // max(self.n_features, 1))
        height = max(1, len(self)) if self.stored.dtype == np.float32 else size
        for first in range(0, len(self), height):
            here = slice(first, min(first + height, len(self)))
            yield here, as_float32(self.stored[here])

    def _dense_blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Codes are dense in one buffer that stays in the cache, which is cleared entry by entry."""
        dense = np.zeros((max(1, IN_CACHE // max(self.n_features, 1)), self.n_features), np.float32)
        before = self.begin[:1]
        for first in range(0, len(self), len(dense)):
            here = slice(first, min(first + len(dense), len(self)))
            ends = self.begin[here.start : here.stop + 1]
            make_dense(before, ends, self.columns, self.values, dense)
            yield here, dense[: len(ends) - 1]
            before = ends


def _unwritten(values: np.ndarray) -> np.ndarray:
    """A view that cannot be written to, as of mapped files: loops are compiled for one kind only."""
    view = np.asarray(values).view()
    view.flags.writeable = False
    return view


def as_float32(block: np.ndarray) -> np.ndarray:
    """Convert a block to float32 exactly; torch widens half precision ten times as fast as numpy."""
    if block.dtype == np.float16:
        return torch.from_numpy(np.array(block)).float().numpy()
    return np.ascontiguousarray(block, np.float32).view(np.ndarray)
