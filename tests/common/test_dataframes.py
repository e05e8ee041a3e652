from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.common.dataframes import numbers
from core.errors import StudyError


def test_numbers__missing_is_nan_and_texts_are_refused() -> None:
    table = pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "text": ["1", "../x"]})
    np.testing.assert_array_equal(numbers(table, "n"), [1, np.nan])
    np.testing.assert_array_equal(numbers(table, "none"), [np.nan, np.nan])
    with pytest.raises(StudyError, match="'text'"):
        numbers(table, "text")
