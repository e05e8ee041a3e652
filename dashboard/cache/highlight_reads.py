"""Cached reads of what to look at first; the rules are those of `reader.py`."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from core.charts import feature_points
from core.export import finding as sentence
from core.slices import highlights
from core.slices.inspection.populations import is_filtered
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import heatmap_reads, reads
from dashboard.cache.features import feature_reads
from dashboard.cache.reader import cached_read, named_after

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
    """The `n` features that say most, each of another class as long as there are such, all of them with a
    stored heatmap where there are heatmaps. Under a filter those that fire more often on its images than
    elsewhere, first those with a heatmap on one of them.
    """
    if is_filtered(study, population):
        order = feature_reads.in_order(study, population, feature_reads.Listing())["feature"].tolist()
        mapped = heatmap_reads.map_counts(study, population) > 0
        return sorted(order, key=lambda number: not mapped[number])[:n]
    table = reads.table(study, "features")
    order = feature_points.telling_features(table)
    if study.has("heatmap_features"):
        order = [number for number in order if len(heatmap_reads.rows_with(study, number)) > 2] or order
    fires = reads.firing_classes(study)  # on evaluation images, of which the pages that a click opens speak
    order.sort(key=lambda number: number not in fires)
    classes = dict(zip(table["feature"], table["top_class"], strict=True)) if "top_class" in table else {}
    seen: set[object] = set()
    first = [number for number in order if not (classes.get(number) in seen or seen.add(classes.get(number)))]
    first_ones = set(first)
    return [*first, *(number for number in order if number not in first_ones)][:n]
