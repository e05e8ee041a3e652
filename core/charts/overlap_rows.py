"""Rows and titles that the charts of overlaps with masks share."""

import numpy as np
import pandas as pd

from core.charts.theme import Theme
from core.common.dataframes import numbers

MASKS = ("core", "spurious")
GROUPS = ("correct", "misclassified")
VARIANTS = {
    "paper": "mIoU (heat-weighted, as in the paper)",
    "binary": "mIoU of the binarised heatmap",
    "soft": "soft mIoU (no threshold)",
    "energy": "share of the heat inside the mask",
}
NO_OVERLAP = "No image has both a heatmap and such a mask, so there is no overlap to draw."


def chosen_rows(frame: pd.DataFrame, **values: str) -> pd.DataFrame:
    """Return the rows in which every named column has the given text."""
    for column, value in values.items():
        frame = frame.loc[frame[column] == value]
    return frame


def has_group(rows: pd.DataFrame, group: str) -> bool:
    return bool(np.isfinite(numbers(chosen_rows(rows, group=group), "mean")).any())


def variant_title(variant: str, theme: Theme) -> str:
    """Return the variant's title; in a narrow figure without the part in brackets."""
    title = VARIANTS.get(variant, variant)
    return title.partition(" (")[0] if theme.width is not None and theme.width < 500 else title
