import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from core.common.largest_values import first_largest, top_of


@pytest.mark.parametrize("columns", [3, 64, 320, 321, 448, 1000])
def test_top_of__matches_sorting(rng, columns):
    values = torch.from_numpy(rng.normal(size=(17, columns)))
    best, where = top_of(values, 5)
    expected = np.sort(values.numpy(), axis=1)[:, ::-1][:, :5]
    assert_array_equal(best.numpy(), expected)
    assert_array_equal(values.gather(1, where).numpy(), expected)


@pytest.mark.parametrize("columns", [1, 2, 5, 6, 300])
def test_first_largest__takes_the_first_of_equal_ones(rng, columns):
    values = rng.integers(0, 4, (50, columns)).astype(np.float32)
    values[:9] = rng.random((9, columns))
    best, where = first_largest(torch.from_numpy(values), 5)
    expected = np.argsort(-values, axis=1, kind="stable")[:, :5]
    assert_array_equal(where.numpy(), expected)
    assert_array_equal(best.numpy(), np.take_along_axis(values, expected, 1))
