"""Checks of a step's options before any work is done."""

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from core.config.analysis import MAP_METHODS, READOUT, UMAP_IMAGES
from core.config.reading import LEAF
from core.config.settings import flag
from core.errors import SettingsError

PHOTOGRAPH_ENCODER, GLYPHWORLD_ENCODER = "asset:efficientnet_lite0", "asset:simclr_glyphworld"


def check_embed_options(options: dict[str, Any]) -> None:
    """Check the settings of `embed`: images, or precomputed representations; fill in the default encoder."""
    if not options.get("images") and not options.get("representations"):
        raise SettingsError("which images? Give --images DIR (or a .csv, 'torchvision:NAME', 'glyphworld')")
    if options.get("encoder") and options.get("representations"):
        raise SettingsError("which encoder? Give --encoder SPEC or --representations FILE.npy, not both")
    if lacks_encoder(options):
        options["encoder"] = default_encoder(options)
    for name in READOUT:
        if options.get("representations") and options.get(name):
            raise SettingsError(
                f"'{options['representations']}' holds vectors, of which {flag(name)} {options[name]} says "
                "nothing: leave it out, or give --encoder"
            )
    for name in ("class_level", "group_level"):
        _check_level(name, options.get(name))
    options.setdefault("encoder", "")
    options.setdefault("images", "")


def is_level(level: Any) -> bool:
    """Return True for a valid setting of the level of folders that name the classes: from 1 on, or LEAF."""
    return level == LEAF or (isinstance(level, int) and level >= 1)


def _check_level(name: str, level: Any) -> None:
    """Require the setting of a level of folders from 1 on, or LEAF for classes. Raises SettingsError."""
    if level is not None and not (is_level(level) if name == "class_level" else level >= 1):
        raise SettingsError(f"{flag(name)} must be at least 1, got {level}")


def lacks_encoder(options: Mapping[str, Any]) -> bool:
    """Check settings of `embed`: True where they name neither an encoder nor ready representations."""
    return not options.get("encoder") and not options.get("representations")


def default_encoder(options: Mapping[str, Any]) -> str:
    """Return the default of the setting `encoder`: a shipped one for photographs, or one for Glyphworld."""
    return GLYPHWORLD_ENCODER if str(options.get("images")).startswith("glyphworld") else PHOTOGRAPH_ENCODER


def check_map_options(options: Mapping[str, Any]) -> None:
    """Check the settings of the step `map` before any work is done: method, sample, umap-learn installed."""
    method, sample = options.get("method"), options.get("sample", 2)
    if method is not None and method not in MAP_METHODS:
        raise SettingsError(f"unknown map '{method}'; known: {', '.join(MAP_METHODS)}")
    if sample < 2:
        raise SettingsError(f"--sample must be at least 2, got {sample}")
    if method == "umap" and not has_umap():
        raise SettingsError("the UMAP map needs umap-learn. Run: pip install umap-learn; or use --method pca")


def check_overlap_options(options: Mapping[str, Any]) -> None:
    """Check the settings of `overlap`: a threshold that some pixels of a heatmap can reach, others not."""
    if not 0 < options.get("threshold", 0.5) <= 1:
        raise SettingsError(f"--threshold must lie above 0 and up to 1, got {options['threshold']:g}")


def usual_map(n_images: int) -> str:
    """Return the default of the setting `method` of `map`: UMAP where it is cheap, else PCA."""
    return "umap" if UMAP_IMAGES[0] <= n_images <= UMAP_IMAGES[1] and has_umap() else "pca"


def has_umap() -> bool:
    """For the check of the map's setting `method`: True when umap-learn is installed."""
    return bool(sys.modules.get("umap")) or ("umap" not in sys.modules and find_spec("umap") is not None)
