"""Cached reads of one image; the rules are those of `reader.py`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.concepts.interventions import blame
from core.slices.features import Decision as Decision
from core.slices.features import decision, features_of_image
from core.store import Study
from dashboard.cache import heatmap_reads
from dashboard.cache.reader import cached_read

probe_with_means = cached_read(max_entries=4, spinner="Averaging the train images")(blame.ProbeWithMeans.of)


@cached_read(max_entries=512)
def feature_contributions(study: Study, row: int) -> tuple[Decision | None, pd.DataFrame]:
    """The probe's decision on an image, and what its features do (see `features_of_image`)."""
    return decision(study, row), features_of_image(study, row)


@cached_read(max_entries=512)
def without(study: Study, row: int, features: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """See `blame.without`."""
    return blame.without(study, probe_with_means(study), row, features)


@cached_read(max_entries=4)
def stored_set(study: Study) -> frozenset[int]:
    """The rows of the images whose heatmap is stored."""
    return frozenset(heatmap_reads.stored_rows(study).tolist())
