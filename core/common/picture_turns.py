"""How pictures are wanted by who reads them: at which size, and how long a large one may wait for its turn.

A picture of 100 megapixels may take a gigabyte while it is decoded, so few large ones are decoded at a time.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace

from core.errors import DecoderBusy

LARGE, HUGE = 10_000_000, 40_000_000  # pixels
AT_ONCE = {LARGE: 2, HUGE: 1}  # of one process; a huge picture is a large one, too


@dataclass(frozen=True)
class Wish:
    """How a picture is wanted: its longer side at most so long, its turn after at most so many seconds."""

    side: int | None = None
    wait: float | None = None


AS_IT_IS = Wish()
_wish: ContextVar[Wish] = ContextVar("wish", default=AS_IT_IS)


@contextlib.contextmanager
def wanted(**changes: float) -> Iterator[None]:
    """Decode what is read inside at such a `side`, and `wait` for a turn no longer than that; see `Wish`."""
    token = _wish.set(replace(_wish.get(), **changes))  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        _wish.reset(token)


class Turns:
    """Let few large pictures be decoded at a time by the threads of a process: each may take a gigabyte."""

    def __init__(self) -> None:
        self.slots = {size: threading.BoundedSemaphore(n) for size, n in AT_ONCE.items()}

    @contextlib.contextmanager
    def turn(self, n_pixels: int) -> Iterator[None]:
        """Wait for a turn, those above HUGE for theirs first. Raises DecoderBusy."""
        with contextlib.ExitStack() as taken:
            for size in sorted(self.slots, reverse=True):
                if n_pixels > size:
                    if not self.slots[size].acquire(timeout=_wish.get().wait):
                        raise DecoderBusy("too many large pictures are being read; ask again in a moment")
                    taken.callback(self.slots[size].release)
            yield


TURNS = Turns()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=TURNS.__init__
    )  # nobody in a forked process gives back a turn taken before


def longest_side() -> int | None:
    """Return the longer side at which pictures are wanted here, see `wanted`."""
    return _wish.get().side
