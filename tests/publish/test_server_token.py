from __future__ import annotations

from core.publish.server_token import MOST_CLIENTS, Tries


def test_tries__wait_longer_and_longer():
    tries, now, waits = Tries(), 0.0, []
    for _ in range(10):
        waits.append(tries.wait("a", now))
        now += waits[-1]
        assert tries.wait("a", now) == 0
        tries.note("a", now)
    assert waits == [0, 0, 0, 2, 4, 8, 16, 32, 60, 60]
    assert tries.wait("b", now) == 0


def test_tries__remember_few_clients():
    tries = Tries()
    for client in range(3 * MOST_CLIENTS):
        tries.note(str(client), 0.0)
    assert len(tries._wrong) == MOST_CLIENTS
