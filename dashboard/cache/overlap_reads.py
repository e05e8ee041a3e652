"""Cached reads of how heatmaps overlap with masks, of the images of a slice; the rules are of `reader.py`."""

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.common.records import Record
from core.measures import overlap
from core.measures.slice import Slice
from core.store import Study
from dashboard.cache import heatmap_reads, reads
from dashboard.cache.reader import cached_read
from dashboard.state.overlay_images import KINDS


def by_class(study: Study, population: Slice, variant: str) -> pd.DataFrame:
    """The rows of table `overlap_by_class` of a slice with a mean of this variant."""
    return _means(study, population, "overlap_by_class", variant).dropna(subset="mean").reset_index(drop=True)


def by_group(study: Study, population: Slice, variant: str) -> pd.DataFrame:
    """The rows of table `overlap_summary` of a slice, of this variant and of its images of all splits."""
    table = _means(study, population, "overlap_summary", variant)
    return table.loc[table["split"] == "all"].reset_index(drop=True) if len(table) else table


def _means(study: Study, population: Slice, name: str, variant: str) -> pd.DataFrame:
    if not study.has(name):
        return pd.DataFrame(columns=["label", "images", "mask", "group", "variant", "mean", "low", "high"])
    table = reads.slice_table(study, population, name)
    return table.loc[table["variant"] == variant].reset_index(drop=True)


@cached_read(max_entries=32)
def uniform_by_group(study: Study, population: Slice, images: str) -> pd.DataFrame:
    """See `core.measures.overlap`: of the images of a filter."""
    return overlap.uniform_by_group(study, reads.mask(study, population), images)


@cached_read(max_entries=32)
def measured_images(study: Study, population: Slice, variant: str) -> Record:
    """See `core.measures.overlap`: of the images of a filter."""
    return overlap.measured_images(study, reads.mask(study, population), variant)


def kinds(study: Study) -> list[str]:
    """Of "core" and "spurious" those that heatmaps of the study were compared with."""
    measured = set(reads.table(study, "overlap")["mask"])
    return [kind for kind in KINDS if kind in measured]


@cached_read(max_entries=64)
def rows(study: Study, population: Slice) -> pd.DataFrame:
    """`heatmap_reads.overlap_rows` of the images of a slice."""
    table = heatmap_reads.overlap_rows(study)
    return table.loc[reads.mask(study, population)[table["row"].to_numpy()]].reset_index(drop=True)


@cached_read(max_entries=64)
def feature_overlaps(study: Study, population: Slice) -> pd.DataFrame:
    """`heatmap_reads.feature_overlaps` of the features that fire on images of a slice, with `rate`, the share
    of these images on which each fires; most often firing first.
    """
    wide = heatmap_reads.feature_overlaps(study)
    inside = reads.feature_differences(study, population)
    rate = inside.set_index("feature")["rate"].reindex(wide["feature"]).to_numpy(float)
    wide = wide.assign(rate=rate)
    wide = wide.loc[numbers(wide, "rate") > 0].reset_index(drop=True)
    return wide.iloc[np.argsort(-numbers(wide, "rate"), kind="stable")].reset_index(drop=True)
