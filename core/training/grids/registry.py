"""The grids by name. No torch: a grid's module is imported when the grid is run.

A new grid is one row of GRIDS and one module with a `GRID`, such as `core/training/grids/suppression.py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from core.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
    from core.training.grids.definition import Grid

GRIDS = {  # name: module, what it asks
    "suppression": ("core.training.grids.suppression", "which easy features IFM keeps, by temperature"),
}
PRESETS = ("cpu", "paper")


def load_grid(name: str) -> Grid:
    """Import and return the named grid. Raises SettingsError."""
    if name not in GRIDS:
        raise SettingsError(f"no grid '{name}'.{did_you_mean(name, GRIDS)} Grids: {', '.join(GRIDS)}")
    return import_module(GRIDS[name][0]).GRID
