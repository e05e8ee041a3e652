"""Paths of the files that ship with Peregrine: assets, example configs, and the version. No torch.

In a checkout they lie beside `core/`; in an installed package they lie inside it (setup.py copies them).
"""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

PROJECT = "peregrine-vision"
PACKAGE = Path(__file__).resolve().parents[1]  # the folder `core`
CHECKOUT = PACKAGE.parent
INSTALLED_ASSETS, INSTALLED_CONFIGS = "_assets", "_configs"


def assets_folder() -> Path:
    """Return the folder of the shipped encoders, CLIP, captions and glyphs."""
    return _shipped(INSTALLED_ASSETS, "assets")


def asset(name: str) -> Path:
    """Return the path of one shipped file: `asset("clip/glyphworld.json")`."""
    return assets_folder() / name


def asset_names(folder: str, ending: str) -> list[str]:
    """List the shipped files of a kind, without their ending.

    >>> asset_names("encoders", ".safetensors")
    ['simclr_cifar10', 'simclr_glyphworld', 'simclr_q_glyphworld']
    """
    return sorted(path.name.removesuffix(ending) for path in asset(folder).glob(f"*{ending}"))


def configs_folder() -> Path:
    """Return the folder of the example configs for training."""
    return _shipped(INSTALLED_CONFIGS, "configs")


def version() -> str:
    """Return the version of the code that runs; "unknown" for a copy without any metadata.

    A checkout is asked first: an older installation of it may have left its metadata behind.
    """
    try:
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        if project["name"] == PROJECT:
            return project["version"]
    except (OSError, ValueError, KeyError):
        pass
    try:
        return metadata.version(PROJECT)
    except metadata.PackageNotFoundError:
        return "unknown"


def _shipped(installed: str, checkout: str) -> Path:
    inside = PACKAGE / installed
    return inside if inside.is_dir() else CHECKOUT / checkout
