"""What the first page needs, loaded while the reader's browser is still starting."""

from __future__ import annotations

import importlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st

from core.errors import PeregrineError
from dashboard import catalogue, loaders

MODULES = ("dashboard.detail", "dashboard.tour", "dashboard.selection", "core.figures.quality")


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Starts with the server; nobody waits for it."""
    threading.Thread(target=load, name="warm", daemon=True).start()
    yield


def load() -> None:
    """Import what every page uses, and read the tables of the study that is shown first."""
    for module in MODULES:
        importlib.import_module(module)
    try:
        for entry in catalogue.entries(catalogue.studies_folder())[:1]:
            loaders.images(catalogue.open_current(entry.path))
    except (PeregrineError, OSError, KeyError, ValueError):
        pass  # a study that is not ready, or damaged: its page says so, to somebody who looks
