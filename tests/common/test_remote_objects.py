"""Objects over a real server: in parts, failing, cut half way; by the cache and in forked processes."""

from __future__ import annotations

import multiprocessing
import shutil

import pytest

from core.common import remote_objects
from core.common.remote_objects import local_copy, objects_below, open_object, read_object, stat
from core.errors import RemoteError


@pytest.fixture
def big(server, rng, monkeypatch):
    """The address and bytes of an object of three blocks and a bit, whose name needs escapes."""
    monkeypatch.setattr(remote_objects, "BLOCK", 1000)
    data = rng.bytes(3500)
    (server.root / "a b").mkdir()
    (server.root / "a b/100%#1.bin").write_bytes(data)
    (server.root / "small.txt").write_bytes(b"hello")
    return f"{server.url}/a b/100%#1.bin", data


def gets(server) -> int:
    return sum(request.startswith("GET") for request in server.requests)


def test_objects_below__names_and_sizes(server, big):
    assert objects_below(server.url) == ["a b/100%#1.bin", "small.txt"]
    asked = len(server.requests)
    assert stat(big[0]).size == 3500 and len(server.requests) == asked


@pytest.mark.parametrize(
    ("start", "size"), [(0, None), (0, 10), (995, 10), (1000, 1000), (3490, 99), (9000, 5)]
)
def test_read_object__any_part(big, start, size):
    url, data = big
    assert read_object(url, start, size) == data[start : None if size is None else start + size]


def test_read_object__asks_once_for_what_it_has_read(server, big):
    url, data = big
    assert read_object(url, 0, 100) == data[:100] and gets(server) == 1
    assert read_object(url, 900, 100) == data[900:1000] and gets(server) == 1
    assert read_object(url) == data and gets(server) == 4


def test_read_object__a_changed_object_is_read_again(server, big, monkeypatch):
    assert read_object(f"{server.url}/small.txt") == b"hello"
    (server.root / "small.txt").write_bytes(b"other")
    monkeypatch.setattr(remote_objects, "_known", {})  # ten minutes later
    assert read_object(f"{server.url}/small.txt") == b"other"


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("faults", [{"broken": 4}, {"cut": 3}, {"broken": 2, "cut": 2}])
def test_read_object__failing_and_half_sent_answers_are_asked_for_again(server, big, faults, status):
    server.status = status
    for name, times in faults.items():
        setattr(server, name, times)
    assert read_object(big[0]) == big[1]


@pytest.mark.parametrize("faults", [{"broken": 1000}, {"cut": 1000}, {"broken": 1000, "status": 400}])
def test_read_object__gives_up_with_one_line(server, big, faults):
    stat(big[0])
    for name, times in faults.items():
        setattr(server, name, times)
    with pytest.raises(RemoteError, match="cannot read") as error:
        read_object(big[0])
    assert "secret" not in str(error.value) and "\n" not in str(error.value)
    server.broken = server.cut = 0
    assert read_object(big[0]) == big[1]  # nothing half was kept


def test_read_object__missing_and_forbidden(server, big):
    with pytest.raises(FileNotFoundError, match="object"):
        read_object(f"{server.url}/nothing")
    server.status, server.broken = 403, 2
    with pytest.raises(PermissionError, match="permission denied"):
        read_object(big[0])
    assert len(server.requests) == 4  # HEAD and GET, as fsspec asks for a size; no attempt after that


def test_read_object__changed_while_it_is_read(server, big):
    stat(big[0])
    (server.root / "a b/100%#1.bin").write_bytes(b"short")
    with pytest.raises(
        RemoteError, match="changed since it was listed|does not send parts|the server answers 416"
    ):
        read_object(big[0])


def test_read_object__a_server_without_parts(server, big):
    server.knows_ranges = False
    assert read_object(f"{server.url}/small.txt") == b"hello"
    with pytest.raises(RemoteError, match="objects"):
        read_object(big[0])


def test_read_object__without_room_on_the_disk(server, big, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "entry")

    monkeypatch.setattr(remote_objects, "cached", full)
    assert read_object(big[0]) == big[1]


@pytest.mark.parametrize(
    ("bounds", "n_asked"),
    [({"DEEPEST": 3}, 3), ({"MOST_NAMES": 4}, 5), ({"MOST_IN_ANSWER": 19}, 1)],
    ids=["deep", "many", "long"],
)
def test_objects_below__is_bounded(server, monkeypatch, bounds, n_asked):
    (server.root / "a/b/c/d/e").mkdir(parents=True)
    (server.root / "a/b/c/d/e/deep.txt").write_bytes(b"x")
    assert objects_below(server.url) == ["a/b/c/d/e/deep.txt"]
    server.requests.clear()
    for name, value in bounds.items():
        monkeypatch.setattr(remote_objects, name, value)
    with pytest.raises(RemoteError) as error:
        objects_below(server.url)
    assert gets(server) == n_asked and "\n" not in str(error.value)


def test_links_of_a_page__as_they_are_written(monkeypatch):
    page = """<a href="b/">b</a> <A class=x HREF='c d'> <a <a hrefs="no" data-href="no"> http://x/e,
    <a\n href="f.png">"""
    links = ["b/", "c d", "http://x/e", "f.png"]
    assert remote_objects._links_alone(page) == "\n".join(f'<a href="{link}">' for link in links)
    monkeypatch.setattr(remote_objects, "MOST_NAMES", 3)
    with pytest.raises(remote_objects._TooMuch):
        remote_objects._links_alone(page)


def test_read_object__an_answer_that_is_late_as_a_whole(server, big, monkeypatch):
    stat(big[0])
    monkeypatch.setattr(remote_objects, "LONGEST", 0.1)
    remote_objects._opened.cache_clear()
    server.delay = 0.5
    with pytest.raises(RemoteError, match="no whole answer in time"):
        read_object(big[0], 0, 10)
    remote_objects._opened.cache_clear()
    assert gets(server) == 1


def test_read_object__without_memory_is_not_asked_for_again(server, big, monkeypatch):
    tries = []

    def none_left(scheme):
        tries.append(scheme)
        raise MemoryError

    monkeypatch.setattr(remote_objects, "_store", none_left)
    with pytest.raises(RemoteError, match="fits into this machine's memory"):
        stat(big[0])
    assert len(tries) == 1


def test_read_object__in_a_forked_process(server, big):
    """As decoding workers do; the first read starts a thread, which a fork does not take along."""
    assert read_object(big[0], 0, 10) == big[1][:10]
    shutil.rmtree(server.root.parent / "cache")
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        results = [pool.apply_async(read_object, (big[0],)) for _ in range(4)]
        assert [result.get(timeout=60) for result in results] == [big[1]] * 4
    assert gets(server) == 1 + 4  # nothing twice, whoever came first


def test_local_copy_and_open_object(server, big):
    url, data = big
    path = local_copy(url)
    assert path.endswith(".bin") and local_copy(url) == path
    with open(path, "rb") as copy, open_object(url) as file:
        assert copy.read() == data
        assert file.seek(-100, 2) == 3400 and file.read() == data[3400:]


def test_local_copy__larger_than_the_cache(big, monkeypatch):
    monkeypatch.setattr(remote_objects, "most_bytes", lambda: 5000)
    with pytest.raises(RemoteError, match="PEREGRINE_CACHE_GB"):
        local_copy(big[0])
