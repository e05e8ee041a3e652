from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from core.errors import SettingsError
from core.training.config import TrainConfig
from core.training.methods import build_method


def nt_xent(first: np.ndarray, second: np.ndarray, temperature: float) -> float:
    """Chen et al. 2020, eq. 1, one pair after the other."""
    z = np.concatenate([first, second])
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    n, total = len(first), 0.0
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        denominator = sum(np.exp(z[i] @ z[k] / temperature) for k in range(2 * n) if k != i)
        total -= np.log(np.exp(z[i] @ z[j] / temperature) / denominator)
    return total / (2 * n)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("n", [2, 7])
def test_simclr__loss_matches_loop(n, temperature):
    torch.manual_seed(0)
    config = TrainConfig(images="", output="", temperature=temperature, head_hidden=8, head_out=4)
    method = build_method("simclr", nn.Flatten(), 12, config).double()
    views = torch.randn(2 * n, 3, 2, 2, dtype=torch.float64)
    projected = method.head(views.flatten(1)).detach().numpy()  # type: ignore[operator]
    expected = nt_xent(projected[:n], projected[n:], temperature)
    assert_allclose(method.loss(views).item(), expected, rtol=1e-5)  # the loss itself is float32


def test_build_method__unknown_lists_known():
    with pytest.raises(
        SettingsError, match="Unknown method 'simclear'. Known: .*simclr.*Did you mean 'simclr'"
    ):
        build_method("simclear", nn.Identity(), 4, TrainConfig(images="", output=""))
