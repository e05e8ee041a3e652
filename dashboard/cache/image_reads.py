"""Cached reads of one image; the rules are those of `reader.py`."""

from __future__ import annotations

import pandas as pd

from core.slices.features import Decision as Decision
from core.slices.features import decision, features_of_image
from core.store import Study
from dashboard.cache import heatmap_reads
from dashboard.cache.reader import cached_read


@cached_read(max_entries=512)
def features(study: Study, row: int) -> tuple[Decision | None, pd.DataFrame]:
    """The probe's decision on an image, and what its features do (see `features_of_image`)."""
    return decision(study, row), features_of_image(study, row)


@cached_read(max_entries=4)
def stored_set(study: Study) -> frozenset[int]:
    """The rows of the images whose heatmap is stored."""
    return frozenset(heatmap_reads.stored_rows(study).tolist())
