"""Cores of a process: those it may use, those that are free, and what native libraries are told."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from core.common import threads


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 8 cores, whose files are written by a function."""
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(threads, "QUOTAS_OF_V1", (tmp_path / "quota", tmp_path / "period"))
    monkeypatch.setattr(threads, "STATISTICS", tmp_path / "stat")
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 8)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    return lambda name, text: (tmp_path / name).write_text(text)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1), ("1600000 100000", 8), ("nonsense", 8)],
)
def test_own_cores__at_most_those_of_the_control_group(machine, quota, expected):
    machine("cpu.max", quota)
    assert threads.own_cores() == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("200000", 2)])
def test_own_cores__of_an_older_control_group(machine, quota, expected):
    machine("quota", f"{quota}\n")
    machine("period", "100000\n")
    assert threads.own_cores() == expected


def test_own_cores__are_shared_by_the_processes_of_torchrun(machine, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert threads.own_cores() == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert threads.own_cores() == 1


@pytest.mark.parametrize(("running", "expected"), [(1, 8), (3, 6), (9, 1), (40, 1)])
def test_free_cores__are_those_that_no_other_thread_computes_on(machine, running, expected):
    assert threads.free_cores() == 8  # nothing says who computes
    machine("stat", f"cpu  1 2 3\nprocs_running {running}\nprocs_blocked 0\n")
    assert threads.free_cores() == expected


def test_free_cores__of_a_process_on_few_of_many_cores(machine, monkeypatch):
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0, 1})
    machine("stat", "procs_running 6\n")
    assert threads.free_cores() == 2


def test_settle__leaves_what_the_user_set_and_measures_again_what_we_set(machine, monkeypatch):
    names = (*threads.ASLEEP, threads.THREADS, threads.OURS)
    for name in names:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    machine("stat", "procs_running 4\n")
    threads.settle_threads()
    assert os.environ[threads.THREADS] == "5" and os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    machine("stat", "procs_running 1\n")
    threads.settle_threads()  # as a process that was started from one of ours
    assert os.environ[threads.THREADS] == "8"
    monkeypatch.setenv(threads.THREADS, "3")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    threads.settle_threads()
    assert os.environ[threads.THREADS] == "3" and os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_command__settles_before_a_native_library_is_loaded():
    code = (
        "import os, sys, core.__main__ as m; m.main = lambda: 'torch' in sys.modules; "
        "assert m.run() is False; assert os.environ['OMP_NUM_THREADS'] and os.environ['OMP_WAIT_POLICY']"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
