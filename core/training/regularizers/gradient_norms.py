"""Measure how strongly each term of a loss pulls at one tensor, in the backward pass of the training."""

from functools import partial

import torch
from torch import Tensor


class GradientNorms:
    """Squared norms of the gradients that reach a tensor through its named branches.

    A branch is the same tensor used by one term only, so the gradient through it is that term's gradient.
    Branches of several micro-batches add up, as rows of one batch would.
    """

    def __init__(self) -> None:
        self.squares: dict[str, Tensor] = {}

    def branch(self, name: str, tensor: Tensor) -> Tensor:
        """Return `tensor` for the term `name`; unchanged if no gradient is needed."""
        if not tensor.requires_grad:
            return tensor
        view = tensor.view_as(tensor)
        view.register_hook(partial(self._add, name))
        return view

    def _add(self, name: str, gradient: Tensor) -> None:
        square = gradient.detach().double().square().sum()
        self.squares[name] = self.squares[name] + square if name in self.squares else square

    def take(self, name: str) -> Tensor | None:
        """Return the squared norm since the last call; None if there was no gradient."""
        return self.squares.pop(name, None)


def relative(square: Tensor | None, other: Tensor) -> float:
    """Return the ratio of two norms, given squared; 0 without the first, NaN if the other is 0."""
    if not float(other) > 0:
        return float("nan")
    return 0.0 if square is None else float(torch.sqrt(square / other))
