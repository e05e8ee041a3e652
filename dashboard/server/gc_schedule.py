"""Garbage is collected while nobody waits.

Streamlit would collect at the end of every run, before the browser hears that the run has ended
(`runner.postScriptGC`, off in the settings), and walk each time through everything the server holds.
"""

import atexit
import gc
import threading
import time
from collections.abc import Callable

REST_S = 1.0  # between the end of a run and the collection
LONG_S = 0.05  # what is left by a collection that takes longer is walked by whole collections only
SHARE = 0.01  # of the time, at most, that whole collections take


class Collector:
    """One collection for all runs that end while it is due.

    Nothing else runs during a collection, and what the server holds grows to millions of objects. So most
    collections walk only what is new: what an earlier one has found in use is set aside ("frozen"), and
    looked through again by a whole collection now and then.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.due = False
        self._clock = clock
        self._next_whole = -1.0
        self._lock = threading.Lock()

    def after_run(self) -> None:
        """A run of a page has ended."""
        with self._lock:
            if self.due:
                return
            self.due = True
        timer = threading.Timer(REST_S, self._collect)
        timer.daemon = True
        timer.start()

    def _collect(self) -> None:
        began = self._clock()
        is_whole = began > self._next_whole
        if is_whole:
            gc.unfreeze()
        gc.collect()
        ended = self._clock()
        if is_whole:
            self._next_whole = ended + (ended - began) / SHARE
        if is_whole or ended - began > LONG_S:
            gc.freeze()
        self.due = False


after_run = Collector().after_run
atexit.register(gc.unfreeze)  # or libraries would complain, at the end, of what nobody took down
