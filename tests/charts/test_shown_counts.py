"""The number of images or features that a chart's table knows of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.charts.shown_counts import shown_count
from tests.sentences import as_record

TABLES = {
    "of a picture twice": ({"image_id": ["a", "a", "b"], "feature": [1, 2, 3]}, ("images", 2, None)),
    "of features": ({"feature": [4, 4, 7], "n": [10, 11, 12]}, ("features", 2, None)),
    "of one number": ({"score": ["q", "norm"], "n": [118, 118]}, ("each_alike", 118, None)),
    "of one row": ({"label": ["a", "b", "c"], "n": [24, 0, np.nan]}, ("images", 24, None)),
}


@pytest.mark.parametrize("name", TABLES)
def test_count__is_that_of_the_table(name):
    columns, expected = TABLES[name]
    record = as_record(shown_count(pd.DataFrame(columns)))
    assert (record.kind, record.n, record.of) == expected


@pytest.mark.parametrize(
    "columns", [{"left": [0.1], "all": [9]}, {"n": [0]}, {"n": [np.nan]}, {"n": [24, 118]}]
)
def test_no_count__is_invented(columns):
    assert shown_count(pd.DataFrame(columns)) == ""
