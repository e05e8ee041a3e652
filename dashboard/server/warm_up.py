"""Load what the first page needs while the reader's browser is still starting."""

import gc
import importlib
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st

MODULES = (
    "dashboard.panels.image.detail",
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
    from core.slices.inspection.populations import with_split
    from core.slices.slice import Slice
    from dashboard.addresses import served_studies
    from dashboard.cache import highlight_reads, score_reads
    from dashboard.jobs import opened_ahead

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
