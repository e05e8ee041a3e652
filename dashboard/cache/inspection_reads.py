"""Cached reads of everything about a slice; the rules are those of `reader.py`.

Every function takes the filter of a page and returns what holds of its images. Tables of these are read by
`reads.slice_table`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.measures import feature_rates
from core.measures import headline as measured
from core.slices import inspection
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache.reader import cached_read


@cached_read(max_entries=64)
def population(study: Study, where: Slice, against: Slice | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The images of a filter, and those that they are compared with, (n_images,) bool each."""
    return inspection.population(study, where, against)


@cached_read(max_entries=64)
def feature_differences(study: Study, where: Slice, against: Slice | None = None) -> pd.DataFrame:
    """See `core.measures.feature_rates.feature_differences`."""
    return feature_rates.feature_differences(study, *population(study, where, against))


@cached_read(max_entries=64)
def headline(study: Study, where: Slice) -> dict[str, Any]:
    """See `core.measures.headline`."""
    return measured.headline(study, population(study, where)[0])


@cached_read(max_entries=64)
def word_differences(study: Study, where: Slice, against: Slice | None = None) -> pd.DataFrame:
    """See `inspection.words`."""
    return inspection.words(study, *population(study, where, against))
