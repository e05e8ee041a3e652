"""Keep freed memory for the next pass of a network on a CPU, where the C library is glibc.

By default glibc maps each large array by itself and unmaps it when it is freed. The kernel then clears every
page at its first touch, which takes an eighth to a half of the time of a network's pass
(`make bench ONLY=allocator`). Kept memory is reused as it is; what a step leaves over goes back at its end.
"""

import ctypes
import gc
import os
import platform
from functools import cache

# of malloc.h: how many arrays may be mapped by themselves, and how much free memory may lie at the heap's end
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1
MOST_AT_THE_END = 2**31 - 1  # bytes, the largest int
OWN_WORDS = ("MALLOC_", "GLIBC_TUNABLES")  # variables by which users tune the allocator themselves
# How many new containers Python makes between two looks for unreachable ones among the youngest (by default
# 700), and after how many looks at these it takes those that are older.
RARELY = (10_000, 10, 10)


def keep_freed_memory() -> bool:
    """Keep memory that steps free, in this process and its forks, until `give_back_memory`.

    Returns:
        False where nothing was changed: another C library, or the user's own settings of an allocator.
    """
    if any(name.startswith(OWN_WORDS) for name in os.environ) or (libc := _glibc()) is None:
        return False
    return bool(libc.mallopt(M_MMAP_MAX, 0) and libc.mallopt(M_TRIM_THRESHOLD, MOST_AT_THE_END))


def collect_rarely() -> None:
    """Look for unreachable containers less often than Python does, in this process and its forks.

    Imports make a million of them, and all stay: looking at these takes a fifth of the time of an import.
    """
    gc.set_threshold(*RARELY)


def leave_the_rest() -> None:
    """Look for unreachable containers no more: at its end a process looks at all that was ever imported."""
    gc.freeze()


def give_back_memory() -> None:
    """Give memory that steps have freed back to the system."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
