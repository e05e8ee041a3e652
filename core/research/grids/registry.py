"""The grids by name. No torch: a grid's module is imported when the grid is run.

A new grid is one row of `grids` of a topic and one module with a `GRID`, such as
`core/research/shortcuts/grids/suppression.py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from core.errors import SettingsError, unknown_name
from core.topics import topics

if TYPE_CHECKING:
    from core.research.grids.definition import Grid

GRIDS = {name: row for topic in topics() for name, row in topic.grids.items()}
PRESETS = ("cpu", "paper", "short")


def load_grid(name: str) -> Grid:
    """Import and return the named grid. Raises SettingsError."""
    if name not in GRIDS:
        raise SettingsError(unknown_name(f"no grid '{name}'", name, GRIDS, "Grids"))
    module, _, constant = GRIDS[name][0].partition(":")
    return getattr(import_module(module), constant or "GRID")
