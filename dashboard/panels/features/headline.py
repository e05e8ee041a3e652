"""The sentence above the list of features: what the filter's images make fire."""

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import slice_reads
from dashboard.cache.features import feature_reads
from dashboard.panels.features.population_name import others_name, population_name

SIGNIFICANT = 0.05  # q below which a difference is no chance


def headline(study: Study, population: Slice, features: pd.DataFrame) -> str:
    """Say how many features fire on the images of a filter, and how many of them are typical of these.

    Args:
        features: see `feature_reads.listed`.
    """
    n = slice_reads.count(study, population)
    if not n:
        return "No image fits the filter."
    rate = numbers(features, "rate")
    name = population_name(population)
    if not name:
        telling = int(np.count_nonzero(features["discriminative"].to_numpy(bool) & (rate > 0)))
        line = f"{np.count_nonzero(rate > 0):,} of {len(features):,} features fire on these {n:,} images"
        return line + (f"; {telling:,} are class-specific." if len(study.class_names) > 1 else ".")
    often = rate >= feature_reads.OFTEN
    share = f"{100 * feature_reads.OFTEN:.0f} %"
    line = f"{np.count_nonzero(often):,} features fire on at least {share} of {name}"
    more = feature_reads.more_often_here(study, population)
    if more is not None and len(study.class_names) > 1:
        return f"{line}, {np.count_nonzero(often & more):,} of them more often than on any other class."
    sure = (numbers(features, "q") < SIGNIFICANT) & (numbers(features, "difference") > 0)
    rest = others_name(population)
    return f"{line}, {np.count_nonzero(often & sure):,} of them significantly more often than on {rest}."
