"""Units of data: groups and copies joined, also in chains."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.measures.image_columns import unit_codes


class Images:
    """A study that holds nothing but ids, groups and the table `pictures`."""

    def __init__(self, n: int, groups: list[int] | None = None, **columns: list[str | None]):
        self.n_images = n
        self.groups = None if groups is None else np.array(groups)
        self.tables = {"images": pd.DataFrame({"image_id": [f"i{row}" for row in range(n)]})}
        if columns:
            self.tables["pictures"] = pd.DataFrame(columns, dtype="str")

    def has(self, item: str) -> bool:
        return item in self.tables

    def columns(self, table: str) -> list[str]:
        return list(self.tables[table])

    def column(self, table: str, name: str) -> pd.Series:
        return self.tables[table].loc[:, name]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (Images(3), [0, 1, 2]),
        (Images(0), []),
        (Images(4, groups=[7, 5, 7, 9]), [0, 1, 0, 2]),
        (Images(4, duplicate_of=[None, None, "i0", None]), [0, 1, 0, 2]),
        (Images(4, duplicate_of=["", "", "i0", "gone"], near_duplicate_of=["", "", "", "i2"]), [0, 1, 0, 0]),
        (Images(4, groups=[1, 2, 2, 3], near_duplicate_of=[None, "i0", None, None]), [0, 0, 0, 1]),
    ],
)
def test_unit_codes__join_groups_and_copies(images, expected):
    assert unit_codes(images).tolist() == expected
