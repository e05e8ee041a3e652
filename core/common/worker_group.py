"""Several processes on one study (torchrun): share chunks, wait for each other, and leave the group."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from core.errors import JobError

# commands whose work several processes share
SHARED = ("embed", "heatmaps", "search", "analyze", "resume", "demo", "train", "finetune")
# The first process may work alone for hours while the others wait. A process that dies is noticed at once.
PATIENCE = timedelta(days=14)
TORCHRUN = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK", "ROLE_WORLD_SIZE"),
    *("GROUP_WORLD_SIZE", "TORCHELASTIC_RUN_ID"),
)


@dataclass(frozen=True)
class Ranks:
    """The rank and size of this process in its group; (0, 1) without torchrun."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def owns(self, chunk: int) -> bool:
        return chunk % self.size == self.rank

    def wait(self) -> None:
        """Return when every process has reached this call.

        Raises:
            JobError: another process has ended early.
        """
        if self.size > 1:
            import torch.distributed

            try:
                torch.distributed.barrier()
            except RuntimeError as error:
                raise JobError(
                    f"process {self.rank} of {self.size} stops because another one has ended; see the error "
                    "of that process"
                ) from error

    @contextmanager
    def first(self) -> Iterator[None]:
        """Run the block in the first process alone, then in the others."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()


def join_ranks() -> Ranks:
    """Connect the processes that torchrun started; a single process needs no group."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Ranks()
    import torch.distributed

    leave_at_exit()
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo", timeout=PATIENCE)
    return Ranks(int(os.environ["RANK"]), size)


def is_first() -> bool:
    """Return True in a process without torchrun, and in the first process of a torchrun."""
    return os.environ.get("RANK", "0") == "0"


def takes_part(shared: bool) -> bool:
    """Return True when this process has work to do in a command.

    Args:
        shared: the command is for several processes. Any other command runs in the first process alone, which
            from then on ignores the others and waits for none of them.
    """
    if shared:
        return True
    first = is_first()
    for name in TORCHRUN:
        os.environ.pop(name, None)
    return first


def leave_at_exit() -> None:
    """Make this process leave its group when it ends; call this before the group is created.

    The threads of gloo may still need Python for the last tensor that they sent. A Python process that is
    ending refuses, and about one process in ten then dies (SIGABRT, "terminate called without an active
    exception") after all its work is done. Leaving the group waits for these threads, unless something else
    holds the group: hence the import, whose functions have the current group among their default arguments.
    """
    import torch.distributed.nn

    if not torch.distributed.is_initialized():
        atexit.register(_leave)


def _leave() -> None:
    import torch.distributed

    if torch.distributed.is_initialized():
        gc.collect()  # a model wrapped for training holds the group, and may be part of a cycle
        torch.distributed.destroy_process_group()
