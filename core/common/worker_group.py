"""Several processes on one study (torchrun): share chunks, wait for each other, and leave the group.

Where each process writes what it makes (`embed`, `heatmaps`, `search`), all run the step, and each does the
chunks that it `owns`. Elsewhere the first process runs the step and `lead`s, and the others `help`: each gets
another chunk when it is free. Results come in order, however many processes there are.
"""

import atexit
import gc
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import starmap
from queue import SimpleQueue
from typing import Any, TypeVar

from core.common.processes import host_name, own_cores, watch_connections
from core.errors import JobError, PeregrineError, SettingsError

MAX_THREADS = 8
# The first process may work alone for hours while the others wait. A process that dies is noticed at once.
PATIENCE = timedelta(days=14)
MEETING = timedelta(minutes=10)  # until all processes have started
TOGETHER = 32  # items of a stream that a process is given at once, at most
_Item = TypeVar("_Item")
Result = TypeVar("Result")


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
        """Return when every process has reached this call; JobError if one of them has ended."""
        if self.size > 1:
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

    @contextmanager
    def lead(self) -> Iterator[None]:
        """Run the block in the first process; the others `help` with what `map_in_order` computes in it."""
        if self.size == 1:
            yield
            return
        _leading.append(self)
        try:
            yield
        finally:
            _leading.remove(self)
            for other in range(1, self.size):
                with suppress(JobError):  # one that has ended needs no end
                    _send(END, other)

    def help(self) -> None:
        """Compute what the first process asks for until the block that it leads ends.

        Raises:
            JobError: the first process has ended early.
        """
        while (request := _receive(0)) is not END:
            work, threads = request
            with _torch_threads(threads), ThreadPoolExecutor(threads or own_threads()) as pool:
                slots = [pool.submit(_serve, work, 1 + slot) for slot in range(threads or own_threads())]
                for slot in slots:
                    slot.result()


END = None  # in place of a request or an item: there are no more
_leading: list[Ranks] = []  # the group of the block that this process leads


def check_same(what: str, here: str, first: str) -> None:
    """Raise SettingsError in a process whose files are others than those of the first process.

    Args:
        here, first: what identifies them in this process and in the first.
    """
    if here != first:
        where = f"process {os.environ['RANK']} of {os.environ['WORLD_SIZE']}, on {host_name()}"
        raise SettingsError(
            f"{where}, sees other {what} than the first process. Every process needs the same files under "
            "the same paths, with the same times"
        )


def map_in_order(
    work: Callable[..., Result], items: Iterable[tuple[Any, ...]], *, threads: int | None = None
) -> Iterator[Result]:
    """Compute work(*item) of each item in several threads, and in the processes that `help`; yield in order.

    Only a few results are held, and an item is asked for when one of the threads and processes is free.

    Args:
        work: in a block that `Ranks.lead` runs, it and the items are pickled.
        threads: of each process; None: its share of the cores, each with one torch thread; 1: a single one,
            with as many torch threads as there are.
    """
    others = range(1, _leading[-1].size) if _leading else range(0)
    per_process = threads or own_threads()
    with _torch_threads(threads):
        if per_process == 1 and not others:
            yield from starmap(work, items)
            return
        free: SimpleQueue[tuple[int, int]] = SimpleQueue()  # process and slot, 0 for this one
        for slot in range(per_process):
            for process in (0, *others):
                free.put((process, 1 + slot))
        waiting: deque[Future[Result]] = deque()
        pool = ThreadPoolExecutor(free.qsize())
        most = free.qsize()
        asked: list[int] = []  # a process that was not, since an earlier one has ended, waits for no END

        def compute(item: tuple[Any, ...]) -> Result:
            process, slot = free.get()
            try:
                return _asked(process, slot, item) if process else work(*item)
            finally:
                free.put((process, slot))

        try:
            for other in others:
                _send((work, threads), other)
                asked.append(other)
            for item in items:
                waiting.append(pool.submit(compute, item))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
            for other in asked:
                for slot in range(per_process):
                    with suppress(JobError):
                        _send(END, other, 1 + slot)


def stream_in_order(
    work: Callable[[Sequence[_Item]], Iterator[Result]], items: Sequence[_Item]
) -> Iterator[Result]:
    """Yield what work(items) yields, one result an item, in order, also by the processes that `help`.

    Alone, `work` gets all items at once and can read ahead; else each process gets some when it is free, and
    `work` and the items are pickled.
    """
    if not _leading:
        yield from work(items)
        return
    size = max(1, min(len(items) // (4 * _leading[-1].size), TOGETHER))  # four turns or more for each
    parts = ((items[at : at + size],) for at in range(0, len(items), size))
    for results in map_in_order(partial(_all_of, work), parts, threads=1):
        yield from results


def _all_of(work: Callable[[Sequence[_Item]], Iterator[Result]], items: Sequence[_Item]) -> list[Result]:
    return [*work(items)]


def own_threads() -> int:
    return min(own_cores(), MAX_THREADS)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Restrict torch to one core per thread, because the threads together use all cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _torch_threads(threads: int | None) -> Any:
    return one_torch_thread() if threads is None else nullcontext()


def _asked(process: int, slot: int, item: tuple[Any, ...]) -> Any:
    _send(item, process, slot)
    result, error = _receive(process, slot)
    if error is not None:
        raise error
    return result


def _serve(work: Callable[..., Any], slot: int) -> None:
    """Answer the first process with the results of `work`, or with its error."""
    while (item := _receive(0, slot)) is not END:
        try:
            answer = work(*item), None
        except Exception as error:
            answer = None, _sendable(error)
        _send(answer, 0, slot)


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


def _send(value: Any, to: int, slot: int = 0) -> None:
    import torch
    import torch.distributed

    content = torch.frombuffer(bytearray(pickle.dumps(value, pickle.HIGHEST_PROTOCOL)), dtype=torch.uint8)
    with _unless_another_ended():
        torch.distributed.send(torch.tensor([len(content)]), to, tag=slot)
        torch.distributed.send(content, to, tag=slot)


def _receive(source: int, slot: int = 0) -> Any:
    import torch
    import torch.distributed

    length = torch.empty(1, dtype=torch.int64)
    with _unless_another_ended():
        torch.distributed.recv(length, source, tag=slot)
        content = torch.empty(int(length), dtype=torch.uint8)
        torch.distributed.recv(content, source, tag=slot)
    return pickle.loads(content.numpy().data)


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
        return Ranks()
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
