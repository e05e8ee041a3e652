"""What an encoder of frequency images teaches the one of images: pairs of views, with a second encoder
where the right view is a frequency image.

Kalibhat's dissertation, Table 5.5, with SimCLR on scenes of Glyphworld instead of ImageNet. The stored
table: 28 trainings (seeds 0 to 2, the pairs x-x and x-f with seeds 3 and 4, too), 69 minutes of one core of
an AMD EPYC that did other work, too.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.training.augmentation_config import FREQUENCY_VIEWS
from reproductions import common
from reproductions.fda_augmentations import SETTINGS, SMOKE, train_and_measure, views

NAME = "fda_dual"
PAIRS = [(left, right) for left in ("x", "image") for right in ("x", *FREQUENCY_VIEWS)]
MORE_SEEDS = [("x", "x"), ("x", "f")]
TITLES = {
    "x": "x",
    "image": "A<sub>im</sub>(x)",
    "fda": "FDA(x)",
    "both": "FDA + A<sub>im</sub>",
    "f": "f",
    "fda_f": "A<sub>freq</sub>(f)",
    "f_of_image": "F(A<sub>im</sub>(x))",
}


def pair_row(folder: Path, left: str, right: str, seed: int, smoke: bool) -> dict[str, Any]:
    """Train a pair of views and measure the encoder of the left one."""
    augment = {**views({"view": left}, {"view": right}), "frequency_scale": "log"}
    own = {**(SMOKE if smoke else SETTINGS), "augment": augment}
    if right in FREQUENCY_VIEWS:
        own["objective"] = {"dual": True}
    arm = f"{left}-{right}"
    run = partial(train_and_measure, folder / f"{arm}-s{seed}.safetensors", seed, own)
    return common.cell(arm, seed, {"left": left, "right": right}, run, "smoke" if smoke else "short")


def rows(folder: Path, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a training; all pairs of a seed before the next seed."""
    for seed in range(1 if smoke else 5):
        pairs = PAIRS if seed < 3 else MORE_SEEDS
        for left, right in PAIRS[1:2] if smoke else pairs:
            yield pair_row(folder, left, right, seed, smoke)


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw the mean of top-1 accuracy over seeds by pair of views."""
    means = 100 * table.pivot_table("top1", "right", "left", sort=False)
    columns, index = ([TITLES[name] for name in names] for names in (means.columns, means.index))
    heatmap = go.Heatmap(x=columns, y=index, z=means.to_numpy(), texttemplate="%{z:.1f}", colorscale="Blues")
    figure = go.Figure(heatmap)
    figure.update_yaxes(title_text="right view", autorange="reversed")
    figure.update_xaxes(title_text="left view", side="top")
    return figure.update_layout(title="top-1 accuracy (%)")


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure and draw, as the options ask."""
    common.run_trainings(NAME, __doc__, argv, rows, draw)


if __name__ == "__main__":
    main()
