"""The largest values of each row. torch is imported on the first call."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

GROUP = 64  # the k largest lie in the k groups with the largest maxima


def top_of(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest of each row and their columns (fewer if there are fewer columns).

    Selecting whole groups by their maxima first reads each value once; a plain top-k takes longer than the
    matrix product that made the values.
    """
    import torch

    n, m = values.shape
    n_groups = m // GROUP
    if n_groups <= k:
        return values.topk(min(k, m), dim=1)
    head = values[:, : n_groups * GROUP].reshape(n, n_groups, GROUP)
    groups = head.amax(2).topk(k, dim=1).indices  # (n, k)
    members = head.gather(1, groups[:, :, None].expand(n, k, GROUP)).reshape(n, k * GROUP)
    columns = (groups[:, :, None] * GROUP + torch.arange(GROUP, device=values.device)).reshape(n, k * GROUP)
    rest = values[:, n_groups * GROUP :]
    if rest.shape[1]:
        members = torch.cat([members, rest], 1)
        tail = torch.arange(n_groups * GROUP, m, device=values.device).expand(n, -1)
        columns = torch.cat([columns, tail], 1)
    best, order = members.topk(k, dim=1)
    return best, columns.gather(1, order)
