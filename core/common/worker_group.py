"""Several processes on one study (torchrun): who writes which chunk, waiting for each other, and leaving."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from core.errors import JobError

SHARED = ("embed", "analyze", "demo", "train", "finetune")  # commands whose work several processes share
# The first process may work alone for hours while the others wait. One that dies is noticed at once.
PATIENCE = timedelta(days=14)
TORCHRUN = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK", "ROLE_WORLD_SIZE"),
    *("GROUP_WORLD_SIZE", "TORCHELASTIC_RUN_ID"),
)


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
        """Return when every process has come here.

        Raises:
            JobError: another one has ended before.
        """
        if self.size > 1:
            import torch.distributed

            try:
                torch.distributed.barrier()
            except RuntimeError as error:
                raise JobError(
                    f"process {self.rank} of {self.size} stops because another one has ended; its own error "
                    "says why"
                ) from error

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

    leave_at_exit()
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo", timeout=PATIENCE)
    return Ranks(int(os.environ["RANK"]), size)


def is_first() -> bool:
    """True in a process that torchrun did not start, and in the first of those that it did."""
    return os.environ.get("RANK", "0") == "0"


def takes_part(shared: bool) -> bool:
    """Whether this process has anything to do in a command.

    Args:
        shared: the command is for several processes. Any other is the first one's alone, which from here on
            knows of no others, so that it waits for none.
    """
    if shared:
        return True
    first = is_first()
    for name in TORCHRUN:
        os.environ.pop(name, None)
    return first


def leave_at_exit() -> None:
    """Let this process leave its group when it ends; to be called before the group is made.

    The threads of gloo may still want Python for the last tensor they sent. A Python that is ending refuses,
    and about one process in ten then dies (SIGABRT, "terminate called without an active exception") after all
    its work is done. Leaving the group waits for these threads, if nothing else holds the group: hence the
    import, whose functions have the group of that moment among their default arguments.
    """
    import torch.distributed.nn

    if not torch.distributed.is_initialized():
        atexit.register(_leave)


def _leave() -> None:
    import torch.distributed

    if torch.distributed.is_initialized():
        gc.collect()  # a model wrapped for training holds the group, and may lie in a cycle
        torch.distributed.destroy_process_group()
