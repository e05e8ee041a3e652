"""Kalibhat, dissertation, Fig. 5.2 and Table 5.4: augmentations added one by one, left out one by one, and
the place of FDA.
"""

from typing import Any

from core.research.fourier.grids import shared
from core.research.fourier.grids.verdicts import ALL, SIX, order_verdict, removal_verdict
from core.research.grids.definition import CellJob, Grid, Values
from core.research.grids.runner import GridCell, Row
from core.training.config import TrainConfig
from core.training.methods.registry import METHODS

FOUR = ("amplitude", "phase", "mask", "mixture")
OFF: dict[str, dict[str, Any]] = {
    "crop": {"crop_scale": [1.0, 1.0], "crop_ratio": [1.0, 1.0]},
    "flip": {"flip": 0.0},
    "jitter": {"jitter": 0.0},
    "gray": {"grayscale": 0.0},
    "blur": {"blur": 0.0},
    "solarize": {"solarize": 0.0},
}
ADD, REMOVE, FDA, ONLY, WITHOUT = "add", "remove", "fda", "fda-only", "fda-without"


def study_arms(values: Values) -> list[GridCell]:
    """List, for each method: the six added in turn, one of them removed, FDA as seventh and in parts."""
    kinds = [
        *((ADD, name) for name in SIX),
        *((REMOVE, name) for name in SIX),
        (FDA, ""),
        *((ONLY, name) for name in FOUR),
        *((WITHOUT, name) for name in FOUR),
    ]
    return [
        GridCell("-".join(filter(None, (method, kind, name))), {"method": method, "kind": kind, "name": name})
        for method in values["methods"]
        for kind, name in kinds
    ]


def augmentations(values: Values, kind: str, name: str) -> dict[str, Any]:
    """Return `[augment]` of an arm. Solarizing is on the right view, as in BYOL; FDA on the left."""
    on = SIX[: SIX.index(name) + 1] if kind == ADD else [one for one in SIX if (kind, one) != (REMOVE, name)]
    base = shared.merged(shared.image_augmentations(values), {}, {"solarize": 0.2})
    off = [setting for one in SIX if one not in on for setting in OFF[one].items()]
    base = shared.merged(base, dict(off), dict(off))
    if kind in (ADD, REMOVE):
        return base
    gone = {FDA: (), ONLY: [one for one in FOUR if one != name], WITHOUT: (name,)}[kind]
    return shared.merged(base, {"fourier": dict.fromkeys(gone, 0.0)}, {})


def study_settings(job: CellJob) -> TrainConfig:
    columns = job.cell.columns
    augment = augmentations(job.values, columns["kind"], columns["name"])
    return shared.training(job, columns["method"], augment)


def run_study(job: CellJob) -> Row:
    """Train one cell and measure its encoder."""
    return shared.train_and_measure(job, study_settings(job))


def all_six(values: Values, arm: str) -> str | None:
    """Compare every arm of a method with its six augmentations.

    >>> all_six({}, "simclr-remove-crop"), all_six({}, "simclr-add-solarize")
    ('simclr-add-solarize', None)
    """
    base = f"{arm.partition('-')[0]}-{ALL}"
    return None if arm == base else base


def order_arms(values: Values) -> list[GridCell]:
    """List SimCLR with FDA before and after the other augmentations, and without it."""
    return [GridCell(when, {"when": when}) for when in ("none", "before", "after")]


def order_settings(job: CellJob) -> TrainConfig:
    when = job.cell.columns["when"]
    left: dict[str, Any] = {} if when == "none" else {"fourier": {"when": when}}
    return shared.training(job, "simclr", shared.merged(shared.image_augmentations(job.values), left, {}))


def run_order(job: CellJob) -> Row:
    """Train one cell and measure its encoder."""
    return shared.train_and_measure(job, order_settings(job))


def against_before(values: Values, arm: str) -> str | None:
    """Compare with FDA before the others, Kalibhat's usual place."""
    return None if arm == "before" else "before"


STUDY = Grid(
    name="fda-augmentations",
    presets={
        "cpu": {**shared.CPU, "methods": ["simclr"]},
        "short": {**shared.SHORT, "methods": ["simclr"]},
        "paper": {**shared.PAPER, "methods": ["simclr", "byol", "moco"]},
    },
    arms=study_arms,
    run=run_study,
    measures=shared.MEASURES,
    baseline=all_six,
    seeds=3,
    of_arms=("methods",),
    choices={"methods": tuple(METHODS)},
    verdicts=lambda values, table: [removal_verdict(table)],
)
ORDER = Grid(
    name="fda-order",
    presets=shared.PRESETS,
    arms=order_arms,
    run=run_order,
    measures=shared.MEASURES,
    baseline=against_before,
    seeds=5,
    verdicts=lambda values, table: [order_verdict(table)],
)
