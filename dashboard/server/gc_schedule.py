"""Garbage is collected while nobody waits.

Streamlit would collect at the end of every run, before the browser hears that the run has ended
(`runner.postScriptGC`, off in the settings), and walk each time through everything the server holds.
"""

import atexit
import gc
import threading

REST_S = 1.0  # between the end of a run and the collection


class Collector:
    """One collection for all runs that end while it is due."""

    def __init__(self) -> None:
        self.due = False
        self._seen: set[str] = set()  # pages that have run
        self._lock = threading.Lock()

    def after_run(self, page: str) -> None:
        """A run of this page has ended."""
        with self._lock:
            if self.due:
                return
            self.due = True
        timer = threading.Timer(REST_S, self._collect, (page,))
        timer.daemon = True
        timer.start()

    def _collect(self, page: str) -> None:
        gc.collect()
        if (
            page not in self._seen
        ):  # what its first run loaded lives as long as the server does: skip it later
            self._seen.add(page)
            gc.freeze()
        self.due = False


after_run = Collector().after_run
atexit.register(gc.unfreeze)  # or libraries would complain, at the end, of what nobody took down
