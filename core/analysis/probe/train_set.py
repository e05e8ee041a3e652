"""The rows that a probe is trained on, and the standardisation of their columns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.analysis.probe.linear import MEMORY_ENTRIES, ShuffledRows, Standard
from core.common.statistics.moments import Moments
from core.slices.evaluate import class_column
from core.storage.chunked_array import ChunkedArray
from core.store import Study


@dataclass(frozen=True)
class TrainSet:
    """The labelled train rows of a study, and their standardisation."""

    array: ChunkedArray
    rows: np.ndarray  # (n,) image rows, ascending
    codes: np.ndarray  # (n,) class codes
    standard: Standard

    @classmethod
    def of(cls, study: Study) -> "TrainSet":
        array, codes = study.array("representations"), class_column(study, "label")
        rows = np.flatnonzero(~study.is_val & (codes >= 0))
        return cls(array, rows, codes[rows], Standard.of(column_moments(array, rows)))

    def load(self, device: str | torch.device) -> Callable[[np.ndarray], Tensor]:
        return lambda positions: torch.from_numpy(self.array.rows(self.rows[positions])).to(device)

    def batches(self, device: str | torch.device, *, memory_entries: int = MEMORY_ENTRIES) -> ShuffledRows:
        labels = torch.from_numpy(self.codes).to(device)
        return ShuffledRows(
            self.load(device), labels, self.array.shape[1], self.standard, memory_entries=memory_entries
        )


def column_moments(array: ChunkedArray, rows: np.ndarray) -> Moments:
    """Moments of the raw columns over `rows`, chunk by chunk."""
    is_used = np.zeros(len(array), bool)
    is_used[rows] = True
    moments = Moments.empty(array.shape[1])
    for chunk, is_used_here in array.by_chunk(is_used):
        moments = moments.merge(Moments.of_rows(array.chunk(chunk)[is_used_here]))
    return moments
