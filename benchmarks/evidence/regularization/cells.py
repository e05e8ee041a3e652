"""One row of the experiment: fine-tune from the start study, evaluate, and read what each step did."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.evidence.regularization.folder import STUDY
from benchmarks.evidence.regularization.plan import BASELINE, FROZEN, KINDS, Cell
from benchmarks.evidence.training_runs import CHANGES, JUDGED
from core.common.dataframes import known_mean, numbers
from core.jobs.progress import Progress
from core.store import Study, open_study

if TYPE_CHECKING:
    from core.training.config import TrainConfig

STEPS = ("rewarded", "scored", "rows", "reward_gradient", "norm_gradient")


def start_study(images: str, start: str, folder: Path, *, epsilon: str, device: str) -> Study:
    """Return FOLDER/study of the start encoder, with representations, epsilon and D; made if incomplete."""
    from core.pipeline import run as pipeline

    path = folder / STUDY
    options = {"images": images, "encoder": start, "epsilon": epsilon, "thumbnail_size": 0, "device": device}
    with Progress.for_command(path, stages_total=2) as progress:
        for step in ("embed", "features"):
            pipeline.run_step(step, path, options, progress)
    return open_study(path)


def start_row(study: Study) -> dict[str, Any]:
    """Evaluate the start from its study's representations."""
    from core.research.transfer_learning.evaluate import Represented, judge_on_study
    from core.slices.evaluate import class_column

    began = time.monotonic()
    raw = study.array("representations")[:]
    row = judge_on_study(
        Represented(raw, class_column(study, "label"), study.is_val, study.class_names), study
    )
    return judged(row) | {"seconds": round(time.monotonic() - began, 1)}


def judged(row: dict[str, Any]) -> dict[str, Any]:
    names = (*JUDGED, "top1_low", "top1_high")
    return {name: row[name] for name in names if row.get(name) is not None}


def cell_config(
    cell: Cell, study: Study, folder: Path, shared: Mapping[str, Any], *, device: str
) -> TrainConfig:
    """Build the settings of a fine-tuning; only the seed differs between the rows of a kind and a rate.

    Args:
        shared: what all rows of the folder share: epochs, lambda1, lambda2.
    """
    from core.training.finetuning.finetune import finetune_config

    frozen, epochs = cell.kind == FROZEN, shared["epochs"]
    weights = {name: shared[name] for name in ("lambda1", "lambda2")}
    return finetune_config(
        study,
        checkpoint(folder, cell),
        practical=cell.rate == "practical",
        frozen=frozen,
        regularizer={**KINDS[BASELINE if frozen else cell.kind], **weights},
        epochs=epochs,
        seed=cell.seed,
        device=device,
        cache=str(folder / "pixels"),
        checkpoint_minutes=1.0,
        monitor_every=epochs,
        monitor_train=100,
        monitor_val=100,
    )


def cell_row(study: Study, config: TrainConfig) -> dict[str, Any]:
    """Fine-tune (or go on with it) and evaluate; `remove_files` deletes the checkpoint later.

    Returns:
        what `judge_on_study` measures; means over all steps of rewarded rows and gradient norms; relative
        changes of the weights; seconds of wall time of training, without lost attempts, and of evaluation.
    """
    from core.encoders.registry import load_encoder
    from core.research.transfer_learning.evaluate import judge_on_study, study_images
    from core.training import files
    from core.training.finetuning.finetune import finetune

    with Progress(None, terminal=True, stages_total=2) as progress:
        finetune(config, progress=progress)
    began, output = time.monotonic(), Path(config.output)
    encoder = load_encoder(str(output), device=config.device)
    row = judged(judge_on_study(study_images(study, encoder, cache=config.cache), study))
    log = pd.read_csv(files.log_path(output))
    row |= {name: float(log[name].iloc[-1]) for name in CHANGES if name in log}
    row |= mean_steps(files.steps_path(output))
    seconds = float(np.nansum(numbers(log, "seconds"))) + time.monotonic() - began
    about = {"lr": config.lr, "optimizer": config.optimizer, "epochs": config.epochs}
    return row | about | {"seconds": round(seconds, 1)}


def mean_steps(path: Path) -> dict[str, float]:
    """Average the log of steps; empty for a regulariser that keeps none."""
    if not path.exists():
        return {}
    steps = pd.read_csv(path)
    means = {name: known_mean(numbers(steps, name)) for name in STEPS if name in steps}
    return {name: value for name, value in means.items() if value == value}


def checkpoint(folder: Path, cell: Cell) -> Path:
    return folder / "runs" / f"{cell.name}.safetensors"


def remove_files(folder: Path, cell: Cell) -> None:
    """Delete the checkpoint of a cell and what lies beside it."""
    from core.training import files

    for path in files.all_paths(checkpoint(folder, cell)):
        path.unlink(missing_ok=True)
