"""How many images or features a chart shows, as far as its table knows."""

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.common.records import Templates

_say = Templates.beside(__file__)
ROWS = {"image_id": "images", "feature": "features"}  # columns of what has rows of its own
IMAGES = "n"  # column with the number of images that the numbers of a row are of


def shown_count(frame: pd.DataFrame) -> str:
    """State how many images or features the numbers of a chart are of; "" where its table has no such column.

    "" where they are of different numbers of images, too: a chart may leave rows of its table out.

    >>> str(shown_count(pd.DataFrame({"image_id": ["a", "b", "b"]})))
    '2 images'
    >>> shown_count(pd.DataFrame({"remedy": ["refit", "corrected"], "n": [24, 1180]}))
    ''
    """
    for column, kind in ROWS.items():
        if column in frame:
            return _say(kind, n=len(set(frame[column])))
    if IMAGES not in frame:
        return ""
    counts = numbers(frame, IMAGES)
    counts = counts[np.isfinite(counts) & (counts > 0)]
    if not len(counts):
        return ""
    if counts.min() < counts.max():
        return ""
    return _say("images" if len(counts) == 1 else "each_alike", n=int(counts[0]))
