"""Work in several threads of this process, and how many cores of it each has."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import starmap
from typing import Any, TypeVar

from core.common.cores import own_cores

MAX_THREADS = 8
Result = TypeVar("Result")


def own_threads() -> int:
    """Return how many threads this process computes in."""
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


def map_in_order(work: Callable[..., Result], items: Iterable[tuple[Any, ...]]) -> Iterator[Result]:
    """Compute work(*item) of each item in several threads, each with one torch thread; yield in order.

    Only a few results are held, and an item is asked for when a thread will soon be free.
    """
    n_threads = own_threads()
    with one_torch_thread():
        if n_threads == 1:
            yield from starmap(work, items)
            return
        waiting: deque[Future[Result]] = deque()
        pool = ThreadPoolExecutor(n_threads)
        try:
            for item in items:
                waiting.append(pool.submit(work, *item))
                if len(waiting) > n_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
