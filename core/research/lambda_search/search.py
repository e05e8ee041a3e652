"""The lambda search of Kalibhat 2024, Fig. A.8: one fine-tuning over a grid of weights, judged in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from core.encoders.registry import load_encoder
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.research.grids.runner import GridCell, run_grid
from core.research.lambda_search.evaluate import judge_on_study, study_images
from core.store import Study
from core.training import files
from core.training.config import to_dict
from core.training.finetuning.finetune import finetune, finetune_config

SEARCH = "search.json"
CHANGES = ("weight_change", "batchnorm_change", "statistics_change")
OF_A_CELL = (
    *("output", "device", "workers", "cache", "tensorboard", "keep_every", "checkpoint_minutes"),
    "regularizer",
)


@dataclass(frozen=True)
class GridPoint:
    """One fine-tuning of the search; lambdas that do not apply are 0."""

    kind: str
    lambda1: float = 0.0
    lambda2: float = 0.0
    weight: float = 0.0

    @property
    def name(self) -> str:
        if self.kind == "q":
            return f"q-{self.lambda1:g}-{self.lambda2:g}"
        return f"lasso-{self.weight:g}" if self.kind == "lasso" else "none"

    @property
    def settings(self) -> dict[str, Any]:
        return {"kind": self.kind, "lambda1": self.lambda1, "lambda2": self.lambda2, "weight": self.weight}


def cells_of(lambda1: Sequence[float], lambda2: Sequence[float], weights: Sequence[float]) -> list[GridPoint]:
    """List the baseline, the grid and the Lasso's weights, each once; both lambdas 0 is the baseline.

    Raises:
        SettingsError: a value below 0, or nothing to search.
    """
    wrong = [value for value in (*lambda1, *lambda2, *weights) if not 0 <= value < float("inf")]
    if wrong:
        raise SettingsError(f"{wrong[0]:g} is not a valid weight of a regulariser: values must be 0 or more")
    grid = [GridPoint("q", a, b) for a in lambda1 for b in lambda2 if a or b]
    rows = [GridPoint("none"), *grid, *(GridPoint("lasso", weight=value) for value in weights if value)]
    if len(rows) == 1:
        raise SettingsError("nothing to search: give --values, --lambda1 and --lambda2, or --weights")
    return list(dict.fromkeys(rows))


def lambda_search(
    study: Study,
    folder: str | Path,
    cells: Sequence[GridPoint],
    *,
    progress: Progress,
    keep: bool = False,
    reading: str = "sum",
    **options: Any,
) -> pd.DataFrame:
    """Fine-tune and evaluate each cell that is missing in FOLDER/cells.csv; the table grows cell by cell.

    Args:
        keep: keep the fine-tuned encoders in the folder. reading: of eq. 3, the same for all cells.
        options: of `finetune_config`.
    Returns:
        one row per cell, in the order of `cells`: cell, kind, lambda1, lambda2, weight, the results of
        `judge_on_study` and of the last line of the training's log, seconds.
    Raises:
        SettingsError: the folder holds a search with other settings. Other errors as in `finetune`.
    """

    def run(cell: GridCell, output: Path) -> dict[str, Any]:
        return run_cell(study, output, cell, progress, reading=reading, **options)

    return run_grid(
        [GridCell(cell.name, cell.settings) for cell in cells],
        folder,
        run,
        shared=search_settings(study, Path(folder), reading, options),
        progress=progress,
        keep=keep,
        record=SEARCH,
    )


def run_cell(
    study: Study, output: Path, cell: GridCell, progress: Progress, *, reading: str, **options: Any
) -> dict[str, Any]:
    """Run one fine-tuning, or go on with it, and evaluate it."""
    config = finetune_config(study, output, regularizer={**cell.columns, "reading": reading}, **options)
    progress.note(f"{cell.name}: {config.epochs} epochs of {config.method}")
    finetune(config, progress=progress)
    log = pd.read_csv(files.log_path(output)).iloc[-1]
    with progress.stage(f"evaluate {cell.name}"):
        encoder = load_encoder(str(output), device=options.get("device") or "auto")
        images = study_images(study, encoder, cache=config.cache, workers=config.workers)
        row = judge_on_study(images, study)
    return row | {name: float(log[name]) for name in CHANGES if name in log}


def search_settings(study: Study, folder: Path, reading: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that all cells of the search share, with what is taken from the study."""
    config = to_dict(finetune_config(study, folder / "cells", **options))
    shared = {key: value for key, value in config.items() if key not in OF_A_CELL}
    return shared | {
        "reading": reading,
        "study": str(study.path),
        "discriminative": study.manifest["items"]["features"].get("sha256"),
    }
