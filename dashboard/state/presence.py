"""Which browsers look at pages at the moment, and what the guard tells of them. No streamlit."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# What the guard tells the pages of who is looking: two headers, which no browser can send itself.


ACCESS, BROWSER = "x-peregrine-access", "x-peregrine-browser"
FULL, GUEST = "full", "guest"


# Which browsers look at pages at the moment, by the connections that they hold open. No streamlit.


GRACE = 60.0  # seconds without a connection after which a browser has left: a reload takes a few
MOST_BROWSERS = 10_000  # that are remembered after they left


class Presence:
    """The open connections of each browser, and when its last one ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._open: dict[str, int] = {}
        self._left: dict[str, float] = {}
        self._began = clock()  # before a server starts again, its pages connect again

    @contextmanager
    def connected(self, browser: str) -> Iterator[None]:
        """Hold a connection of a browser."""
        with self._lock:
            self._open[browser] = self._open.get(browser, 0) + 1
        try:
            yield
        finally:
            self._end(browser)

    def has_left(self, browser: str) -> bool:
        """Return True when a browser has had no connection for GRACE seconds."""
        with self._lock:
            return browser not in self._open and (
                self._clock() - self._left.get(browser, self._began) >= GRACE
            )

    def _end(self, browser: str) -> None:
        with self._lock:
            self._open[browser] -= 1
            if not self._open[browser]:
                del self._open[browser]
                self._left.pop(browser, None)
                self._left[browser] = self._clock()
            while len(self._left) > MOST_BROWSERS:  # one that is forgotten has left long ago
                self._left.pop(next(iter(self._left)))


PRESENCE = Presence()  # of this server
