"""How well a score predicts a binary outcome (correctly classified): AUROC, AUPRC, AURC, with intervals.

A score is sorted once into groups of equal values, best first; every metric is then a sum over groups of
cumulative counts, so ties never depend on the order of the images, and a bootstrap resample is just a
different weight for each image.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.arrays import check_same_length, evenly, safe_divide

METRICS = ("auroc", "auprc_correct", "auprc_error", "aurc")
CURVES = ("roc", "pr", "pr_error", "risk")
CURVE_POINTS = 500


@dataclass(frozen=True)
class Ranking:
    """A score sorted from best (highest) to worst, with the outcome of each image."""

    outcome: np.ndarray  # (n,) float64, 1 = correct, best score first
    ends: np.ndarray | None  # last position of each group of equal scores; None when there are no ties
    harmonic: np.ndarray  # (n + 1,) cumulative area that an error adds to the risk-coverage curve, by rank

    @property
    def n(self) -> int:
        return len(self.outcome)


def rank(score: np.ndarray, correct: np.ndarray) -> Ranking:
    """Sort `score` from high to low. Both (n,); scores without NaN."""
    score, correct = np.asarray(score, float), np.asarray(correct, float)
    check_same_length("scores", len(score), "outcomes", len(correct))
    order = np.argsort(-score, kind="stable")
    falls = np.flatnonzero(np.diff(score[order]))
    ends = None if len(falls) == len(score) - 1 else np.append(falls, len(score) - 1)
    return Ranking(correct[order], ends, risk_area(len(score)))


def risk_area(n: int) -> np.ndarray:
    """(n + 1,) G, G[k] = sum_{p<=k} (H_n - H_{p-1}): an error at rank p adds (H_n - H_{p-1})/n to AURC."""
    reciprocal = 1.0 / np.arange(1, n + 1)
    behind = np.cumsum(reciprocal[::-1])[::-1]  # H_n - H_{p-1}
    return np.concatenate([[0.0], np.cumsum(behind)])


def cumulated(ranking: Ranking, counts: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Count images and correct images down to each group, (groups + 1,) each, starting at 0.

    Args:
        counts: how often each sorted image occurs in the resample; None for once each.
    """
    n = ranking.n
    images, correct = np.zeros(n + 1, np.int64), np.zeros(n + 1)
    if counts is None:
        images[1:] = np.arange(1, n + 1)
        np.cumsum(ranking.outcome, out=correct[1:])
    else:
        np.cumsum(counts, out=images[1:])
        np.cumsum(counts * ranking.outcome, out=correct[1:])
    if ranking.ends is None:
        return images, correct
    kept = np.concatenate([[0], ranking.ends + 1])
    return images[kept], correct[kept]


def metrics_of(ranking: Ranking, counts: np.ndarray | None = None) -> tuple[float, float, float, float]:
    """AUROC, AUPRC (correct positive), AUPRC (error positive), AURC; NaN for a single-class outcome."""
    images, correct = cumulated(ranking, counts)
    wrong = images - correct
    n, n_correct, n_wrong = images[-1], correct[-1], wrong[-1]
    if n_correct == 0 or n_wrong == 0:
        return np.nan, np.nan, np.nan, np.nan
    new, new_correct, new_wrong = np.diff(images), np.diff(correct), np.diff(wrong)
    auroc = np.dot(new_wrong, correct[:-1] + 0.5 * new_correct) / (n_correct * n_wrong)
    seen = np.maximum(images[1:], 1)
    auprc_correct = np.dot(new_correct, correct[1:] / seen) / n_correct
    left = np.maximum(n - images[:-1], 1)
    auprc_error = np.dot(new_wrong, (n_wrong - wrong[:-1]) / left) / n_wrong
    area = np.diff(ranking.harmonic[images])
    aurc = np.dot(new_wrong / np.maximum(new, 1), area) / n
    return float(auroc), float(auprc_correct), float(auprc_error), float(aurc)


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties counting half (as in scikit-learn).

    Args:
        score: (n,) float. positive: (n,) bool.
    Returns:
        float in [0, 1], NaN when all outcomes are the same.
    """
    return metrics_of(rank(score, positive))[0]


def average_precision(score: np.ndarray, positive: np.ndarray) -> float:
    """sum_k (R_k - R_{k-1}) P_k over the distinct scores from the highest (as in scikit-learn).

    Returns:
        float in (0, 1], NaN when all outcomes are the same; its base rate is the share of positives.
    """
    return metrics_of(rank(score, positive))[1]


def aurc(score: np.ndarray, correct: np.ndarray) -> float:
    """Area under the risk-coverage curve: mean over k = 1..n of the error rate of the k best-scored images.

    (Geifman et al. 2019.) Within tied scores the risk is the mean over all orders of the tied images.

    Returns:
        float in [0, 1], lower is better, NaN when all outcomes are the same.
    """
    return metrics_of(rank(score, correct))[3]


def bootstrap_metrics(rankings: list[Ranking], *, resamples: int, seed: int) -> np.ndarray:
    """Compute the metrics of every ranking for resamples of the images.

    Args:
        rankings: all of the same number of images. seed: resample b is drawn from (seed, b).
    Returns:
        (resamples, len(rankings), 4) float64 in the order of METRICS.
    """
    n = rankings[0].n

    def one(b: int) -> list[tuple[float, ...]]:
        draws = np.random.default_rng([seed, b]).integers(0, n, n)
        counts = np.bincount(draws, minlength=n)
        return [metrics_of(ranking, counts) for ranking in rankings]

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        found = list(pool.map(one, range(resamples)))
    return np.array(found).reshape(resamples, len(rankings), 4)


def evaluate(
    scores: pd.DataFrame, correct: np.ndarray, *, resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Measure how well each score predicts a correct classification, with 95 % bootstrap intervals.

    Args:
        scores: one column per score, (n_images,) rows, higher = better; NaN is left out and noted.
        correct: (n_images,) 1 correct, 0 wrong.
    Returns:
        one row per score: score; auroc, auprc_correct, auprc_error, aurc, each with _low and _high;
        base_rate_correct, base_rate_error; n (images used); note (why a metric is NaN, or empty).
    """
    check_same_length("scores", len(scores), "outcomes", len(correct))
    correct = np.asarray(correct, float)
    known = {name: np.isfinite(scores[name].to_numpy(float)) for name in scores}
    rankings = {name: rank(scores[name].to_numpy(float)[mask], correct[mask]) for name, mask in known.items()}
    usable = [name for name, ranking in rankings.items() if not _why_undefined(ranking)]
    draws: dict[str, np.ndarray] = {}
    for n in {rankings[name].n for name in usable} if resamples else ():
        same = [name for name in usable if rankings[name].n == n]
        found = bootstrap_metrics([rankings[name] for name in same], resamples=resamples, seed=seed)
        draws |= {name: found[:, position] for position, name in enumerate(same)}
    return pd.DataFrame([_row(name, rankings[name], draws.get(name), len(correct)) for name in scores])


def _why_undefined(ranking: Ranking) -> str:
    n_correct = int(ranking.outcome.sum())
    if ranking.n == 0:
        return "the score is undefined for every image"
    if n_correct == ranking.n:
        return f"all {ranking.n} images are classified correctly: there is no error to predict"
    if n_correct == 0:
        return f"all {ranking.n} images are misclassified: there is no success to predict"
    return ""


def _row(name: str, ranking: Ranking, draws: np.ndarray | None, n_images: int) -> dict[str, object]:
    note = _why_undefined(ranking)
    values = dict(zip(METRICS, (np.nan,) * 4 if note else metrics_of(ranking), strict=True))
    row: dict[str, object] = {"score": name}
    for position, metric in enumerate(METRICS):
        row[metric] = values[metric]
        low, high = (np.nan, np.nan) if draws is None else np.nanpercentile(draws[:, position], [2.5, 97.5])
        row |= {f"{metric}_low": float(low), f"{metric}_high": float(high)}
    accuracy = float(ranking.outcome.mean()) if ranking.n else np.nan
    if not note and ranking.n < n_images:
        note = f"undefined for {n_images - ranking.n} of {n_images} images, which are left out"
    return row | {
        "base_rate_correct": accuracy,
        "base_rate_error": 1.0 - accuracy,
        "n": ranking.n,
        "note": note,
    }


def curves(score: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """ROC, both precision-recall curves and the risk-coverage curve of one score.

    Returns:
        columns curve (roc, pr, pr_error, risk), x, y, at most 500 points per curve: false against true
        positive rate; recall against precision with correct, then with error as positive; coverage
        against risk. Empty for a single-class outcome or without images.
    """
    keep = np.isfinite(score)
    ranking = rank(score[keep], np.asarray(correct)[keep])
    if _why_undefined(ranking):
        return pd.DataFrame({"curve": pd.Series(dtype=object), "x": [], "y": []})
    images, right = cumulated(ranking, None)
    wrong = images - right
    n, n_right, n_wrong = images[-1], right[-1], wrong[-1]
    behind, wrong_behind = (n - images)[:-1][::-1], (n_wrong - wrong)[:-1][::-1]
    points = {
        "roc": (wrong / n_wrong, right / n_right),
        "pr": (right[1:] / n_right, safe_divide(right[1:], images[1:])),
        "pr_error": (wrong_behind / n_wrong, safe_divide(wrong_behind, behind)),
        "risk": (images[1:] / n, safe_divide(wrong[1:], images[1:])),
    }
    return pd.concat([_thinned(name, x, y) for name, (x, y) in points.items()], ignore_index=True)


def _thinned(name: str, x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    kept = evenly(len(x), CURVE_POINTS)
    return pd.DataFrame({"curve": name, "x": x[kept], "y": y[kept]})
