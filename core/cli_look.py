"""Commands to look around in a study: its map, and the search for images by a text."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from core import cli_options as options
from core.config import MAP_METHODS


def add_look_steps(add: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    """The step `map`."""
    sub = add("map", "place every image on a map: near ones are represented alike", "map studies/mine")
    sub.add_argument(
        "--method",
        choices=MAP_METHODS,
        help="pca (default), or umap beside it, which needs umap-learn",
    )
    sub.add_argument(
        "--sample", type=options.POSITIVE, metavar="N", help="images it is fitted to (default 100,000)"
    )
    options.add_seed(sub)
