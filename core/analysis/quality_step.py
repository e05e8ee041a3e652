"""The step `quality`: scores of every image, their calibration, and how well they predict errors."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.analysis import trust_check
from core.analysis.baseline_scores import baseline_scores, deviation_scores
from core.analysis.calibration import Calibration, calibrate, calibration_sentence, stratified_rows
from core.analysis.kernels import sum_excess
from core.analysis.linear_probe import TrainSet, fit
from core.analysis.neighbours import nearest_rows, sample_rows, stored_unit_rows
from core.analysis.probe_step import recipe_of
from core.analysis.tensors import as_tensor
from core.common.dataframes import safe_divide
from core.common.entries import record_of
from core.common.score_names import SCORES
from core.common.step_facts import FeaturesFacts, NeighboursFacts, ProbeFacts, QualityFacts
from core.config import NeighboursConfig, ProbeConfig, QualityConfig
from core.errors import StudyError
from core.measures.design_effect import groups_among
from core.measures.evaluate import class_column
from core.measures.feature_rates import group_means, vectors_of, with_outcome
from core.measures.scores import score_causes, score_curves, score_metrics
from core.measures.slice_tables import causes_of
from core.store import Study
from core.study.progress import Bar
from core.study.steps import settings_of
from core.study.writer import StepRun, StepWriter

# Calibration of a study's label-free scores on labelled train images that its probe has not seen.


def _calibration_rows(study: Study, config: QualityConfig) -> np.ndarray:
    """Draw the labelled train images of a calibration, as positions among all labelled train images.

    Raises:
        StudyError: there is no probe. SettingsError: too few or too many images.
    """
    if not study.has("probe_weights"):
        why = study.why_skipped("probe") or "run the step probe first"
        raise StudyError(f"--calibrate needs a probe, and '{study.path}' has none: {why}")
    codes = class_column(study, "label")
    return stratified_rows(codes[~study.is_val & (codes >= 0)], config.calibrate or 0, seed=config.seed)


def _calibrate_study(
    study: Study,
    held: np.ndarray,
    table: pd.DataFrame,
    config: QualityConfig,
    device: str | torch.device,
    bar: Bar,
) -> tuple[pd.DataFrame, dict[str, Any], Calibration | None]:
    """Calibrate the label-free scores on the labelled train images of `_calibration_rows`.

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


def apart_from(rows: np.ndarray, held_out: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """The images that are neither held out for a calibration nor of the group of one that is.

    Args:
        groups: of the images that `rows` and `held` count; None: each is for itself.
    """
    others = np.setdiff1d(rows, held_out)
    return others if groups is None else others[~np.isin(groups[others], groups[held_out])]


def _correct_without(
    study: Study, train: TrainSet, held_out: np.ndarray, device: str | torch.device, bar: Bar
) -> np.ndarray:
    """(len(held),) 1 or 0: whether a probe trained on the other train rows classifies each correctly."""
    settings: ProbeConfig = settings_of("probe", {}, study.settings("probe"))
    stored = study.facts(ProbeFacts)
    used = apart_from(np.arange(len(train.rows)), held_out, groups_among(study.groups, train.rows))
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
    raw = as_tensor(train.array.rows(train.rows[held_out])).to(weights.device).double()
    predicted = (raw @ weights.T + bias).argmax(1).cpu().numpy()
    return (predicted == train.codes[held_out]).astype(float)


def _similarity(study: Study, rows: np.ndarray, device: str | torch.device) -> np.ndarray:
    """Mean cosine of these train rows to their nearest train rows, themselves and each other left out."""
    settings: NeighboursConfig = settings_of("neighbours", {}, study.settings("neighbours"))
    others = apart_from(np.flatnonzero(~study.is_val), rows, study.groups)
    others = sample_rows(others, settings.max_train, settings.seed)
    array = study.array("representations")
    queries, train = (stored_unit_rows(array, part, device) for part in (rows, others))
    return nearest_rows(queries, train, k=settings.k)[1].double().mean(1).cpu().numpy()


# The step `quality`: scores of every image, and how well they predict the probe's errors.


FROM_PROBE = ("confidence", "margin", "energy")  # columns of the table `probe`


def sparse_scores(
    excess: np.ndarray, features: np.ndarray, count: np.ndarray, discriminative: np.ndarray
) -> dict[str, np.ndarray]:
    """Compute the Q-Score of images and its variants from firing sets given by row (Q eq. 1).

    Args:
        excess: (n_firing,) h_ij - mu_i of each firing entry. features: (n_firing,) its feature.
        count: (n,) number of entries of each row.
        discriminative: (n_features,) bool.
    Returns:
        q_score and q_all_features (n,) float64, 0 if empty; n_firing, n_firing_discriminative (n,) int32.
    """
    totals, n_chosen = np.empty((2, len(count))), np.empty(len(count), np.int32)
    sum_excess(excess, features, count, discriminative, totals, n_chosen)
    q_score = safe_divide(totals[0], n_chosen, empty=0.0)
    return {
        "q_score": q_score,
        "q_all_features": safe_divide(totals[1], count, empty=0.0),
        "n_firing": count.astype(np.int32),
        "n_firing_discriminative": n_chosen,
    }


def _firing_pieces(study: Study) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield firing sets of consecutive images for the Q-Score: features, excess, count of each image."""
    features, excess = study.array("firing_features"), study.array("firing_excess")
    count = study.vector("firing_count")
    ends = np.cumsum(count, dtype=np.int64)
    first = 0
    for number in range(features.n_chunks):
        whole = number == features.n_chunks - 1
        stop = features.chunk_start(number + 1)
        last = len(count) if whole else int(np.searchsorted(ends, stop, side="left")) + 1
        yield features.chunk(number), excess.chunk(number), count[first:last]
        first = last


def compute_quality(study: Study, step: StepWriter, config: QualityConfig, run: StepRun) -> None:
    """Write tables `quality`, `quality_metrics`, `quality_curves` (and `quality_by_cause` if causes are
    known), headline numbers in the summary and, if evaluation images have a probe result, their average
    representations (`core.measures.feature_rates`).

    Args:
        device: for NNGuide and the probe of a calibration; all else is sparse or a single pass.
    """
    # before any work, since a number may be impossible
    held_out = _calibration_rows(study, config) if config.calibrate else None
    if n_images := int(np.count_nonzero(with_outcome(study, study.is_val)[0])):
        with run.progress.stage("class means", total=n_images, unit="images") as bar:
            for name, values in vectors_of(group_means(study, study.is_val, bar.update)).items():
                step.vector(name, values)
    with run.progress.stage("quality", total=1, unit="parts") as bar:
        table = quality_table(study, run.device)
        bar.update(1)
    calibration: dict[str, Any] = {}
    if held_out is not None:
        with run.progress.stage(
            "calibration", total=study.settings("probe").get("epochs"), unit="epochs"
        ) as bar:
            regression, facts, calibrated = _calibrate_study(study, held_out, table, config, run.device, bar)
        step.table("quality_calibration", regression)
        calibration = {"calibration": facts, "calibration_sentence": calibration_sentence(facts)}
        table = table.assign(calibrated=calibrated.score(table)) if calibrated else table
    step.table("quality", table)
    with run.progress.stage("evaluation", total=3, unit="parts") as bar:
        judged = (table["split"] == "val") & table["correct"].notna()
        scores = table.loc[judged, [name for name in SCORES if name in table]]
        correct = table.loc[judged, "correct"].to_numpy(dtype=float)
        groups = groups_among(study.groups, judged.to_numpy(bool))
        metrics = score_metrics(
            scores,
            correct,
            table.loc[judged, "predicted"],
            resamples=config.bootstrap,
            seed=config.seed,
            why=_why_not_judged(study),
            groups=groups,
        )
        step.table("quality_metrics", metrics)
        bar.update(1)
        step.table("quality_curves", score_curves(scores, correct))
        bar.update(1)
        if (causes := causes_of(study)) is not None:
            by_cause = score_causes(scores, correct, causes[judged.to_numpy()], groups)
            step.table("quality_by_cause", by_cause)
        bar.update(1)
    step.summary = _summarise(study, table, metrics) | calibration


def quality_table(study: Study, device: str | torch.device = "cpu") -> pd.DataFrame:
    """Compute all scores for the step `quality`: one row per image, with the columns that exports promise."""
    discriminative = study.discriminative
    parts = [
        sparse_scores(excess, index, count, discriminative) for index, excess, count in _firing_pieces(study)
    ]
    sparse = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    rows = study.table("row_stats", ["norm", "max_activation", "hoyer"])
    columns = {name: study.images[name] for name in ("image_id", "split")}
    columns |= {name: sparse[name] for name in ("q_score", "n_firing", "n_firing_discriminative")}
    columns |= {name: rows[name] for name in ("norm", "max_activation")}
    columns |= {"q_all_features": sparse["q_all_features"], "hoyer": rows["hoyer"]}
    columns |= {"knn_similarity": _knn_similarity(study)}
    columns |= _of_probe(study, len(study.images))
    columns |= deviation_scores(study)
    columns |= _principal_scores(study)
    columns |= baseline_scores(study, device=device)
    return pd.DataFrame(columns)


def _principal_scores(study: Study) -> dict[str, Any]:
    """Columns of `principal_scores`; NaN if the step `neighbours` has not made it."""
    names = ["pca_residual", "whitened_norm"]
    if not study.has("principal_scores"):
        return {name: np.full(len(study.images), np.nan) for name in names}
    frame = study.table("principal_scores", names)
    return {name: frame[name] for name in names}


def _knn_similarity(study: Study) -> np.ndarray:
    """Mean cosine to the nearest train images; NaN on train, and for val without the step `neighbours`."""
    values = np.full(len(study.images), np.nan)
    if study.has("neighbour_similarity"):
        values[study.is_val] = study.vector("neighbour_similarity").astype(np.float64).mean(1)
    return values


def _of_probe(study: Study, n: int) -> dict[str, Any]:
    columns = ["predicted", *FROM_PROBE, "correct"]
    if study.has("probe"):
        frame = study.table("probe", columns)
        return {name: frame[name] for name in columns}
    unknown = dict.fromkeys(FROM_PROBE, np.full(n, np.nan))
    nothing = pd.Series(pd.NA, index=range(n), dtype="str")
    return {"predicted": nothing, **unknown, "correct": pd.Series(pd.NA, index=range(n), dtype="boolean")}


def _why_not_judged(study: Study) -> str:
    """Explain why scores are not judged, as no val image has a probe result; empty if one has."""
    if not study.has("probe"):
        return study.why_skipped("probe") or "there is no probe (run the step probe, then quality)"
    return "" if study.is_val.any() else "there are no evaluation images"


def _summarise(study: Study, table: pd.DataFrame, metrics: pd.DataFrame) -> dict[str, Any]:
    """Return headline numbers of the step `quality` and scores of the whole representation, or None.

    Return headline numbers and scores of the whole representation; None = undefined.
    """
    shown = table.loc[study.is_val] if study.is_val.any() else table
    q = metrics.loc[metrics["score"] == "q_score"].iloc[0].to_dict()
    features, dense = study.facts(FeaturesFacts), study.facts(NeighboursFacts)
    n_firing, n_in_d = (shown[name].to_numpy() for name in ("n_firing", "n_firing_discriminative"))
    values = {
        "q_auroc": q["auroc"],
        "q_auprc": q["auprc_correct"],
        "q_auprc_error": q["auprc_error"],
        "q_aurc": q["aurc"],
        "q_augrc": q["augrc"],
        "base_rate": q["base_rate_correct"],
    }
    values |= {
        "near_zero_share": _number(features.near_zero_share),
        "negative_share": _number(features.negative_share),
        "mean_firing": n_firing.mean(),
        "share_nonempty": (n_in_d > 0).mean(),
    }
    values["mean_confidence"] = shown["confidence"].mean()
    values["dead_share"] = _number(features.dead_share)
    values |= {"rankme": _number(dense.rankme), "alpha_req": _number(dense.alpha_req)}
    summary: dict[str, Any] = {}
    for name, value in values.items():
        summary[name] = None if np.isnan(value) else float(value)
    summary["q_auroc_interval"] = _interval(q, "auroc")
    summary["q_auprc_interval"] = _interval(q, "auprc_correct")
    evidence = trust_check.evidence_of(record_of(QualityFacts, summary), metrics)
    return summary | {"q_rank": evidence.rank, "n_scores": evidence.n_scores}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _interval(row: dict[Any, Any], metric: str) -> list[float] | None:
    ends = [float(row[f"{metric}_low"]), float(row[f"{metric}_high"])]
    return None if np.isnan(ends).any() else ends
