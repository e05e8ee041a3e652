"""Names and sizes of charts with a slice or a trait in each row."""

import pandas as pd

from core.common.captions import cut_text
from core.common.dataframes import as_text, words

ROW = 26  # pixels per line of a chart
MOST_SLICES = 12  # rows of a chart of slices
MOST_TRAITS = 8  # on either side of a chart of differences
LONGEST_NAME = 48  # characters; longer names are truncated, the hover text shows them in full


def slice_names(table: pd.DataFrame) -> list[str]:
    """Name the rows of `slice_finder.worst_slices`.

    >>> slice_names(pd.DataFrame({"label": ["dog", None], "trait": ["sand", "feature 12"]}))
    ['dog · sand', 'feature 12']
    """
    pairs = zip(words(table, "label"), words(table, "trait"), strict=True)
    return [" · ".join(part for part in pair if part) for pair in pairs]


def cut_name(name: str) -> str:
    return as_text(cut_text(name, LONGEST_NAME))
