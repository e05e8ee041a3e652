"""Cached reads of what to look at first; the rules are those of `reader.py`."""

from functools import partial

import numpy as np

from core.measures import confusions, highlights
from core.measures.slice import Slice
from core.measures.slice_comparison import is_filtered
from core.publish.finding import study_finding
from core.store import Study
from dashboard.cache import feature_reads, reads
from dashboard.cache.reader import cached_read
from dashboard.cache.reads import of_filter


def _known(study: Study, population: Slice) -> tuple[np.ndarray | None]:
    """The images of a filter; None without one: then those with a known outcome count."""
    return (reads.mask(study, population) if is_filtered(study, population) else None,)


class_accuracy = cached_read(max_entries=32)(of_filter(highlights.class_accuracy, _known))
worst_confusion = cached_read(max_entries=32)(of_filter(confusions.worst_confusion, _known))
worst_slice = cached_read(max_entries=32, spinner="Looking through all slices")(
    of_filter(highlights.worst_slice, _known)
)


@cached_read(max_entries=32, names_features=True)
def finding(study: Study, population: Slice) -> str:
    """See `study_finding`."""
    among, find_worst = _known(study, population)[0], partial(worst_slice, study, population)
    return study_finding(study, among, find_worst=find_worst)


background_features = cached_read(max_entries=32)(of_filter(highlights.background_features, _known))


def features_to_show(study: Study, population: Slice, n: int) -> list[int]:
    """The first `n` features that fire on images of a filter, as the page Features lists them."""
    return feature_reads.in_order(study, population, feature_reads.Listing())["feature"].tolist()[:n]
