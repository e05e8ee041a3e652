"""torchvision and timm without torch's compiler, which takes longer to import than all else of them.

Two of their modules take a function of the compiler when they are imported: `torchvision.ops.roi_align` to
ask about regions on a GPU, which no encoder has, and `timm.layers.typing` to keep functions from being
compiled. While these are executed, they are given one that imports the compiler when it is called, or that
does nothing while no compiler is loaded. No torch.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

COMPILER, UTILITIES = "torch._dynamo", "torch._dynamo.utils"
FUNCTION = "is_compile_supported"  # of UTILITIES


class CompilerLater(MetaPathFinder):
    """Finds the modules of WHILE_EXECUTED, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in WHILE_EXECUTED or COMPILER in sys.modules:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = LoaderLater(fullname, spec.loader.path)
        return spec


class LoaderLater(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        with WHILE_EXECUTED[module.__name__]():
            super().exec_module(module)


class StandIn(ModuleType):
    """In place of UTILITIES; what it has not is taken from there."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_utilities(), name)


@contextmanager
def _with_stand_in() -> Iterator[None]:
    stand_in = StandIn(UTILITIES)
    vars(stand_in)[FUNCTION] = _is_compile_supported
    sys.modules[UTILITIES] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(UTILITIES) is stand_in:
            del sys.modules[UTILITIES]


def _is_compile_supported(device_type: str) -> bool:
    """Return whether torch.compile supports a device type, without importing its compiler for that."""
    return getattr(_utilities(), FUNCTION)(device_type)


def _utilities() -> ModuleType:
    if isinstance(sys.modules.get(UTILITIES), StandIn):
        del sys.modules[UTILITIES]
    import torch._dynamo.utils

    return torch._dynamo.utils


@contextmanager
def _with_disabling_later() -> Iterator[None]:
    import torch.compiler

    disable = torch.compiler.disable

    def disable_later(function: Callable[..., Any]) -> Callable[..., Any]:
        disabled = cache(lambda: disable(function))

        @wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            return (disabled() if COMPILER in sys.modules else function)(*args, **options)

        return call

    torch.compiler.disable = disable_later
    try:
        yield
    finally:
        torch.compiler.disable = disable


WHILE_EXECUTED: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "torchvision.ops.roi_align": _with_stand_in,
    "timm.layers.typing": _with_disabling_later,
}


def put_off_compiler() -> None:
    """Load networks of torchvision and timm without torch's compiler, imported only where it is called."""
    if not any(isinstance(finder, CompilerLater) for finder in sys.meta_path):
        sys.meta_path.insert(0, CompilerLater())
