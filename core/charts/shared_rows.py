"""Rows and titles that several charts share."""

import numpy as np
import pandas as pd

from core.charts.shown_names import as_text
from core.charts.theme import Theme
from core.common.captions import cut_text
from core.common.dataframes import numbers, words

# Names and sizes of charts with a slice or a trait in each row.


ROW = 26  # pixels per line of a chart
MOST_SLICES = 12  # rows of a chart of slices
MOST_TRAITS = 8  # on either side of a chart of differences
LONGEST_NAME = 48  # characters; longer names are truncated, the hover text shows them in full


def slice_names(table: pd.DataFrame) -> list[str]:
    """Name the rows of a chart of `slice_finder.worst_slices`.

    >>> slice_names(pd.DataFrame({"label": ["dog", None], "trait": ["sand", "feature 12"]}))
    ['dog · sand', 'feature 12']
    """
    pairs = zip(words(table, "label"), words(table, "trait"), strict=True)
    return [" · ".join(part for part in pair if part) for pair in pairs]


def cut_name(name: str) -> str:
    """Shorten a name on a chart's axis, and escape it for plotly."""
    return as_text(cut_text(name, LONGEST_NAME))


# Rows and titles that the charts of overlaps with masks share.


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
    """Return the rows of a chart's table in which every named column has the given text."""
    for column, value in values.items():
        frame = frame.loc[frame[column] == value]
    return frame


def has_group(rows: pd.DataFrame, group: str) -> bool:
    """Whether a chart's table has a number for a group, such as misclassified images."""
    return bool(np.isfinite(numbers(chosen_rows(rows, group=group), "mean")).any())


def variant_title(variant: str, theme: Theme) -> str:
    """Return the title of a variant of overlap on a chart; in a narrow one without the bracket."""
    title = VARIANTS.get(variant, variant)
    return title.partition(" (")[0] if theme.width is not None and theme.width < 500 else title
