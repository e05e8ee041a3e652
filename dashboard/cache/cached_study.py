"""A study for the functions of the catalogue of charts, which reads through the dashboard's cache."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.store import Study
from dashboard.cache import reads


class CachedStudy(Study):
    """A study whose tables and small arrays are read once for all sessions."""

    __slots__ = ("_study",)  # outside `__dict__`, which is the other one's: what it has read is shared

    def __init__(self, study: Study):
        self.__dict__ = study.__dict__
        self._study = study

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        return reads.table(self._study, name, None if columns is None else tuple(columns))

    def vector(self, name: str) -> np.ndarray:
        return reads.vector(self._study, name)
