"""Several processes on one study (torchrun): who writes which chunk, and waiting for each other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Ranks:
    """This process among `size`; (0, 1) without torchrun."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def owns(self, chunk: int) -> bool:
        return chunk % self.size == self.rank

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            import torch.distributed

            torch.distributed.barrier()

    @contextmanager
    def first(self) -> Iterator[None]:
        """The first process runs the block alone, then the others run it."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()


def join_ranks() -> Ranks:
    """The processes that torchrun started, connected; a single process needs nothing."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Ranks()
    import torch.distributed

    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    return Ranks(int(os.environ["RANK"]), size)
