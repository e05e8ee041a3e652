"""Load what the first page needs while the browser starts, and collect garbage while nobody waits."""

import atexit
import gc
import importlib
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import streamlit as st

# Garbage is collected while nobody waits.
#
# Streamlit would collect at the end of every run, before the browser hears that the run has ended
# (`runner.postScriptGC`, off in the settings), and walk each time through everything the server holds.


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


# Load what the first page needs while the reader's browser is still starting.


MODULES = (
    "dashboard.panels.detail",
    "dashboard.panels.tour",
    "dashboard.panels.marks",
    "dashboard.server.routes",
    "core.charts.registry",
    "scipy.special",  # of intervals: half of the time of the first page of scores
)
SWITCH_S = 0.0005  # how long a thread may keep the others waiting; Python's own 0.005 delays each answer


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Starts with the server; nobody waits for it."""
    sys.setswitchinterval(SWITCH_S)
    gc.disable()  # it would walk through the modules again and again while they are loaded
    threading.Thread(target=_load_for_good, name="warm", daemon=True).start()
    yield


def _load_for_good() -> None:
    try:
        load()
    finally:
        gc.freeze()  # what is loaded lives as long as the server does: no need to look for garbage in it
        gc.enable()


def load() -> None:
    """Read what the first page shows of the first study on which no server ended; import what pages use."""
    _read_first_study()
    for module in MODULES:
        importlib.import_module(module)
    importlib.import_module("dashboard.server.chart_library").library(compressed=True)


def _read_first_study() -> None:
    from core.errors import PeregrineError  # here, so that the server is up before pandas is loaded
    from core.measures.slice import Slice
    from core.measures.slice_comparison import with_split
    from dashboard.cache import highlight_reads, score_reads
    from dashboard.jobs import opened_ahead
    from dashboard.state import served_studies

    try:
        entries = served_studies.entries(served_studies.studies_folder())
        path = opened_ahead.first_to_open(entry.path for entry in entries)
        if path is None:
            return
        with opened_ahead.marked(path):
            study = served_studies.open_current(path)
            population = with_split(study, Slice())
            highlight_reads.class_accuracy(study, population)
            highlight_reads.worst_confusion(study, population)
            highlight_reads.finding(study, population)
            score_reads.lowest(study, population)
    except (PeregrineError, OSError, KeyError, ValueError):
        pass  # a study that is not ready, or damaged: its page says so, to somebody who looks
