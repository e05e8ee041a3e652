"""Which of three easy features a contrastive encoder keeps, with and without IFM, at several temperatures.

Encoders are trained on images of independent shape, colour and texture (`core/data/trifeature.py`), without
grayscale and colour jitter; each factor is read out of the frozen encoder by a linear probe on other images.
Chance is 10 %, and every level is equally frequent.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from core.analysis.probe.step import train_probe
from core.data.trifeature import FACTORS, LEVELS, Trifeature
from core.training.grid import GridCell, Row
from core.training.grids.definition import CellJob, Grid, Values
from core.training.grids.trained import cell_config, export_untrained, raw_splits, train_cell

UNTRAINED = "untrained"
NO_COLOUR_CHANGES = {"jitter": 0.0, "grayscale": 0.0, "blur": 0.0, "crop_scale": [0.5, 1.0]}
CPU: dict[str, Any] = {
    "method": "simclr",
    "temperatures": [0.05, 0.2, 0.5],
    "epsilons": [0.0, 0.1],
    "alpha": 1.0,  # inf: the perturbed loss alone
    "images": "trifeature?train=2000&val=1000&size=48",  # multiples of 1000 are balanced
    "epochs": 20,
    "batch_size": 128,
    "lr": 0.5,  # per 256 images
    "arch": "timm:resnet10t",
    "precision": "fp32",
}
PAPER = {
    **CPU,
    "images": "trifeature?train=20000&val=2000&size=48",
    "epochs": 100,
    "batch_size": 512,
    "arch": "timm:resnet18",
}


def arms(values: Values) -> list[GridCell]:
    """List the untrained encoder and each temperature with each epsilon."""
    cells = [GridCell(UNTRAINED, {"method": UNTRAINED, "temperature": 0.0, "epsilon": 0.0})]
    for temperature, epsilon in itertools.product(values["temperatures"], values["epsilons"]):
        columns = {"method": values["method"], "temperature": temperature, "epsilon": epsilon}
        cells.append(GridCell(arm_name(values["method"], temperature, epsilon), columns))
    return cells


def arm_name(method: str, temperature: float, epsilon: float) -> str:
    """
    >>> arm_name("simclr", 0.2, 0.1)
    'simclr-tau0.2-eps0.1'
    """
    return f"{method}-tau{temperature:g}-eps{epsilon:g}"


def plain_arm(values: Values, arm: str) -> str | None:
    """Return the arm of the same temperature without IFM; None for that arm itself."""
    own, sign, _ = arm.rpartition("-eps")
    return f"{own}-eps0" if sign and arm != f"{own}-eps0" and 0.0 in values["epsilons"] else None


def suppression_settings(values: Values, columns: Values) -> dict[str, Any]:
    """Return the training of an arm; everything but temperature and epsilon is the same in all."""
    source = Trifeature.from_spec(values["images"])
    shared = {name: values[name] for name in ("images", "epochs", "batch_size", "lr", "arch", "precision")}
    return {
        **shared,
        "method": values["method"],
        "temperature": columns["temperature"] or 0.2,
        "image_size": source.size,
        "crop_size": source.size,
        "augment": NO_COLOUR_CHANGES,
        "objective": {"ifm_epsilon": columns["epsilon"], "ifm_alpha": values["alpha"]},
    }


def run_suppression(job: CellJob) -> Row:
    """Train one cell and read the three factors out of it."""
    config = cell_config(job, suppression_settings(job.values, job.cell.columns))
    untrained = job.cell.arm == UNTRAINED
    row = export_untrained(job, config) if untrained else train_cell(job, config)
    source = Trifeature.from_spec(job.values["images"])
    return {**readouts(source, raw_splits(job, source)), **row}


def readouts(source: Trifeature, raw: dict[str, np.ndarray]) -> dict[str, float]:
    """Accuracy of a linear probe of each factor, trained on "train" and tried on "val" representations."""
    factors, found = source.factors(), {}
    train, val = factors.iloc[: source.n_train], factors.iloc[source.n_train :]
    for factor in FACTORS:
        probe = train_probe(raw["train"], train[factor].to_numpy(), LEVELS, lr=0.1)
        read = probe.logits(raw["val"]).argmax(1).cpu().numpy()
        found[factor] = float((read == val[factor].to_numpy()).mean())
    return found | {"mean": math.fsum(found.values()) / len(found)}


GRID = Grid(
    name="suppression",
    presets={"cpu": CPU, "paper": PAPER},
    arms=arms,
    run=run_suppression,
    measures={name: (f"{name} %", 100.0) for name in (*FACTORS, "mean")},
    baseline=plain_arm,
    of_arms=("method", "temperatures", "epsilons"),
)
