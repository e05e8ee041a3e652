"""The grids by name. No torch: a grid's module is imported when the grid is run.

A new grid is one row of GRIDS and one module with a `GRID`, such as `core/training/grids/suppression.py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from core.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
    from core.training.grids.definition import Grid

GRIDS = {  # name: module (its GRID, unless another constant is named), what it asks
    "domains": ("core.training.grids.domains", "what a domain prefix gains on styles of Glyphworld"),
    "tinted": ("core.training.grids.tinted", "what two tints cost on CIFAR-10, and what a prefix gives back"),
    "suppression": ("core.training.grids.suppression", "which easy features IFM keeps, by temperature"),
    "fda-gain": ("core.training.grids.fda.gain", "what Fourier augmentations add to each method"),
    "fda-views": (
        "core.training.grids.fda.views:MATRIX",
        "pairs of views: plain, augmented, Fourier, both",
    ),
    "fda-order": ("core.training.grids.fda.augmentations:ORDER", "Fourier augmentations first or last"),
    "fda-augmentations": ("core.training.grids.fda.augmentations:STUDY", "augmentations added and left out"),
    "fda-dual": ("core.training.grids.fda.views:DUAL", "frequency images, with an encoder of their own"),
    "hard": ("core.training.grids.hard", "which features harder negatives or temperatures trade"),
    "ifm-variants": ("core.training.grids.ifm_variants", "IFM, +norm, +pre-norm and its loss alone"),
    "composites": ("core.training.grids.composites", "object and digit in one image, with and without IFM"),
    "tokens": (
        "core.visual_tokens.training.grid",
        "whether additive attention over scene graphs tells who is where",
    ),
}
PRESETS = ("cpu", "paper", "short")


def load_grid(name: str) -> Grid:
    """Import and return the named grid. Raises SettingsError."""
    if name not in GRIDS:
        raise SettingsError(f"no grid '{name}'.{did_you_mean(name, GRIDS)} Grids: {', '.join(GRIDS)}")
    module, _, constant = GRIDS[name][0].partition(":")
    return getattr(import_module(module), constant or "GRID")
