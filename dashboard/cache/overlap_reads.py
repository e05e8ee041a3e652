"""Cached reads of how heatmaps overlap with masks, of the images of a slice; the rules are of `reader.py`."""

import numpy as np
import pandas as pd

from core.common.dataframes import equals, numbers, where
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import heatmap_reads, inspection_reads, reads
from dashboard.cache.reader import cached_read

MOST_RANKED = 2048  # images whose activation is looked up to find the strongest
LEAST_ALTERED = 10  # with fewer altered images nothing is said of a feature


def by_class(study: Study, population: Slice, variant: str) -> pd.DataFrame:
    """The rows of table `overlap_by_class` of a slice with a mean of this variant."""
    return _means(study, population, "overlap_by_class", variant).dropna(subset="mean").reset_index(drop=True)


def by_group(study: Study, population: Slice, variant: str) -> pd.DataFrame:
    """The rows of table `overlap_summary` of a slice, of this variant and of its images of all splits."""
    table = _means(study, population, "overlap_summary", variant)
    return where(table, equals(table, "split", "all")) if len(table) else table


def _means(study: Study, population: Slice, name: str, variant: str) -> pd.DataFrame:
    if not study.has(name):
        return pd.DataFrame(columns=["label", "images", "mask", "group", "variant", "mean", "low", "high"])
    table = reads.slice_table(study, population, name)
    return where(table, equals(table, "variant", variant))


@cached_read(max_entries=64)
def rows(study: Study, population: Slice) -> pd.DataFrame:
    """`heatmap_reads.overlap_rows` of the images of a slice."""
    table = heatmap_reads.overlap_rows(study)
    return where(table, reads.mask(study, population)[table["row"].to_numpy()])


@cached_read(max_entries=64)
def feature_overlaps(study: Study, population: Slice) -> pd.DataFrame:
    """`heatmap_reads.feature_overlaps` of the features that fire on images of a slice, with `rate`, the share
    of these images on which each fires; most often firing first.
    """
    wide = heatmap_reads.feature_overlaps(study)
    inside = inspection_reads.feature_differences(study, population)
    rate = inside.set_index("feature")["rate"].reindex(wide["feature"]).to_numpy(float)
    wide = wide.assign(rate=rate)
    wide = where(wide, numbers(wide, "rate") > 0)
    return wide.iloc[np.argsort(-numbers(wide, "rate"), kind="stable")].reset_index(drop=True)


@cached_read(max_entries=16)
def kept_shares(study: Study) -> pd.DataFrame:
    """The share of its activation that a feature keeps without the object, and without the background; by
    feature, columns `object` and `background`. Empty where `mask-interventions` has not run; features that
    fire on fewer than LEAST_ALTERED altered images are left out.
    """
    if not study.has("mask_responses"):
        return pd.DataFrame({"object": pd.Series(dtype=float), "background": pd.Series(dtype=float)})
    table = reads.table(study, "mask_responses", ("feature", "alteration", "n", "kept"))
    table = where(table, numbers(table, "n") >= LEAST_ALTERED)
    wide = table.pivot(index="feature", columns="alteration", values="kept")
    wide = wide.reindex(columns=["object removed", "background removed"])
    return wide.set_axis(["object", "background"], axis=1).dropna()


@cached_read(max_entries=1024)
def strongest(study: Study, population: Slice, feature: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of at most `n` images of a slice on which a feature is strongest: first of those for which its map
    is stored, then of those on which it fires. And for which the map is stored, (n_rows,) bool.
    """
    inside = reads.mask(study, population)
    mapped = heatmap_reads.rows_with(study, feature)
    mapped = _strongest_of(study, feature, mapped[inside[mapped]], n)
    rest = firing_rows(study, feature) if len(mapped) < n else np.empty(0, np.int64)
    rest = rest[inside[rest] & ~np.isin(rest, mapped)]
    strongest_rows = np.concatenate([mapped, _strongest_of(study, feature, rest, n - len(mapped))])
    return strongest_rows, np.arange(len(strongest_rows)) < len(mapped)


def _strongest_of(study: Study, feature: int, rows: np.ndarray, n: int) -> np.ndarray:
    """Those of some rows on which the feature is largest. Where they are not among its stored top images, the
    activations of the first rows are looked up.
    """
    top = reads.top_rows(study, feature)
    top = top[np.isin(top, rows)]
    if len(top) < min(n, len(rows)):
        rows = rows[:MOST_RANKED]
        top = rows[np.argsort(-heatmap_reads.activations(study, feature, rows), kind="stable")]
    return np.asarray(top[:n], np.int64)


def firing_rows(study: Study, feature: int) -> np.ndarray:
    """Rising rows of the images on which a feature fires."""
    if not study.has("firing_by_feature_ptr"):
        return np.empty(0, np.int64)
    start, stop = reads.vector(study, "firing_by_feature_ptr")[feature : feature + 2]
    return np.asarray(study.array("firing_by_feature_rows")[int(start) : int(stop)], np.int64)
