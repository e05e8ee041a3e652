"""Garbage is collected while nobody waits.

Caches that hold more than PEREGRINE_MEMORY_GB together are emptied then.

Streamlit would collect at the end of every run, before the browser hears that the run has ended
(`runner.postScriptGC`, off in the settings), and walk each time through everything the server holds.
"""

import atexit
import gc
import threading

from core.common.assets import MEMORY, USUAL_MEMORY, bytes_of
from core.common.processes import held_memory
from core.pipeline.memory import give_back_memory
from core.served.studies import forget_studies
from dashboard.cache.reader import forget_reads

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
        if held_memory() > bytes_of(MEMORY, USUAL_MEMORY):
            self._empty_caches()
        elif page not in self._seen:  # what its first run loaded lives as long as the server: skip it later
            self._seen.add(page)
            gc.freeze()
        self.due = False

    def _empty_caches(self) -> None:
        """Forget all that was read: it is read again where a page asks for it."""
        forget_reads()
        forget_studies()
        self._seen.clear()
        gc.unfreeze()  # what was loaded by first runs is no longer needed
        gc.collect()
        give_back_memory()


after_run = Collector().after_run
atexit.register(gc.unfreeze)  # or libraries would complain, at the end, of what nobody took down
