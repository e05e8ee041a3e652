"""Metrics of a score that predicts correct classification: AUROC, AUPRC, AURC, AUGRC, and their intervals.

A score is sorted once into groups of equal values, best first; every metric is then a sum over groups of
cumulative counts, so ties never depend on the order of the images, and a bootstrap resample is just a
different weight for each image. AUROC, AUGRC and differences of AUROCs have intervals in closed form
(docs/method.md 2.3), AUPRC and AURC those of the resamples.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.dataframes import check_same_length, evenly, safe_divide
from core.common.records import Templates
from core.measures import design_effect
from core.measures.chance import FEW, too_few
from core.measures.design_effect import groups_among
from core.measures.intervals import (
    auroc_difference,
    interval_of_augrc,
    interval_of_auroc,
    projections,
    resampled_logit_interval,
)
from core.measures.placements import spreads

_say = Templates.beside(__file__)
METRICS = ("auroc", "auprc_correct", "auprc_error", "aurc", "augrc")
REFERENCE = "q_score"  # the score that the others are compared with
DIFFERENCE = ("auroc_difference", "auroc_difference_low", "auroc_difference_high")
CURVES = ("roc", "pr", "pr_error", "risk")
CURVE_POINTS = 500
DRAWN_AT_ONCE = 1 << 15  # images, of all resamples that are measured together: they fit into a core's cache


@dataclass(frozen=True)
class Ranking:
    """A score sorted from best (highest) to worst, with the outcome of each image."""

    rows: np.ndarray  # (n,) int64, the image at each rank, best score first
    outcome: np.ndarray  # (n,) float64, 1 = correct, by rank
    ends: np.ndarray | None  # last position of each group of equal scores; None when there are no ties
    harmonic: np.ndarray  # (n + 1,) cumulative area that an error adds to the risk-coverage curve, by rank

    @property
    def n(self) -> int:
        return len(self.outcome)


def rank(score: np.ndarray, correct: np.ndarray, *, among: np.ndarray | None = None) -> Ranking:
    """Sort the images by a score from high to low, with groups of equal scores, for AUROC and AURC.

    Args:
        score, correct: (n_images,). among: rows of the images to rank; None for all. They have no NaN.
    """
    score, correct = np.asarray(score, float), np.asarray(correct, float)
    check_same_length("scores", len(score), "outcomes", len(correct))
    ranked = np.arange(len(score)) if among is None else np.asarray(among)
    rows = ranked[np.argsort(-score[ranked], kind="stable")]
    falls = np.flatnonzero(np.diff(score[rows]))
    ends = None if len(falls) == len(rows) - 1 else np.append(falls, len(rows) - 1)
    return Ranking(rows, correct[rows], ends, _risk_area(len(rows)))


def _risk_area(n: int) -> np.ndarray:
    """Return what an error at each rank adds to the area under the risk-coverage curve.

    (n + 1,) G, G[k] = sum_{p<=k} (H_n - H_{p-1}): an error at rank p adds (H_n - H_{p-1})/n to AURC.
    """
    reciprocal = 1.0 / np.arange(1, n + 1)
    behind = np.cumsum(reciprocal[::-1])[::-1]  # H_n - H_{p-1}
    return np.concatenate([[0.0], np.cumsum(behind)])


def _cumulated(ranking: Ranking, counts: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Count images and correct images of a ranking by score, down to each group of equal scores.

    Count images and correct images down to each group, (…, groups + 1) each, starting at 0.

    Args:
        counts: (…, n_images) how often each image occurs in a resample, by row; None for once each.
    """
    n = ranking.n
    drawn = np.ones(n, np.int64) if counts is None else np.take(counts, ranking.rows, axis=-1)
    images = np.zeros((*drawn.shape[:-1], n + 1), np.int64)
    correct = np.zeros(images.shape)
    np.cumsum(drawn, axis=-1, out=images[..., 1:])
    np.cumsum(drawn * ranking.outcome, axis=-1, out=correct[..., 1:])
    if ranking.ends is None:
        return images, correct
    ends = np.concatenate([[0], ranking.ends + 1])
    return np.take(images, ends, axis=-1), np.take(correct, ends, axis=-1)


def metrics_of(ranking: Ranking, counts: np.ndarray | None = None) -> tuple[float, ...]:
    """Compute the METRICS of a ranking by score in their order; NaN for a single-class outcome."""
    drawn = None if counts is None else counts[None]
    return tuple(_metrics_of_each(ranking, drawn).reshape(-1).tolist())


def _metrics_of_each(ranking: Ranking, counts: np.ndarray | None) -> np.ndarray:
    """Compute the METRICS of a ranking by score for many resamples at once.

    (resamples, len(METRICS)) float64 of resamples at once; NaN where only one outcome is drawn.

    Args:
        counts: (resamples, n_images); None for one resample, of each image once.
    """
    images, correct = map(np.atleast_2d, _cumulated(ranking, counts))
    wrong = images - correct
    n = images[:, -1]
    n_correct = correct[:, -1]
    n_wrong = wrong[:, -1]
    new, new_correct, new_wrong = np.diff(images), np.diff(correct), np.diff(wrong)
    left = np.maximum(n[:, None] - images[:, :-1], 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # of resamples with one outcome
        auroc = _dot(new_wrong, correct[:, :-1] + 0.5 * new_correct) / (n_correct * n_wrong)
        auprc_correct = _dot(new_correct, correct[:, 1:] / np.maximum(images[:, 1:], 1)) / n_correct
        auprc_error = _dot(new_wrong, (n_wrong[:, None] - wrong[:, :-1]) / left) / n_wrong
        aurc = _dot(new_wrong / np.maximum(new, 1), np.diff(_areas(ranking, images))) / n
        augrc = _dot(new, wrong[:, :-1] + 0.5 * new_wrong) / n**2
    values = np.stack([auroc, auprc_correct, auprc_error, aurc, augrc], axis=1)
    of_both = (n_correct > 0) & (n_wrong > 0)
    return np.where(of_both[:, None], values, np.nan)


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(rows,) the sum of products in each row."""
    return np.einsum("ij,ij->i", one, other)


def _areas(ranking: Ranking, images: np.ndarray) -> np.ndarray:
    """`_risk_area` of as many images as are drawn in a row, at the counts in it."""
    drawn = images[:, -1]
    if (drawn == ranking.n).all():
        return ranking.harmonic[images]
    areas = np.empty(images.shape)
    for n in np.unique(drawn).tolist():
        rows = drawn == n
        areas[rows] = _risk_area(n)[images[rows]]
    return areas


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties counting half (as in scikit-learn).

    Args:
        score: (n,) float. positive: (n,) bool.
    Returns:
        float in [0, 1], NaN when all outcomes are the same.
    """
    return metrics_of(rank(score, positive))[0]


def aurc(score: np.ndarray, correct: np.ndarray) -> float:
    """Area under the risk-coverage curve: mean over k = 1..n of the error rate of the k best-scored images.

    (Geifman et al. 2019.) Within tied scores the risk is the mean over all orders of the tied images.

    Returns:
        float in [0, 1], lower is better, NaN when all outcomes are the same.
    """
    return metrics_of(rank(score, correct))[3]


def augrc(score: np.ndarray, correct: np.ndarray) -> float:
    """Area under the generalised risk-coverage curve (Traub et al. 2024, arXiv 2407.01032).

    The curve joins the points (m/n, errors among the m best-scored of n images / n), m = 0..n, by lines; tied
    images are entered together, which is the mean over all orders of them. With AUROC (ties count half) and
    accuracy a,   AUGRC = (1 - AUROC) a (1 - a) + (1 - a)^2 / 2.

    Returns:
        float in [0, 1/2], lower is better; a score without skill has (1 - a) / 2. NaN when all outcomes are
        the same.
    """
    return metrics_of(rank(score, correct))[4]


def resample(n: int, seed: int, number: int, groups: np.ndarray | None = None) -> np.ndarray:
    """(n,) int64: how often each of n images occurs in bootstrap `number`, drawn with replacement.

    Args:
        groups: (n,) int in [0, n_groups), drawn in place of images, with all their images (Davison and
            Hinkley 1997, 3.8); None: images are drawn.
    """
    rng = np.random.default_rng([seed, number])
    if groups is None:
        return np.bincount(rng.integers(0, n, n), minlength=n)
    n_groups = int(groups.max(initial=-1)) + 1
    return np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)[groups]


def bootstrap_metrics(
    rankings: list[Ranking], n_images: int, *, resamples: int, seed: int, groups: np.ndarray | None = None
) -> np.ndarray:
    """Compute the metrics of every ranking for resamples of the images, or of their groups.

    Args:
        rankings: of any of the images. seed: resample b is drawn from (seed, b), the same for all rankings.
        groups: see `resample`.
    Returns:
        (resamples, len(rankings), len(METRICS)) float64.
    """

    draws = np.empty((resamples, len(rankings), len(METRICS)))
    at_once = max(DRAWN_AT_ONCE // max(n_images, 1), 1)

    def some(start: int) -> None:
        numbers = range(start, min(start + at_once, resamples))
        counts = np.stack([resample(n_images, seed, number, groups) for number in numbers])
        for position, ranking in enumerate(rankings):
            draws[numbers.start : numbers.stop, position] = _metrics_of_each(ranking, counts)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        list(pool.map(some, range(0, resamples, at_once)))
    return draws


def evaluate(
    scores: pd.DataFrame,
    correct: np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> pd.DataFrame:
    """Measure how well each score predicts that an image is classified correctly, with 95 % intervals.

    Args:
        scores: one column per score, (n_images,) rows, higher = better; NaN is left out and noted.
        correct: (n_images,) 1 correct, 0 wrong.
        resamples: of the images, for AUPRC and AURC; 0 gives no intervals of these.
        groups: (n_images,) any codes: all intervals are over groups; None: each image is for itself.
    Returns:
        one row per score: score; auroc, auprc_correct, auprc_error, aurc, augrc, each with _low and _high;
        auroc_difference to REFERENCE with its paired interval (NaN for REFERENCE itself and without it);
        base_rate_correct, base_rate_error; n (images used); note (why a metric is NaN or differences are
        rough, or empty).
    """
    check_same_length("scores", len(scores), "outcomes", len(correct))
    correct, n = np.asarray(correct, float), len(correct)
    groups = None if groups is None else np.unique(groups, return_inverse=True)[1]
    values = {name: scores[name].to_numpy(float) for name in scores}
    rankings = {
        name: rank(value, correct, among=np.flatnonzero(np.isfinite(value))) for name, value in values.items()
    }
    usable = [name for name, ranking in rankings.items() if not _why_undefined(ranking)]
    draws: dict[str, np.ndarray] = {}
    if resamples and usable:
        ranked = [rankings[name] for name in usable]
        drawn = bootstrap_metrics(ranked, n, resamples=resamples, seed=seed, groups=groups)
        draws = {name: drawn[:, position] for position, name in enumerate(usable)}
    rows = [_row(name, values[name], rankings[name], draws.get(name), n, groups) for name in scores]
    for row in rows if REFERENCE in usable else ():
        name = str(row["score"])
        if name in usable and name != REFERENCE:
            difference = auroc_difference(values[name], values[REFERENCE], correct == 1, groups)
            row |= dict(zip(DIFFERENCE, difference, strict=True))
    return pd.DataFrame(rows)


def _why_undefined(ranking: Ranking) -> str:
    n_correct = int(ranking.outcome.sum())
    if ranking.n == 0:
        return _say("no_score")
    if n_correct == ranking.n:
        return _say("no_error", n=ranking.n)
    return "" if n_correct else _say("no_success", n=ranking.n)


def _row(
    name: str,
    values: np.ndarray,
    ranking: Ranking,
    draws: np.ndarray | None,
    n_images: int,
    groups: np.ndarray | None,
) -> dict[str, object]:
    note = _why_undefined(ranking)
    measured = dict(zip(METRICS, (np.nan,) * len(METRICS) if note else metrics_of(ranking), strict=True))
    ends = dict.fromkeys(METRICS, (np.nan, np.nan))
    if draws is not None:
        bounds = resampled_logit_interval(list(measured.values()), draws, ranking.n)
        ends = dict(zip(METRICS, zip(*map(np.ndarray.tolist, bounds), strict=True), strict=True))
    placements = spreads(values[ranking.rows], ranking.outcome == 1)
    effects = effects_of(values[ranking.rows], ranking.outcome == 1, groups_among(groups, ranking.rows))
    area = interval_of_auroc(*placements, effect=effects[0])
    generalised_risk = interval_of_augrc(*placements, effect=effects[1])
    measured |= {"auroc": area[0], "augrc": generalised_risk[0]}
    ends |= {"auroc": area[1:], "augrc": generalised_risk[1:]}
    row: dict[str, object] = {"score": name}
    for metric in METRICS:
        low, high = ends[metric]
        row |= {metric: measured[metric], f"{metric}_low": low, f"{metric}_high": high}
    row |= dict.fromkeys(DIFFERENCE, np.nan)
    accuracy = float(ranking.outcome.mean()) if ranking.n else np.nan
    return row | {
        "base_rate_correct": accuracy,
        "base_rate_error": 1.0 - accuracy,
        "n": ranking.n,
        "note": note or _remarks(ranking, n_images),
    }


def effects_of(score: np.ndarray, correct: np.ndarray, groups: np.ndarray | None) -> tuple[float, float]:
    """The design effects, by groups of images, of a score's AUROC and AUGRC; correct: (n,) bool.

    The design effects of the AUROC and of the AUGRC of a score without NaN; correct: (n,) bool.
    """
    if groups is None or not 0 < np.count_nonzero(correct) < len(correct):
        return 1.0, 1.0
    of_risk = design_effect.of_mean(projections(score, correct), groups)
    return design_effect.of_area(score, correct, groups), of_risk


def _remarks(ranking: Ranking, n_images: int) -> str:
    """Return the cautions beside the metrics of a ranking that has them."""
    remarks = []
    if ranking.n < n_images:
        remarks.append(_say("left_out", n=n_images - ranking.n, of=n_images))
    n_right = int(ranking.outcome.sum())
    if few := too_few(ranking.n - n_right, n_right, least=FEW):
        remarks.append(_say("few_errors", what=few))
    return "; ".join(remarks)


def curves(score: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """ROC, both precision-recall curves and the risk-coverage curve of one score of images.

    Returns:
        columns curve (roc, pr, pr_error, risk), x, y, at most 500 points per curve: false against true
        positive rate; recall against precision with correct, then with error as positive; coverage
        against risk. Empty for a single-class outcome or without images.
    """
    ranking = rank(score, correct, among=np.flatnonzero(np.isfinite(score)))
    if _why_undefined(ranking):
        return pd.DataFrame({"curve": pd.Series(dtype=object), "x": [], "y": []})
    images, right = _cumulated(ranking, None)
    wrong = images - right
    n, n_right, n_wrong = images[-1], right[-1], wrong[-1]
    behind = (n - images)[:-1][::-1]
    wrong_behind = (n_wrong - wrong)[:-1][::-1]
    precision = safe_divide(right[1:], images[1:])
    precision_of_errors = safe_divide(wrong_behind, behind)
    risk = safe_divide(wrong[1:], images[1:])
    recall = right[1:] / n_right
    points = {"roc": (wrong / n_wrong, right / n_right), "pr": (recall, precision)}
    points["pr_error"] = (wrong_behind / n_wrong, precision_of_errors)
    points["risk"] = (images[1:] / n, risk)
    return pd.concat([_thinned(name, x, y) for name, (x, y) in points.items()], ignore_index=True)


def _thinned(name: str, x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    points = evenly(len(x), CURVE_POINTS)
    return pd.DataFrame({"curve": name, "x": x[points], "y": y[points]})
