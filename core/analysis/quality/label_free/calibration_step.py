"""Calibration of a study's label-free scores on labelled train images that its probe has not seen."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from core.analysis.probe.linear import fit
from core.analysis.probe.step import recipe_of
from core.analysis.probe.train_set import TrainSet
from core.analysis.quality.label_free.calibration import Calibration, calibrate, stratified_rows
from core.analysis.quality.neighbours import nearest_rows, sample_rows, stored_unit_rows
from core.analysis.tensors import as_tensor
from core.common.score_names import SCORES
from core.common.statistics.design_effect import groups_among
from core.common.step_facts import ProbeFacts
from core.config import NeighboursConfig, ProbeConfig, QualityConfig
from core.errors import StudyError
from core.jobs.progress import Bar
from core.slices.evaluate import class_column
from core.steps import settings_of
from core.store import Study


def calibration_rows(study: Study, config: QualityConfig) -> np.ndarray:
    """Draw the labelled train images of a calibration, as positions among all labelled train images.

    Raises:
        StudyError: there is no probe. SettingsError: too few or too many images.
    """
    if not study.has("probe_weights"):
        why = study.why_skipped("probe") or "run the step probe first"
        raise StudyError(f"--calibrate needs a probe, and '{study.path}' has none: {why}")
    codes = class_column(study, "label")
    return stratified_rows(codes[~study.is_val & (codes >= 0)], config.calibrate or 0, seed=config.seed)


def calibrate_study(
    study: Study,
    held: np.ndarray,
    table: pd.DataFrame,
    config: QualityConfig,
    device: str | torch.device,
    bar: Bar,
) -> tuple[pd.DataFrame, dict[str, Any], Calibration | None]:
    """Calibrate the label-free scores on the labelled train images of `calibration_rows`.

    A probe is trained without these images, with the settings and the rate of the study's, and classifies
    them: they are treated like evaluation images, also by the similarity to train images.

    Args:
        table: the table `quality`.
    Returns:
        see `calibrate`.
    """
    train = TrainSet.of(study)
    correct = _correct_without(study, train, held, device, bar)
    rows = train.rows[held]
    scores = table.iloc[rows].reset_index(drop=True).assign(split="val")
    scores["knn_similarity"] = _similarity(study, rows, device)
    names = []
    for name, score in SCORES.items():
        if name in scores and score.label_free and np.isfinite(scores[name].to_numpy(float)).all():
            names.append(name)
    return calibrate(scores[names], correct, seed=config.seed, groups=groups_among(study.groups, rows))


def apart_from(rows: np.ndarray, held: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """The rows that are neither held out nor of the patient, lesion or sequence of one that is.

    Args:
        groups: of the images that `rows` and `held` count; None: each is for itself.
    """
    others = np.setdiff1d(rows, held)
    return others if groups is None else others[~np.isin(groups[others], groups[held])]


def _correct_without(
    study: Study, train: TrainSet, held: np.ndarray, device: str | torch.device, bar: Bar
) -> np.ndarray:
    """(len(held),) 1 or 0: whether a probe trained on the other train rows classifies each correctly."""
    settings: ProbeConfig = settings_of("probe", {}, study.settings("probe"))
    stored = study.facts(ProbeFacts)
    used = apart_from(np.arange(len(train.rows)), held, groups_among(study.groups, train.rows))
    recipe = recipe_of(settings, stored.penalty)
    rates = [stored.lr or 0.0]
    calibration = fit(
        train.batches(device),
        used,
        len(study.class_names),
        lrs=rates,
        recipe=recipe,
        after_epoch=lambda: bar.update(1),
    )
    weights, bias = train.standard.fold(calibration.weights[0], calibration.bias[0])
    raw = as_tensor(train.array.rows(train.rows[held])).to(weights.device).double()
    predicted = (raw @ weights.T + bias).argmax(1).cpu().numpy()
    return (predicted == train.codes[held]).astype(float)


def _similarity(study: Study, rows: np.ndarray, device: str | torch.device) -> np.ndarray:
    """Mean cosine of these train rows to their nearest train rows, themselves and each other left out."""
    settings: NeighboursConfig = settings_of("neighbours", {}, study.settings("neighbours"))
    others = apart_from(np.flatnonzero(~study.is_val), rows, study.groups)
    others = sample_rows(others, settings.max_train, settings.seed)
    array = study.array("representations")
    queries, train = (stored_unit_rows(array, part, device) for part in (rows, others))
    return nearest_rows(queries, train, k=settings.k)[1].double().mean(1).cpu().numpy()
