"""Poolings of a layer's map into one vector (docs/method.md 1.6), and their effect on Grad-CAM (4.1)."""

import torch
from torch import Tensor
from torch.nn import functional

from core.config import POOLINGS
from core.errors import SettingsError, did_you_mean

STRONGEST = 4  # positions of `top4`
POWER = 3  # exponent of `gem3`


def check_pool(pool: str) -> str:
    """Return a known pooling unchanged; raise SettingsError for any other."""
    if pool not in POOLINGS:
        raise SettingsError(
            f"unknown pooling '{pool}'; known: {', '.join(POOLINGS)}.{did_you_mean(str(pool), POOLINGS)}"
        )
    return pool


def pool_map(map_: Tensor, pool: str) -> Tensor:
    """Pool each channel of a map over its n = h w positions.

    gap   1/n sum_p A_p
    max   max_p A_p
    top4  mean of the 4 largest A_p (of all where n < 4)
    gem3  (1/n sum_p max(A_p, 0)^3)^(1/3), the generalised mean; negative values count as 0

    Args:
        map_: (B, C, h, w) float. pool: one of POOLINGS.
    Returns:
        (B, C), in the unit of the map; gem3 is never negative, and its gradient is 0 where it is 0.
    Raises:
        SettingsError: unknown pooling.
    """
    check_pool(pool)
    if pool == "gap":
        return map_.mean(dim=(2, 3))
    if pool == "max":
        return map_.amax(dim=(2, 3))
    if pool == "top4":
        positions = map_.flatten(2)
        return positions.topk(min(STRONGEST, positions.shape[2]), dim=2).values.mean(2)
    positive = functional.relu(map_.float())  # half precision cannot hold 41^3
    cubes = positive.pow(POWER).mean(dim=(2, 3))
    somewhere = cubes > 0
    # The root of 0 has an infinite gradient, which would make NaN of every gradient that it meets.
    return torch.where(somewhere, torch.where(somewhere, cubes, 1).pow(1 / POWER), 0)


def times_mean_gradient(map_: Tensor, pool: str) -> Tensor:
    """Multiply each channel with n times the mean gradient of its pooled value: Grad-CAM before ReLU and 1/n.

    The gradients of gap, max and top4 add up to 1 over the positions, so the map stays as it is. Those of
    gem3 add up to mean(x^2) / mean(x^3)^(2/3), x = max(A, 0): between 0 and 1, 0 for a channel without a
    positive value (docs/method.md 4.1).

    Args:
        map_: (B, C, h, w) float. pool: one of POOLINGS.
    Returns:
        (B, C, h, w).
    """
    if check_pool(pool) != "gem3":
        return map_
    positive = functional.relu(map_)
    squares = positive.pow(POWER - 1).mean(dim=(2, 3), keepdim=True)
    pooled = pool_map(map_, pool)[:, :, None, None]
    return map_ * torch.where(pooled > 0, squares / torch.where(pooled > 0, pooled, 1).square(), 0)
