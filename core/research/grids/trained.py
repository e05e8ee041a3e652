"""What the cells of several grids do: train an encoder, or export an untrained one, and represent images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.data.sources.images import ImageSource
from core.research.grids.definition import CellJob
from core.research.grids.runner import Row
from core.training import files
from core.training.config import TrainConfig, from_dict

# Networks of the presets `short`: resnet10t with half of its channels, 256 features, a third of its time.
HALF_WIDTH = "timm:resnet10t?channels=(32,64,128,256)&stem_width=16"
HALF_WIDTH_PLAIN_STEM = "timm:resnet18?layers=(1,1,1,1)&channels=(32,64,128,256)"  # for stem = "cifar"


def cell_config(job: CellJob, settings: dict[str, Any]) -> TrainConfig:
    """Build the training of a cell from settings of TrainConfig; output, seed and machine are the job's.

    The state is saved every minute, and the representation is monitored at the end only.
    """
    epochs = settings["epochs"]
    common = {
        "output": str(job.output),
        "seed": job.cell.seed or 0,
        "device": job.device,
        "workers": job.workers,
        "cache": job.cache,
        "checkpoint_minutes": 1.0,
        "monitor_every": epochs,
        "warmup_epochs": min(2.0, epochs / 10),
    }
    return from_dict({**common, **settings}, where="grid")


def train_cell(job: CellJob, config: TrainConfig) -> Row:
    """Train, or go on with an interrupted training; a finished one is not repeated.

    Returns:
        `loss` of the last epoch, and `training_seconds`, of all epochs, without lost attempts.
    """
    from core.training.trainer import train

    train(config, progress=job.progress)
    log = pd.read_csv(files.log_path(job.output))
    return {
        "loss": float(log["loss"].iloc[-1]),
        "training_seconds": round(float(np.nansum(numbers(log, "seconds"))), 1),
    }


def raw_splits(job: CellJob, source: ImageSource, checkpoint: Path | None = None) -> dict[str, np.ndarray]:
    """Represent the images of a source with the cell's encoder (or another checkpoint).

    Returns:
        {"train": (n, n_features) float32 raw representations, "val": …}, rows as in the source.
    """
    from core.encoders.registry import load_encoder
    from core.research.transfer_learning.evaluate import represent_pixels
    from core.training.augmentations.pixels import load_pixels

    encoder = load_encoder(str(checkpoint or job.output), device=job.device)
    side = min(encoder.transform.sides)
    splits = load_pixels(source, side, cache=job.cache, workers=job.workers)
    return {split: represent_pixels(encoder, part.images) for split, part in splits.items()}
