"""Cached reads of everything about a slice; the rules are those of `reader.py`.

Every function takes the filter of a page and returns the numbers of its images, see `core.slices.inspection`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.slices import inspection
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache.reader import cached_read


@cached_read(max_entries=64)
def population(study: Study, where: Slice, against: Slice | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The images of a filter, and those that they are compared with, (n_images,) bool each."""
    return inspection.population(study, where, against)


@cached_read(max_entries=64)
def features(study: Study, where: Slice, against: Slice | None = None) -> pd.DataFrame:
    """See `inspection.feature_differences`."""
    return inspection.feature_differences(study, *population(study, where, against))


@cached_read(max_entries=64)
def headline(study: Study, where: Slice) -> dict[str, Any]:
    """See `inspection.headline`."""
    return inspection.headline(study, population(study, where)[0])


@cached_read(max_entries=64)
def scale(study: Study, where: Slice) -> pd.DataFrame:
    """See `inspection.overlap_scale`."""
    return inspection.overlap_scale(study, population(study, where)[0])


@cached_read(max_entries=64)
def scores(study: Study, where: Slice) -> pd.DataFrame:
    """See `inspection.score_aurocs`."""
    return inspection.score_aurocs(study, population(study, where)[0])


@cached_read(max_entries=64)
def confusions(study: Study, where: Slice) -> pd.DataFrame:
    """See `inspection.confusions`."""
    return inspection.confusions(study, population(study, where)[0])


@cached_read(max_entries=64)
def words(study: Study, where: Slice, against: Slice | None = None) -> pd.DataFrame:
    """See `inspection.words`."""
    return inspection.words(study, *population(study, where, against))


@cached_read(max_entries=32)
def worst(study: Study, where: Slice, min_images: int = 10, against: str = "all") -> pd.DataFrame:
    """See `inspection.worst_within`; the column `where` names the part within the filter."""
    mask, _ = population(study, where)
    return inspection.worst_within(study, mask, within=where, min_images=min_images, against=against)
