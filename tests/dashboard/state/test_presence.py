"""Which browsers look at pages: when one has left, and when it only loads a page again."""

from __future__ import annotations

from dashboard.state import presence
from dashboard.state.presence import GRACE, Presence


def test_browser__has_left_a_while_after_its_last_connection():
    now = [0.0]
    them = Presence(clock=lambda: now[0])
    with them.connected("a"):
        with them.connected("a"):
            now[0] = 10 * GRACE
        assert not them.has_left("a")  # another tab
        now[0] += 10 * GRACE
        assert not them.has_left("a")
    now[0] += GRACE - 1
    assert not them.has_left("a")  # it loads the page again
    with them.connected("a"):
        pass
    now[0] += GRACE - 1
    assert not them.has_left("a")
    now[0] += 1
    assert them.has_left("a")


def test_browser__of_before_the_server_started_has_time_to_come_back():
    now = [100.0]
    them = Presence(clock=lambda: now[0])
    assert not them.has_left("of before")
    now[0] += GRACE
    assert them.has_left("of before") and not Presence(clock=lambda: now[0]).has_left("of before")


def test_connection__that_fails_ends_too(monkeypatch):
    monkeypatch.setattr(presence, "MOST_BROWSERS", 2)
    now = [0.0]
    them = Presence(clock=lambda: now[0])
    for name in ("a", "b", "c"):
        try:
            with them.connected(name):
                raise OSError
        except OSError:
            pass
    assert len(them._left) == 2 and not them._open
