"""Where Fourier augmentations belong: before or after the other augmentations of SimCLR's left view, or
nowhere.

Kalibhat's dissertation, Table 5.4, on scenes of Glyphworld instead of ImageNet: 9 trainings (seeds 0 to 2),
25 minutes of one core. fda_order.md has the values; the rows of that run are not kept.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reproductions import common
from reproductions.fda_augmentations import SETTINGS, SMOKE, train_and_measure, views

NAME = "fda_order"


def rows(folder: Path, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a training."""
    for seed in range(1 if smoke else 3):
        for when in ("after",) if smoke else ("none", "before", "after"):
            left = {} if when == "none" else {"fourier": {"when": when}}
            own = {**(SMOKE if smoke else SETTINGS), "augment": views(left, {})}
            run = partial(train_and_measure, folder / f"{when}-s{seed}.safetensors", seed, own)
            yield common.cell(when, seed, {"when": when}, run, "smoke" if smoke else "short")


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw top-1 accuracy by the place of the Fourier augmentations."""
    return common.arm_bars(table, {"top1": "top-1"}, axis="top-1 accuracy (%)")


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure and draw, as the options ask."""
    args = common.options(__doc__).parse_args(argv)
    folder = common.output_folder(args) / "encoders" / NAME
    common.run_script(NAME, args, partial(rows, folder), draw)


if __name__ == "__main__":
    main()
