"""Several processes on one study (torchrun): share chunks, wait for each other, and leave the group.

Each process has a fixed share of what reads images. Where it writes what it makes (`embed`, `heatmaps`,
`search`), all run the step, and each does the chunks that it `owns`. Elsewhere the first process `lead`s: it
runs the step, and the others help: they compute their shares of what `stream_in_order` is asked for, and
wait for the rest of the step, however long it takes.
"""

import atexit
import gc
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from core.common.processes import host_name, watch_connections
from core.errors import JobError, PeregrineError, SettingsError

# The first process may work alone for hours while the others wait. A process that dies is noticed at once.
PATIENCE = timedelta(days=14)
MEETING = timedelta(minutes=10)  # until all processes have started
TOGETHER = 32  # items of a stream that a process is given at once, at most
END = None  # in place of a request or of a part: there are no more
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Ranks:
    """The rank and size of this process in its group; (0, 1) without torchrun."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def are_together(self) -> bool:
        """Whether there are other processes, which run the same as this one and do not help it."""
        return self.size > 1 and self not in _leading

    def owns(self, chunk: int) -> bool:
        return chunk % self.size == self.rank

    def wait(self) -> None:
        """Return when every process has reached this call; JobError if one of them has ended.

        A process that leads has no one to wait for.
        """
        if self.are_together:
            import torch.distributed

            with _unless_another_ended():
                torch.distributed.barrier()

    def agree(self, what: str, value: str) -> None:
        """Raise SettingsError in a process that has another value than the first one, which goes on."""
        if self.is_first:
            for other in range(1, self.size):
                _send(value, other)
        else:
            check_same(what, value, _receive(0))

    @contextmanager
    def first(self) -> Iterator[None]:
        """Run the block in the first process alone, then in the others."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def lead(self, work: Callable[[], _Result]) -> _Result | None:
        """Return what the first process makes alone; the others help with what `stream_in_order` yields.

        Returns:
            None in the others.
        Raises:
            JobError: the first process has ended early.
        """
        if not self.is_first:
            return self._help()
        if self.size == 1:
            return work()
        _leading.append(self)
        try:
            return work()
        finally:
            _leading.remove(self)
            for other in range(1, self.size):
                with suppress(JobError):  # one that has ended needs no end
                    _send(END, other)

    def _help(self) -> None:
        """Compute what the first process asks this one for, until its work ends."""
        while (work := _receive(0)) is not END:
            while (part := _receive(0)) is not END:
                _send(_results_or_error(work, part), 0)


ALONE = Ranks()
_leading: list[Ranks] = []  # the group that this process leads


def check_same(what: str, here: str, first: str) -> None:
    """Raise SettingsError in a process of a command under torchrun that has other files than the first.

    Args:
        here, first: what identifies them in this process and in the first.
    """
    if here != first:
        where = f"process {os.environ['RANK']} of {os.environ['WORLD_SIZE']}, on {host_name()}"
        raise SettingsError(
            f"{where}, sees other {what} than the first process. Every process needs the same files under "
            "the same paths, with the same times"
        )


def stream_in_order(
    work: Callable[[Sequence[_Item]], Iterator[_Result]], items: Sequence[_Item]
) -> Iterator[_Result]:
    """Yield one result of each item in order, its work shared among the processes of a torchrun.

    Alone, `work` gets all items at once and can read ahead. Else part p of the items is of process p modulo
    their number, and `work`, items and results are pickled.
    """
    if not _leading:
        yield from work(items)
        return
    n_processes = _leading[-1].size
    length = max(1, min(len(items) // (4 * n_processes), TOGETHER))  # four parts or more for each
    parts = [items[at : at + length] for at in range(0, len(items), length)]
    helpers = range(1, min(n_processes, len(parts)))
    answering: list[int] = []  # have been given a part
    working: list[int] = []  # have been given the work, and wait for its end
    try:
        for helper in helpers:
            _send(work, helper)
            working.append(helper)
            _send(parts[helper], helper)
            answering.append(helper)
        for number, part in enumerate(parts):
            process = number % n_processes
            if process == 0:
                yield from work(part)
                continue
            answering.remove(process)
            results = _answer_of(process)
            if number + n_processes < len(parts):  # it goes on while its results are used
                _send(parts[number + n_processes], process)
                answering.append(process)
            yield from results
    finally:
        for helper in working:
            with suppress(JobError):
                if helper in answering:  # what it computes now is not needed
                    _receive(helper)
                _send(END, helper)


def _results_or_error(work: Callable[[Any], Iterator[Any]], part: Any) -> tuple[list[Any], Exception | None]:
    try:
        return [*work(part)], None
    except Exception as error:
        return [], _sendable(error)


def _answer_of(process: int) -> list[Any]:
    """Return the results of a process that helps; its error is raised here."""
    results, error = _receive(process)
    if error is not None:
        raise error
    return results


def _sendable(error: Exception) -> Exception:
    """The error as the first process raises it: it says which process had it."""
    where = f"process {os.environ['RANK']} of {os.environ['WORLD_SIZE']}: {error}"
    if not isinstance(error, PeregrineError):
        error.add_note(where)
        return error
    try:
        error.args = (where,)
        return pickle.loads(pickle.dumps(error))
    except TypeError:  # one that is made of several parts
        return JobError(where)


def _send(value: Any, to: int) -> None:
    import torch.distributed

    with _unless_another_ended():
        torch.distributed.send_object_list([value], to)


def _receive(source: int) -> Any:
    import torch.distributed

    received = [None]
    with _unless_another_ended():
        torch.distributed.recv_object_list(received, source)
    return received[0]


@contextmanager
def _unless_another_ended(patience: timedelta | None = None) -> Iterator[None]:
    """Raise JobError where another process has ended, or did not come within `patience`."""
    try:
        yield
    except RuntimeError as error:
        minutes = f", or did not start within {patience.seconds // 60} minutes" if patience else ""
        raise JobError(
            f"process {os.environ['RANK']} of {os.environ['WORLD_SIZE']} stops because another one has "
            f"ended{minutes}; see the error of that process, or whether its machine is still there"
        ) from error


def join_ranks() -> Ranks:
    """Connect the processes that torchrun started; a single process needs no group.

    Raises:
        JobError: the others do not come within MEETING.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    import torch.distributed
    from torch.distributed.rendezvous import rendezvous

    leave_at_exit()
    if not torch.distributed.is_initialized():
        _see_one_gpu()
        with _unless_another_ended(MEETING):
            store, rank, _ = next(rendezvous("env://", timeout=MEETING))
            attempt_store = torch.distributed.PrefixStore(_attempt(size), store)  # pyright: ignore[reportPrivateImportUsage]
            attempt_store.set(str(rank), "here")  # connecting by itself waits as long as any later message
            attempt_store.wait([str(other) for other in range(size)], MEETING)
            torch.distributed.init_process_group("gloo", None, PATIENCE, size, rank, attempt_store)
        watch_connections()
    return Ranks(int(os.environ["RANK"]), size)


def _attempt(size: int) -> str:
    """Name the group that is formed now, in a store that keeps the addresses of earlier ones.

    The store of torchrun outlives a restart. Without it each group has a store of its own, and the name may
    not hold the count of restarts: each machine counts those that began there.
    """
    is_kept = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0) if is_kept else 0} of {size}"


def _see_one_gpu() -> None:
    """Leave this process one GPU of its machine: the GPUs are given out in turns, before CUDA is started."""
    import torch

    every = ",".join(map(str, range(torch.cuda.device_count())))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", every).split(",")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[int(os.environ["LOCAL_RANK"]) % len(visible)]


def leave_at_exit() -> None:
    """Make this process leave its torchrun's group when it ends; called before the group is created.

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
