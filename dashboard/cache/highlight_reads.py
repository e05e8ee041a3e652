"""Cached reads of what to look at first; the rules are those of `reader.py`."""

from functools import partial

import numpy as np

from core.charts import feature_points
from core.measures import confusions, highlights
from core.measures.slice import Slice
from core.measures.slice_comparison import is_filtered
from core.measures.slice_features import count_firing_images, has_firing
from core.publish.finding import study_finding
from core.store import Study
from dashboard.cache import feature_reads, heatmap_reads, reads
from dashboard.cache.reader import cached_read
from dashboard.cache.reads import of_filter

PICTURES = 3  # heatmaps of a feature that are enough to show it


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


@cached_read(max_entries=32)
def features_to_show(study: Study, population: Slice, n: int) -> list[int]:
    """The `n` features that say most, each of another class as long as there are such, first those that fire
    on a few images with stored heatmaps; none that fires on no image. Under a filter those that fire more
    often on its images than elsewhere, first those with a heatmap on one of them.
    """
    maps = heatmap_reads.map_counts(study, population)
    if is_filtered(study, population):
        order = _listed(study, population)
        return sorted(order, key=lambda number: not maps[number])[:n]
    table = reads.table(study, "features")
    by_likeness = not feature_reads.classes_tell(study) and study.has("top_images")
    order = feature_points.telling_features(table, feature_reads.likeness(study) if by_likeness else None)
    if has_firing(study):
        fires = count_firing_images(study, [reads.mask(study, population)])[0]
        pictured = np.minimum(fires, maps) if study.has("heatmap_features") else fires
        order.sort(key=lambda number: -min(pictured[number], PICTURES))
        order = [number for number in order if fires[number]]
        if len(order) < n:  # an untrained network has few discriminative features, and others fire
            order += [number for number in _listed(study, population) if number not in order]
    classes = dict(zip(table["feature"], table["top_class"], strict=True)) if "top_class" in table else {}
    seen: set[object] = set()
    first = [number for number in order if not (classes.get(number) in seen or seen.add(classes.get(number)))]
    first_ones = set(first)
    return [*first, *(number for number in order if number not in first_ones)][:n]


def _listed(study: Study, population: Slice) -> list[int]:
    """The features that fire on images of a filter, as the page Features lists them."""
    return feature_reads.in_order(study, population, feature_reads.Listing())["feature"].tolist()
