from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from core.common import remote_cache
from core.common.remote_cache import OUTER_LOCK, cached, entry_of, most_bytes
from core.errors import JobError, SettingsError

ENTRY = 300_000  # bytes


@pytest.fixture(autouse=True)
def small_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PEREGRINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PEREGRINE_CACHE_GB", "0.01")
    monkeypatch.setattr(remote_cache, "_written", {})


def put(number: int) -> Path:
    return cached(entry_of(number), lambda path: path.write_bytes(bytes(ENTRY)), ENTRY)


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_cache__stays_below_its_size_and_forgets_what_was_used_longest_ago(tmp_path):
    for number in range(50):
        put(number)
        put(0)  # used again and again
        assert size(tmp_path / "cache") <= most_bytes()
    assert entry_of(0).exists() and entry_of(49).exists() and not entry_of(1).exists()
    assert size(tmp_path / "cache") > most_bytes() / 2


def fill(first: int) -> None:
    for number in range(first, first + 20):
        put(number)


@pytest.mark.slow
def test_cache__several_processes_share_its_size(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=fill, args=(15 * number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert most_bytes() / 2 < size(tmp_path / "cache") <= most_bytes()


def test_cache__a_half_entry_and_a_failed_one_do_not_count():
    whole = put(1)
    whole.write_bytes(b"cut")
    assert put(1).stat().st_size == ENTRY
    with pytest.raises(ZeroDivisionError):
        cached(entry_of("fails"), lambda path: path.write_bytes(b"half") / 0)
    assert not entry_of("fails").exists()


def test_cache__an_entry_made_of_others_whichever_locks_they_share():
    inner = put(1)
    inner.unlink()
    outer = inner.with_name("made")  # of the same one of 256 locks
    cached(outer, lambda path: path.write_bytes(put(1).read_bytes()), lock=OUTER_LOCK)
    assert outer.read_bytes() == bytes(ENTRY)


def test_cache__only_this_user_reads_it(tmp_path):
    put(1)
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    os.chmod(tmp_path / "cache", 0o777)
    with pytest.raises(JobError, match="PEREGRINE_CACHE=FOLDER"):
        put(2)


@pytest.mark.parametrize("text", ["", "many", "-1", "nan", "inf"])
def test_most_bytes__no_size(monkeypatch, text):
    monkeypatch.setenv("PEREGRINE_CACHE_GB", text)
    with pytest.raises(SettingsError, match="PEREGRINE_CACHE_GB"):
        most_bytes()
