"""What the grids on shortcut features share: their trainings, and the sentences on their results.

Encoders are trained on images with known factors, without grayscale and colour jitter where colour is one of
them; each factor is read out of the frozen encoder by a linear probe on other images (IFM paper, section 2).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.research.grids.definition import UNTRAINED, CellJob, Values
from core.research.grids.over_seeds import NOT_ENOUGH, SeedSummary
from core.research.grids.runner import Row
from core.research.grids.seeds import by_seed, paired_difference
from core.research.grids.trained import HALF_WIDTH, cell_config, export_untrained, train_cell
from core.research.shortcuts.grids.readout import READOUTS, Factor, measured
from core.research.shortcuts.trifeature import FACTORS, Trifeature
from core.training.config import TrainConfig

CPU: dict[str, Any] = {
    "method": "simclr",
    "images": "trifeature?train=2000&val=1000&size=48",  # multiples of 1000 are balanced
    "epochs": 20,
    "batch_size": 128,
    "optimizer": "sgd",
    "lr": 0.5,  # per 256 images
    "weight_decay": 5e-4,
    "arch": "timm:resnet10t",
    "precision": "fp32",
    "crop_scale": (0.5, 1.0),
    "blur": 0.0,
    "readout": "sgd",
    "augmented": False,  # the readout sees pre-training views instead of the images
}
SHORT: dict[str, Any] = {
    **CPU,
    "images": "trifeature?train=2000&val=1000&size=32",
    "arch": HALF_WIDTH,
    "precision": "bf16",
}
PAPER: dict[str, Any] = {  # App. C.2; Adam's rate is 1e-3 for batches of 512
    **CPU,
    "images": "trifeature?train=90000&val=10000&size=128",
    "epochs": 200,
    "batch_size": 512,
    "optimizer": "adamw",
    "lr": 5e-4,
    "weight_decay": 1e-6,
    "arch": "timm:resnet18",
    "crop_scale": (0.08, 1.0),
    "blur": 0.5,
    "readout": "lbfgs",
    "augmented": True,
}
PRESETS = {"cpu": CPU, "paper": PAPER, "short": SHORT}
CHOICES = {"readout": READOUTS}
SHARED = ("method", "images", "epochs", "batch_size", "optimizer", "lr", "weight_decay", "arch", "precision")
OBJECTIVE = ("ifm_epsilon", "ifm_alpha", "ifm_variant", "ifm_relative", "hard_beta", "hard_tau_plus")
EQUAL_WITHIN = 0.015  # a variant counts as equal to another if their difference lies within +-1.5 points


def arm_columns(temperature: float, **objective: Any) -> dict[str, Any]:
    """Return the columns of an arm: its temperature, and all settings of the loss that arms may differ in."""
    plain = {"ifm_epsilon": 0.0, "ifm_alpha": 1.0, "ifm_variant": "default", "ifm_relative": False}
    return {"temperature": temperature, **plain, "hard_beta": 0.0, "hard_tau_plus": 0.0, **objective}


def shortcut_settings(values: Values, columns: Values, *, size: int) -> dict[str, Any]:
    """Return the training of an arm; all but temperature and the loss is the same in all arms.

    Colours stay as they are: no jitter, no grayscale.
    """
    views = {"jitter": 0.0, "grayscale": 0.0, "blur": values["blur"], "crop_scale": values["crop_scale"]}
    return {
        **{name: values[name] for name in SHARED},
        "temperature": columns["temperature"],
        "image_size": size,
        "crop_size": size,
        "augment": views,
        "objective": {name: columns[name] for name in OBJECTIVE},
    }


def run_trifeature(job: CellJob) -> Row:
    """Train one cell on trifeature, and read shape, colour and texture out of it."""
    source = Trifeature.from_spec(job.values["images"])
    config = cell_config(job, shortcut_settings(job.values, job.cell.columns, size=source.size))
    levels, n = source.factors(), source.n_train
    factors = {name: Factor(levels[name].to_numpy()[:n], levels[name].to_numpy()[n:]) for name in FACTORS}
    return trained_row(job, config, factors)


def trained_row(job: CellJob, config: TrainConfig, factors: dict[str, Factor]) -> Row:
    """Train (or only export, for the arm `untrained`) and measure."""
    untrained = job.cell.arm == UNTRAINED
    row = export_untrained(job, config) if untrained else train_cell(job, config)
    return {**measured(job, config, factors), **row}


def factor_measures(factors: Sequence[str]) -> dict[str, tuple[str, float]]:
    return {name: (f"{name} %", 100.0) for name in (*factors, "mean")}


def arm_differences(
    table: pd.DataFrame, arm: str, baseline: str, names: Sequence[str]
) -> dict[str, SeedSummary]:
    """Paired differences of an arm and its baseline, by measure."""
    return {
        name: paired_difference(by_seed(table, arm, name), by_seed(table, baseline, name)) for name in names
    }


def no_trade_off(table: pd.DataFrame, arm: str, baseline: str, factors: Sequence[str]) -> str:
    """Say whether an arm raises the mean readout without lowering any factor."""
    differences = arm_differences(table, arm, baseline, (*factors, "mean"))
    if not all(one.enough for one in differences.values()):
        return f"{arm} against {baseline}: {NOT_ENOUGH}."
    lower = [name for name in factors if differences[name].sign == "below 0"]
    higher = differences["mean"].sign == "above 0"
    facts = f"mean readout {differences['mean'].text(factor=100, signed=True)} points"
    if lower:
        facts += f", lower: {', '.join(lower)}"
    return f"{arm} against {baseline}: {'works' if higher and not lower else 'does not work'} ({facts})."


def equality(table: pd.DataFrame, arm: str, other: str) -> str:
    """Say whether two arms are equal within the margin."""
    difference = arm_differences(table, arm, other, ["mean"])["mean"]
    within = difference.within(EQUAL_WITHIN)
    if within is None:
        return f"{arm} against {other}: {NOT_ENOUGH}."
    word = "equal within 1.5 points" if within else "open"
    return f"{arm} against {other}: {word} (mean readout {difference.text(factor=100, signed=True)} points)."


def trade_off(table: pd.DataFrame, arm: str, baseline: str, factors: Sequence[str]) -> str:
    """Say whether an arm raises one factor and lowers another."""
    differences = arm_differences(table, arm, baseline, factors)
    if not all(one.enough for one in differences.values()):
        signs = [np.sign(one.values) for one in differences.values()]
        all_measured = all(len(one) for one in signs)
        mixed = (
            all_measured and any((one > 0).all() for one in signs) and any((one < 0).all() for one in signs)
        )
        seen = " (one factor is higher and another lower in every run)" if mixed else ""
        return f"{arm} against {baseline}: {NOT_ENOUGH}{seen}."
    higher = [name for name in factors if differences[name].sign == "above 0"]
    lower = [name for name in factors if differences[name].sign == "below 0"]
    word = "a trade-off" if higher and lower else "no trade-off"
    return f"{arm} against {baseline}: {word} (higher: {_or_none(higher)}; lower: {_or_none(lower)})."


def _or_none(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
