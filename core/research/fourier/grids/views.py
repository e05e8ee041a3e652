"""Kalibhat, dissertation, Tables 5.3 and 5.5: pairs of views, with a second encoder where one view is a
frequency image.
"""

from typing import Any

from core.research.fourier.grids import shared
from core.research.fourier.grids.verdicts import dual_verdict, matrix_verdict
from core.research.grids.definition import CellJob, Grid, Values
from core.research.grids.runner import GridCell, Row
from core.training.augmentations.config import FREQUENCY_VIEWS, IMAGE_VIEWS
from core.training.config import TrainConfig

LEFT_OF_DUAL = ("x", "image")


def pair_of_views(left: str, right: str) -> GridCell:
    return GridCell(f"{left}-{right}", {"left": left, "right": right})


def matrix_arms(values: Values) -> list[GridCell]:
    """List the upper triangle of Table 5.3, row by row: the right view above, the left view to its right."""
    return [pair_of_views(left, right) for row, right in enumerate(IMAGE_VIEWS) for left in IMAGE_VIEWS[row:]]


def dual_arms(values: Values) -> list[GridCell]:
    """List Table 5.5: each right view for each left view; a right view x has one encoder."""
    return [pair_of_views(left, right) for left in LEFT_OF_DUAL for right in ("x", *FREQUENCY_VIEWS)]


def pair_settings(job: CellJob) -> TrainConfig:
    """Return the training of a pair; both views draw their crops in every arm, even where they use none."""
    left, right = job.cell.columns["left"], job.cell.columns["right"]
    scale = job.values.get("frequency_scale", "log")
    augment = shared.merged(
        shared.image_augmentations(job.values) | {"frequency_scale": scale}, {"view": left}, {"view": right}
    )
    objective: dict[str, Any] = {}
    if right in FREQUENCY_VIEWS:
        objective = {"dual": True, "cross_only": job.values["cross_only"]}
    return shared.training(job, "simclr", augment, objective=objective)


def run_pair(job: CellJob) -> Row:
    """Train one cell and measure the encoder of its left view."""
    return shared.train_and_measure(job, pair_settings(job))


def against_x(values: Values, arm: str) -> str | None:
    """Compare (x, y) with (x, x), and other pairs with the plain pair of Table 5.3, (image, image).

    >>> against_x({}, "fda-x"), against_x({}, "both-image"), against_x({}, "x-x")
    ('x-x', 'image-image', None)
    """
    base = "x-x" if arm.endswith("-x") else "image-image"
    return None if arm == base else base


def against_one_encoder(values: Values, arm: str) -> str | None:
    """
    >>> against_one_encoder({}, "x-f"), against_one_encoder({}, "image-x")
    ('x-x', None)
    """
    base = f"{arm.partition('-')[0]}-x"
    return None if arm == base else base


MATRIX = Grid(
    name="fda-views",
    presets=shared.PRESETS,
    arms=matrix_arms,
    run=run_pair,
    measures=shared.MEASURES,
    baseline=against_x,
    seeds=3,
    verdicts=lambda values, table: [matrix_verdict(table)],
)
DUAL = Grid(
    name="fda-dual",
    presets={
        name: {**values, "frequency_scale": "log", "cross_only": False}
        for name, values in shared.PRESETS.items()
    },
    arms=dual_arms,
    run=run_pair,
    measures=shared.MEASURES,
    baseline=against_one_encoder,
    seeds=3,
    verdicts=lambda values, table: [dual_verdict(table)],
)
