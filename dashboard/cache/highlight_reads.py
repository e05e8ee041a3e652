"""Cached reads of what to look at first; the rules are those of `reader.py`."""

from __future__ import annotations

from core.charts import feature_points
from core.slices import highlights
from core.store import Study
from dashboard.cache import heatmap_reads, reads
from dashboard.cache.reader import cached_read


@cached_read(max_entries=8)
def class_accuracy(study: Study) -> highlights.ClassAccuracy | None:
    """See `highlights.class_accuracy`."""
    return highlights.class_accuracy(study)


@cached_read(max_entries=8)
def worst_confusion(study: Study) -> highlights.Confusion | None:
    """See `highlights.worst_confusion`."""
    return highlights.worst_confusion(study)


@cached_read(max_entries=8, spinner="Looking through all slices")
def worst_slice(study: Study) -> highlights.WorstSlice | None:
    """See `highlights.worst_slice`."""
    return highlights.worst_slice(study)


@cached_read(max_entries=8)
def background_features(study: Study) -> list[int]:
    """See `highlights.background_features`."""
    return highlights.background_features(study)


@cached_read(max_entries=8)
def features_to_show(study: Study, n: int) -> list[int]:
    """The `n` features that say most, each of another class as long as there are such, all of them with a
    stored heatmap where there are heatmaps.
    """
    table = reads.table(study, "features")
    order = feature_points.telling_features(table)
    if study.has("heatmap_features"):
        order = [number for number in order if len(heatmap_reads.rows_with(study, number)) > 2] or order
    fires = reads.firing_classes(study)  # on evaluation images, of which the pages that a click opens speak
    order.sort(key=lambda number: number not in fires)
    classes = dict(zip(table["feature"], table["top_class"], strict=True)) if "top_class" in table else {}
    seen: set[object] = set()
    first = [number for number in order if not (classes.get(number) in seen or seen.add(classes.get(number)))]
    chosen = set(first)
    return [*first, *(number for number in order if number not in chosen)][:n]
