"""Object preference: how much more of the heat lies on the object than a uniform heatmap would lay there."""

from typing import NamedTuple

import numpy as np

from core.common.dataframes import numbers
from core.common.statistics.design_effect import groups_among
from core.common.statistics.intervals import mean_interval
from core.reader import StudyReader


class ObjectPreference(NamedTuple):
    """A mean in [-1, 1] with its interval; 0 for a uniform heatmap, NaN where it is not defined."""

    value: float
    low: float
    high: float
    n: int


def object_preference(study: StudyReader, mask: np.ndarray) -> ObjectPreference:
    """Mean of E_i - A_i over images i (docs/method.md 5.1).

    E_i is the share of the heatmap's heat within the core mask (variant `energy`), A_i the share of the input
    view that the mask takes. Student's interval; undefined without images that have heat and a core mask.

    Args:
        mask: (n_images,) bool.
    """
    if not study.has("overlap"):
        return ObjectPreference(np.nan, np.nan, np.nan, 0)
    table = study.table("overlap", ["row", "mask", "energy", "mask_area"])
    mine = table.loc[(table["mask"] == "core").to_numpy(bool) & mask[table["row"].to_numpy()]]
    apart = numbers(mine, "energy") - numbers(mine, "mask_area")
    groups = groups_among(study.groups, mine["row"].to_numpy())
    return ObjectPreference(*mean_interval(apart, within=(-1.0, 1.0), groups=groups))
