"""Collect what parts of a page draw while a block runs: a menu or a file holds what was shown inside."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")


class Collector(Generic[T]):
    """A list that is open while a block runs; the innermost block gets what is drawn in it."""

    def __init__(self, name: str) -> None:
        self._open: ContextVar[list[T] | None] = ContextVar(name, default=None)

    @contextmanager
    def collect(self) -> Iterator[list[T]]:
        """Open a list; it is filled until the block ends."""
        items: list[T] = []
        before = self._open.set(items)
        try:
            yield items
        finally:
            self._open.reset(before)

    def add(self, item: T) -> None:
        """Add something that was drawn; nothing happens outside of a block."""
        if (items := self._open.get()) is not None:
            items.append(item)
