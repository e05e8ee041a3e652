"""Kalibhat, dissertation, Tables 5.1 and 5.2: each method without and with Fourier augmentations on its
left view.
"""

from typing import Any

from core.research.fourier.grids import shared
from core.research.fourier.grids.verdicts import gain_verdicts
from core.research.grids.definition import CellJob, Grid, Values
from core.research.grids.runner import GridCell, Row
from core.training.config import TrainConfig
from core.training.methods.registry import METHODS

SUFFIX = "-fda"
TRANSFER = {
    "transfer_top1": ("transfer top-1 %", 100.0),
    "transfer_few_shot_5": ("transfer 5-shot %", 100.0),
    "transfer_few_shot_10": ("transfer 10-shot %", 100.0),
}


def gain_arms(values: Values) -> list[GridCell]:
    """List each method, plain and with Fourier augmentations."""
    return [
        GridCell(f"{method}{suffix}", {"method": method, "fda": bool(suffix)})
        for method in values["methods"]
        for suffix in ("", SUFFIX)
    ]


def arm_without_fda(values: Values, arm: str) -> str | None:
    """
    >>> arm_without_fda({}, "byol-fda"), arm_without_fda({}, "byol")
    ('byol', None)
    """
    return arm.removesuffix(SUFFIX) if arm.endswith(SUFFIX) else None


def gain_settings(job: CellJob) -> TrainConfig:
    columns = job.cell.columns
    left: dict[str, Any] = {"fourier": {}} if columns["fda"] else {}
    return shared.training(
        job, columns["method"], shared.merged(shared.image_augmentations(job.values), left, {})
    )


def run_gain(job: CellJob) -> Row:
    """Train one cell, and measure its encoder here and on the images of `transfer`."""
    return shared.train_and_measure(job, gain_settings(job))


GRID = Grid(
    name="fda-gain",
    presets={
        "cpu": {**shared.CPU, "methods": ["simclr", "byol"]},
        "short": {**shared.SHORT, "methods": ["simclr", "byol"]},
        "paper": {**shared.PAPER, "methods": ["simclr", "byol", "moco", "simsiam"]},
    },
    arms=gain_arms,
    run=run_gain,
    measures={**shared.MEASURES, **TRANSFER},
    baseline=arm_without_fda,
    seeds=5,
    of_arms=("methods",),
    choices={"methods": tuple(METHODS)},
    verdicts=lambda values, table: gain_verdicts(table),
)
