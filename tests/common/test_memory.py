"""Freed memory is kept until it is given back, and only where the user has not chosen otherwise."""

from __future__ import annotations

import gc
import json
import os
import platform
import subprocess
import sys

import pytest

from core import __main__
from core.common import memory

LOOK = """
import json
import numpy as np
from core.common.memory import give_back_memory, keep_freed_memory

def resident():
    return int(open("/proc/self/status").read().partition("VmRSS:")[2].split()[0]) * 1024

kept, sizes = keep_freed_memory(), [resident()]
arrays = [np.ones(1 << 21) for _ in range(8)]
del arrays
sizes.append(resident())
give_back_memory()
sizes.append(resident())
print(json.dumps([kept, *sizes]))
"""
MOST = 8 * 8 << 21  # bytes of the arrays


def look(**environment: str) -> list[int]:
    """Run LOOK in a process of its own: kept, and its memory before, after and when it was given back."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(memory.OWN_WORDS)}
    command = [sys.executable, "-c", LOOK]
    return json.loads(subprocess.check_output(command, env=own | environment, text=True))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_keep_freed_memory__until_it_is_given_back():
    kept, before, freed, given_back = look()
    assert kept and freed - before > 0.9 * MOST
    assert given_back - before < 0.1 * MOST


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_keep_freed_memory__leaves_the_users_own_settings(name):
    value = "131072" if name.startswith("MALLOC") else "glibc.malloc.trim_threshold=131072"
    kept, before, freed, _ = look(**{name: value})
    assert not kept and freed - before < 0.1 * MOST


def test_keep_freed_memory__elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    assert not memory.keep_freed_memory()
    memory.give_back_memory()


def test_run__keeps_memory_before_a_command_and_leaves_the_rest_after_it(monkeypatch):
    done: list[str] = []
    monkeypatch.setattr(__main__, "keep_freed_memory", lambda: done.append("kept"))
    monkeypatch.setattr(__main__, "main", lambda: done.append("command") or 0)
    monkeypatch.setattr(gc, "freeze", lambda: done.append("left"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert __main__.run() == 0 and done == ["kept", "command", "left"]
