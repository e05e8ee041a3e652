"""Networks of which only names and shapes are read: without memory for weights, and without drawing them.

What is drawn on torch's device without memory goes through its compiler, which takes seconds to import.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

DRAWING = (Tensor.normal_, Tensor.uniform_, Tensor.random_, Tensor.bernoulli_, Tensor.exponential_)


class _Undrawn(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        if func in DRAWING or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else options["tensor"]
        return func(*args, **options)


@contextmanager
def without_weights() -> Iterator[None]:
    """Build networks on the device `meta`, and leave out how their weights begin."""
    with torch.device("meta"), _Undrawn():
        yield
