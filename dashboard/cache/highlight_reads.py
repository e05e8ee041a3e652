"""Cached reads of what to look at first; the rules are those of `reader.py`."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from core.charts import feature_points
from core.export import finding as sentence
from core.slices import highlights
from core.slices.firing_counts import count_firing_images, has_firing
from core.slices.inspection.populations import is_filtered
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import heatmap_reads, reads
from dashboard.cache.features import feature_reads
from dashboard.cache.reader import cached_read, named_after

PICTURES = 3  # heatmaps of a feature that are enough to show it
T = TypeVar("T")


def _among(find: Callable[[Study, np.ndarray | None], T]) -> Callable[[Study, Slice], T]:
    """Let a function of images take their filter; without one, those with a known outcome count (None)."""

    @named_after(find)
    def of_its_images(study: Study, population: Slice) -> T:
        return find(study, reads.mask(study, population) if is_filtered(study, population) else None)

    return of_its_images


class_accuracy = cached_read(max_entries=32)(_among(highlights.class_accuracy))
finding = cached_read(max_entries=32)(_among(sentence.study_finding))
worst_confusion = cached_read(max_entries=32)(_among(highlights.worst_confusion))
worst_slice = cached_read(max_entries=32, spinner="Looking through all slices")(
    _among(highlights.worst_slice)
)
background_features = cached_read(max_entries=32)(_among(highlights.background_features))


@cached_read(max_entries=32)
def features_to_show(study: Study, population: Slice, n: int) -> list[int]:
    """The `n` features that say most, each of another class as long as there are such, first those that fire
    on a few images with stored heatmaps. Under a filter those that fire more often on its images than
    elsewhere, first those with a heatmap on one of them.
    """
    maps = heatmap_reads.map_counts(study, population)
    if is_filtered(study, population):
        order = feature_reads.in_order(study, population, feature_reads.Listing())["feature"].tolist()
        return sorted(order, key=lambda number: not maps[number])[:n]
    table = reads.table(study, "features")
    order = feature_points.telling_features(table)
    if has_firing(study):
        fires = count_firing_images(study, [reads.mask(study, population)])[0]
        pictured = np.minimum(fires, maps) if study.has("heatmap_features") else fires
        order.sort(key=lambda number: -min(pictured[number], PICTURES))
    classes = dict(zip(table["feature"], table["top_class"], strict=True)) if "top_class" in table else {}
    seen: set[object] = set()
    first = [number for number in order if not (classes.get(number) in seen or seen.add(classes.get(number)))]
    first_ones = set(first)
    return [*first, *(number for number in order if number not in first_ones)][:n]
