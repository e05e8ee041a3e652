"""Answer the images of a leaderboard out of folds that its studies share; each study keeps its answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.analysis.crossfit_step import FoldedImages, answer_out_of_folds
from core.common.device import resolve_device, run_options
from core.compare.shared_folds import COLUMNS, TABLE, SharedFolds, shared_folds
from core.config import CrossfitConfig
from core.store import Study
from core.study.progress import Progress
from core.study.writer import StepRun, write_study

STEP, WEIGHTS = "leaderboard", "leaderboard_weights"
INPUTS = ("representations", "images")


def answer_for_leaderboard(
    studies: Sequence[Study], options: Mapping[str, Any], progress: Progress, *, seed: int = 0
) -> int:
    """Run the answers of a leaderboard: table `leaderboard` in each study without it or with other folds.

    Args:
        options: of `RunOptions`: the device.
    Returns:
        how many were written.
    Raises:
        SettingsError, StudyError: as `shared_folds`. StudyBusy: another process writes to a study.
    """
    folds = shared_folds(studies, seed)
    missing = folds.missing
    run = StepRun(progress, resolve_device(run_options(options).device), run_options(options))
    for number in missing:
        with progress.step(STEP):
            _answer(folds, number, run)
    return len(missing)


def _answer(folds: SharedFolds, number: int, run: StepRun) -> None:
    study = folds.shared.studies[number]
    images = FoldedImages(
        folds.shared.rows[number], folds.codes, folds.units, folds.folds.astype(np.int64), folds.class_names
    )
    config = CrossfitConfig(seed=folds.seed)
    settings, outside = {"seed": folds.seed}, {"folds": folds.fingerprint}
    with write_study(study.path) as writer, writer.step(STEP, settings, INPUTS, outside) as step:
        table, facts = answer_out_of_folds(study, images, step, config, run, WEIGHTS)
        table = table.assign(image_id=folds.shared.image_ids.astype(str), unit=folds.units, fold=folds.folds)
        step.table(TABLE, table.reindex(columns=list(COLUMNS)))
        step.summary = {"folds": folds.fingerprint, **facts}
