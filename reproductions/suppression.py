"""Which of three easy features a contrastive encoder keeps, with and without IFM, at several temperatures.

Robinson 2021, section 4.1 and Fig. 6, on trifeature; chance is 10 %. The stored table: 35 trainings (seeds 0
to 4), 17 minutes of one core of an AMD EPYC. The paper's own have 90,000 images of 128 pixels, ResNet-18 and
200 epochs.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.research.shortcuts_readout import Factor, measured
from core.research.shortcuts_trifeature import FACTORS, Trifeature
from core.study.progress import Progress
from core.training.config import from_dict
from core.training.setup import open_training_images
from core.training.trainer import TrainingRun
from reproductions import common

NAME = "suppression"
UNTRAINED = "untrained"
SETTINGS: dict[str, Any] = {
    "method": "simclr",
    "images": "trifeature?train=2000&val=1000&size=32",  # multiples of 1000 are balanced
    "epochs": 20,
    "batch_size": 128,
    "optimizer": "sgd",
    "lr": 0.5,  # per 256 images
    "weight_decay": 5e-4,
    "arch": common.HALF_WIDTH,
    "precision": "bf16",
    # Colour is one of the features: no view changes it.
    "augment": {"jitter": 0.0, "grayscale": 0.0, "blur": 0.0, "crop_scale": (0.5, 1.0)},
}
SMOKE = {
    **SETTINGS,
    "images": "trifeature?train=64&val=32&size=24",
    "epochs": 1,
    "batch_size": 32,
    "lr": 0.1,
    "arch": common.TINY,
}
OBJECTIVE = {
    "ifm_epsilon": 0.0,
    "ifm_alpha": 1.0,
    "ifm_variant": "default",
    "ifm_relative": False,
    "hard_beta": 0.0,
    "hard_tau_plus": 0.0,
}
TEMPERATURES = (0.05, 0.2, 0.5)
EPSILONS = (0.0, 0.1)


def trifeature_row(
    folder: Path, arm: str, seed: int, smoke: bool, *, temperature: float, **objective: Any
) -> dict[str, Any]:
    """Train an encoder on trifeature, and return the row of what is read out of it.

    Args:
        objective: the settings of the loss that are not those of plain InfoNCE.
    """
    settings = SMOKE if smoke else SETTINGS
    columns = {"temperature": temperature, **OBJECTIVE, **objective}
    source = Trifeature.from_spec(settings["images"])
    sizes = {"image_size": source.size, "crop_size": source.size}
    training = {**settings, **sizes, "temperature": temperature, "objective": {**OBJECTIVE, **objective}}
    run = partial(train_and_read, folder / f"{arm}-s{seed}.safetensors", seed, training, arm != UNTRAINED)
    return common.cell(arm, seed, columns, run, "smoke" if smoke else "short")


def train_and_read(output: Path, seed: int, settings: Mapping[str, Any], train: bool) -> dict[str, float]:
    """Train (or only export the random weights), and read the factors of other images out."""
    config = from_dict({"output": str(output), "seed": seed, **settings}, where=output.stem)
    source = Trifeature.from_spec(config.images)
    levels, n_train = source.factors(), source.n_train
    codes = {name: levels[name].to_numpy() for name in FACTORS}
    factors = {name: Factor(code[:n_train], code[n_train:]) for name, code in codes.items()}
    if train:
        trained = common.train_encoder(output, seed, settings)
    else:
        TrainingRun(config, open_training_images(config), Progress.silent()).export()
        trained = {"loss": float("nan"), "training_seconds": 0.0}
    return {**measured(output, config, factors), **trained}


def rows(folder: Path, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a training; all arms of a seed before the next seed."""
    for seed in range(1 if smoke else 5):
        yield trifeature_row(folder, UNTRAINED, seed, smoke, temperature=TEMPERATURES[0])
        for temperature, epsilon in itertools.product(TEMPERATURES[:1] if smoke else TEMPERATURES, EPSILONS):
            arm = f"tau{temperature:g}-eps{epsilon:g}"
            yield trifeature_row(folder, arm, seed, smoke, temperature=temperature, ifm_epsilon=epsilon)


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw the readouts of each arm (Fig. 6)."""
    return readout_bars(table)


def readout_bars(table: pd.DataFrame) -> go.Figure:
    """Draw a group of bars an arm: the accuracy of each factor and their mean."""
    return common.arm_bars(table, {name: name for name in (*FACTORS, "mean")}, axis="readout accuracy (%)")


def main(argv: Sequence[str] | None = None) -> None:
    """Train, read out and draw, as the options ask."""
    common.run_trainings(NAME, __doc__, argv, rows, draw)


if __name__ == "__main__":
    main()
