"""Prediction of errors by scores: metrics with intervals, curves, and AUROC by cause.

Everywhere `scores` is a frame of one column a score, higher = better, with a row an image, and `correct`
(n_images,) float64: 1 correct, 0 misclassified.
"""

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.common.score_names import SCORES
from core.common.statistics.chance import LEAST
from core.common.statistics.design_effect import groups_among
from core.common.statistics.intervals import auroc_difference
from core.measures import metrics
from core.measures.within_predicted import auroc_within_predicted

CAUSE_COLUMNS = [
    *("cause", "score", "n_errors", "auroc", "low", "high"),
    *("difference", "difference_low", "difference_high"),
]
RIVAL_COLUMNS = ("rival", "rival_difference", "rival_difference_low", "rival_difference_high")
MOST_DRAWS = 4_000_000  # images of a slice times resamples: some seconds for all scores
LEAST_RESAMPLES = 100  # fewer do not tell where 2.5 % begin
MOST_IMAGES = 0.9  # of those that any score has, from which on a score is ranked among the others


def resamples_of(n_images: int, resamples: int) -> int:
    """Return how many of the resamples of a study a slice of n images gets: as many as MOST_DRAWS
    allows, and 0 (no interval) where that is less than LEAST_RESAMPLES.

    >>> resamples_of(400, 1000), resamples_of(20_000, 1000), resamples_of(60_000, 1000), resamples_of(9, 50)
    (1000, 200, 0, 50)
    """
    most = MOST_DRAWS // max(n_images, 1)
    return resamples if resamples <= most else most if most >= LEAST_RESAMPLES else 0


def score_metrics(
    scores: pd.DataFrame,
    correct: np.ndarray,
    predicted: pd.Series,
    *,
    resamples: int,
    seed: int,
    why: str = "",
    groups: np.ndarray | None = None,
) -> pd.DataFrame:
    """Table `quality_metrics`: one row a score. A row does not depend on which other scores there are, but
    for its rival, and for `metrics.REFERENCE`, which its difference is to.

    Args:
        predicted: (n_images,) class that the probe predicts.
        resamples, seed: of the intervals of AUPRC and AURC.
        why: the reason why there are no outcomes, if so: the note of every row.
        groups: (n_images,) codes of patients, lesions or sequences, over which all intervals are; or None.
    Returns:
        score, label_free, the columns of `metrics.evaluate`, and those of `auroc_within_predicted` and
        `with_rivals`.
    """
    table = metrics.evaluate(scores, correct, resamples=resamples, seed=seed, groups=groups)
    table.insert(1, "label_free", [SCORES[name].label_free for name in scores])
    if why:
        table["note"] = why
    table = table.astype({"note": "str", "score": "str"})
    table = auroc_within_predicted(table, scores, correct, predicted, groups)
    return with_rivals(table, scores, correct, groups)


def on_most_images(metrics: pd.DataFrame) -> np.ndarray:
    """(n_scores,) bool: the scores that nearly all judged images have.

    An answer that was not fitted is judged on train images, too, where detectors and the similarity to train
    images are not defined: what these are worth on the others is no rank among scores of all.

    Args:
        metrics: n, the images with a score; one row per score.
    """
    n = numbers(metrics, "n")
    return ~(n < MOST_IMAGES * np.nan_to_num(n).max(initial=0))


def with_rivals(
    metrics: pd.DataFrame, scores: pd.DataFrame, correct: np.ndarray, groups: np.ndarray | None = None
) -> pd.DataFrame:
    """Add the differences to the best rival to a table `quality_metrics`.

    The rival of a score is the one of highest AUROC among the others that need no labels and are defined on
    the same number of images.

    Args:
        metrics: score, label_free, auroc, n; one row per score. scores: one column per score, (n_images,)
            rows. correct: (n_images,) 1 or 0.
    Returns:
        `metrics` with rival ("" without one), rival_difference (AUROC minus the rival's) and its 95 %
        interval (DeLong 1988); NaN for scores that use labels.
    """
    table = metrics.set_index("score")
    free = [name for name in table.index if table.loc[name, "label_free"] and table.loc[name, "auroc"] >= 0]
    rows = []
    for name in metrics["score"]:
        rival, gap = _rival(table, free, name) if name in free else "", (np.nan,) * 3
        if rival:
            mine, its = (scores[one].to_numpy(float) for one in (name, rival))
            gap = auroc_difference(mine, its, np.asarray(correct) == 1, groups)
        rows.append((rival, *gap))
    added = pd.DataFrame(rows, columns=list(RIVAL_COLUMNS), index=metrics.index).astype({"rival": "str"})
    return metrics.assign(**{name: added[name] for name in RIVAL_COLUMNS})


def _rival(table: pd.DataFrame, free: list[str], name: str) -> str:
    n = table.loc[name, "n"]
    others = [other for other in free if other != name and table.loc[other, "n"] == n]
    return max(others, key=lambda other: table.loc[other, "auroc"], default="")


def score_curves(scores: pd.DataFrame, correct: np.ndarray) -> pd.DataFrame:
    """Table `quality_curves`: score, and the columns of `metrics.curves`."""
    parts = [metrics.curves(scores[name].to_numpy(float), correct).assign(score=name) for name in scores]
    parts = [part for part in parts if len(part)] or [pd.DataFrame()]
    table = pd.concat(parts, ignore_index=True).reindex(columns=["score", "curve", "x", "y"])
    return table.astype({"score": "str", "curve": "str", "x": float, "y": float})


def score_causes(
    scores: pd.DataFrame, correct: np.ndarray, causes: np.ndarray, groups: np.ndarray | None = None
) -> pd.DataFrame:
    """Table `quality_by_cause`: AUROC of each score between the errors of one cause and the correct images,
    and its paired difference to Q.

    A cause with fewer than LEAST errors is left out; without correct images all are.

    Args:
        causes: (n_images,) what makes each image hard.
    """
    parts = []
    for cause in pd.unique(causes) if (correct == 1).any() else ():
        errors = (correct == 0) & (causes == cause)
        if errors.sum() < LEAST:
            continue
        rows = np.flatnonzero(errors | (correct == 1))
        held = groups_among(groups, rows)
        metrics_of_cause = metrics.evaluate(scores.iloc[rows], correct[rows], resamples=0, groups=held)
        metrics_of_cause = metrics_of_cause.rename(
            columns=lambda name: name if name == "auroc" else name.removeprefix("auroc_")
        )
        parts.append(metrics_of_cause.assign(cause=str(cause), n_errors=int(errors.sum()))[CAUSE_COLUMNS])
    nothing = pd.DataFrame({name: [] for name in CAUSE_COLUMNS})
    return pd.concat(parts, ignore_index=True) if parts else nothing
