import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from core.common.statistics.largest import top_of


@pytest.mark.parametrize("columns", [3, 64, 320, 321, 448, 1000])
def test_top_of__matches_sorting(rng, columns):
    values = torch.from_numpy(rng.normal(size=(17, columns)))
    best, where = top_of(values, 5)
    expected = np.sort(values.numpy(), axis=1)[:, ::-1][:, :5]
    assert_array_equal(best.numpy(), expected)
    assert_array_equal(values.gather(1, where).numpy(), expected)
