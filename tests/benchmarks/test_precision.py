"""What the table of bfloat16 counts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.measure_precision import FIRST, overlap_of_first


def test_first_of_rankings__those_that_stay():
    n = 2 * FIRST
    up = np.arange(n, dtype=float)
    first = pd.DataFrame({"image_id": [f"{row}" for row in range(n)], "same": up, "moved": up, "turned": up})
    other = first.assign(moved=np.roll(up, 10), turned=up[::-1], same=3 * up)
    first["flat"], other["flat"] = 1.0, 1.0
    assert overlap_of_first(first, other) == {"same": 1.0, "moved": 0.8, "turned": 0.0}
