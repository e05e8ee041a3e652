"""The largest values of each row. torch is imported on the first call."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

GROUP = 64  # the k largest lie in the k groups with the largest maxima


def top_of(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest numbers of each row of any matrix and their columns, as torch's topk, but faster.

    Selecting whole groups by their maxima first reads each value once; a plain top-k takes longer than the
    matrix product that made the values. Neighbouring columns are of one group on a CPU, which reads a row
    from left to right, and of different groups on a GPU, which reads them all at once.
    """
    import torch

    n, m = values.shape
    n_groups = m // GROUP
    if n_groups <= k:
        return values.topk(min(k, m), dim=1)
    head, spread = values[:, : n_groups * GROUP], values.device.type != "cpu"
    by_group = head.unflatten(1, (GROUP, n_groups)) if spread else head.unflatten(1, (n_groups, GROUP)).mT
    groups = by_group.amax(1).topk(k, dim=1).indices[:, None]  # (n, 1, k)
    members = by_group.gather(2, groups.expand(n, GROUP, k)).flatten(1)
    number = torch.arange(GROUP, device=values.device)[:, None]
    columns = (groups + number * n_groups if spread else groups * GROUP + number).flatten(1)
    rest = values[:, n_groups * GROUP :]
    if rest.shape[1]:
        members = torch.cat([members, rest], 1)
        tail = torch.arange(n_groups * GROUP, m, device=values.device).expand(n, -1)
        columns = torch.cat([columns, tail], 1)
    best, order = members.topk(k, dim=1)
    return best, columns.gather(1, order)


def first_largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest numbers of each row, largest first, and their columns, the first of equals.

    A plain top-k takes any of them: of logits with ties a class that no argmax would.
    """
    best, columns = values.topk(min(k + 1, values.shape[1]), dim=1)
    tied = (best[:, 1:] == best[:, :-1]).any(1)
    order = values[tied].sort(dim=1, descending=True, stable=True).indices
    columns[tied] = order[:, : best.shape[1]]
    return best[:, :k], columns[:, :k]
