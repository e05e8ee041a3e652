"""Collections: soon after a run, once for all runs that end until then, and never during one."""

from __future__ import annotations

import gc
import threading
import time
import tomllib
import weakref
from pathlib import Path

import pytest

from dashboard.server import warm_up


class Knot:
    """Refers to itself, so only a collection removes it."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture
def timers(monkeypatch):
    """Timers that run out when the test says so. The dashboard's own, started by tests before, come first."""
    deadline = time.monotonic() + 2 * warm_up.REST_S
    while time.monotonic() < deadline and any(
        isinstance(one, threading.Timer) for one in threading.enumerate()
    ):
        time.sleep(0.01)
    started = []

    class Timer:
        def __init__(self, seconds, function):
            assert seconds > 0
            self.run_out = function

        def start(self):
            started.append(self)

    monkeypatch.setattr(warm_up.threading, "Timer", Timer)
    yield started
    gc.unfreeze()


def collected(collector: warm_up.Collector, timers: list) -> None:
    collector.after_run()
    timers.pop().run_out()


def test_after_run__collects_later_and_once(timers):
    collector = warm_up.Collector()
    knot = weakref.ref(Knot())
    collector.after_run()
    collector.after_run()
    assert len(timers) == 1 and knot() is not None
    timers.pop().run_out()
    assert knot() is None
    collector.after_run()
    assert len(timers) == 1


@pytest.mark.slow
def test_after_run__what_lives_on_is_looked_through_now_and_then(timers):
    seconds = 0.0
    collector = warm_up.Collector(lambda: seconds)
    loaded = Knot()
    collected(collector, timers)
    assert not any(one is loaded for one in gc.get_objects())
    later = Knot()
    collected(collector, timers)
    assert any(one is later for one in gc.get_objects())
    held = weakref.ref(loaded)
    del loaded
    collected(collector, timers)
    assert held() is not None
    seconds = 60.0
    collected(collector, timers)
    assert held() is None


def test_after_run__a_long_collection_is_not_walked_again(timers):
    ticks = iter(range(100))
    collector = warm_up.Collector(lambda: float(next(ticks)))  # each takes a second
    collected(collector, timers)
    loaded = Knot()
    collected(collector, timers)
    assert not any(one is loaded for one in gc.get_objects())


def test_streamlit_itself_collects_nothing_after_a_run():
    settings = Path(__file__).parents[3] / ".streamlit" / "config.toml"
    assert tomllib.loads(settings.read_text())["runner"]["postScriptGC"] is False
