"""Prediction of errors by scores: metrics with intervals, curves, and AUROCs also by cause and class."""

from typing import Any

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.common.records import Templates
from core.common.score_names import SCORES
from core.measures import metrics, placements
from core.measures.chance import LEAST
from core.measures.design_effect import groups_among, of_area
from core.measures.evaluate import read_once, result_column, slice_columns
from core.measures.headline import NO_IMAGES, NO_VERDICTS
from core.measures.intervals import area_bounds, auroc_difference, interval_of_augrc, pooled_area_bounds
from core.measures.metrics import effects_of
from core.measures.placements import spreads
from core.study.reader import StudyReader

# AUROC of scores within predicted classes: what is left when the class itself tells nothing.


_say = Templates.beside(__file__)


def pooled_auroc(
    score: np.ndarray, correct: np.ndarray, group: np.ndarray, *, effect: float = 1.0
) -> tuple[float, float, float, int]:
    """AUROC of a score over the pairs of a correct and a misclassified image of the same group.

    A = sum_g pairs_g A_g / sum_g pairs_g, pairs_g = n+_g n-_g. Its interval is that of `area_bounds` with
    V(t) = sum_g w_g^2 V_g(t), w_g = pairs_g / sum pairs: the groups share no image.

    Args:
        score: (n,) float, NaN is left out. correct: (n,) 1 or 0. group: (n,) of any values.
        effect: the design effect of the AUROC over all images, where they come by patient or photograph.
    Returns:
        the value, its 95 % interval, and the number of groups with both outcomes; NaN without any.
    """
    sizes, values = [], []
    is_scored = np.isfinite(score)
    for one in pd.unique(group[is_scored]):
        here = is_scored & (group == one)
        n_right = int((correct[here] == 1).sum())
        if not 0 < n_right < here.sum():
            continue
        sizes.append((n_right, int(here.sum()) - n_right))
        values.append(spreads(score[here], correct[here] == 1)[0].mean)
    if not sizes:
        return np.nan, np.nan, np.nan, 0
    m, n = np.array(sizes, float).T
    weight = m * n / (m * n).sum()
    independent = np.square(weight) / (m * n)
    value = float(weight @ values)
    paired = (independent * ((m + n) / 2 - 1)).sum()
    low, high = pooled_area_bounds(value, effect * independent.sum(), effect * paired)
    return value, float(low), float(high), len(sizes)


def auroc_within_predicted(
    metrics: pd.DataFrame,
    scores: pd.DataFrame,
    correct: np.ndarray,
    predicted: pd.Series,
    units: np.ndarray | None = None,
) -> pd.DataFrame:
    """Add the AUROC of each score among images of one prediction, with its interval, to `quality_metrics`.

    The columns `auroc_within`, `auroc_within_low` and `auroc_within_high`.

    Args:
        units: (n_images,) codes of patients, lesions or sequences; None: each image is for itself.
    """
    group, rows = predicted.to_numpy(dtype=object), []
    for name in metrics["score"]:
        score = scores[name].to_numpy(float)
        effect = of_area(score, correct == 1, units)
        rows.append(pooled_auroc(score, correct, group, effect=effect)[:3])
    columns = np.array(rows).reshape(len(metrics), 3).T
    names = ("auroc_within", "auroc_within_low", "auroc_within_high")
    return metrics.assign(**dict(zip(names, columns, strict=True)))


# Prediction of errors by scores: metrics with intervals, curves, and AUROC by cause.
#
# Everywhere `scores` is a frame of one column a score, higher = better, with a row an image, and `correct`
# (n_images,) float64: 1 correct, 0 misclassified.


CAUSE_COLUMNS = [
    *("cause", "score", "n_errors", "auroc", "low", "high"),
    *("difference", "difference_low", "difference_high"),
]
RIVAL_COLUMNS = ("rival", "rival_difference", "rival_difference_low", "rival_difference_high")
MOST_DRAWS = 4_000_000  # images of a slice times resamples: some seconds for all scores
LEAST_RESAMPLES = 100  # fewer do not tell where 2.5 % begin
MOST_IMAGES = 0.9  # of those that any score has, from which on a score is ranked among the others


def resamples_of(n_images: int, resamples: int) -> int:
    """Return how many resamples the intervals of a slice of n images get: as many of the study's as
    MOST_DRAWS allows, and 0 (no interval) where that is less than LEAST_RESAMPLES.

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
    """Measure how well each score tells right images from wrong ones: table `quality_metrics`, a row a score.

    A row does not depend on which other scores there are, but for its rival, and for `metrics.REFERENCE`,
    which its difference is to.

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
    """(n_scores,) bool: the scores of correctness that nearly all judged images have.

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
    """Measure the curves of each score over some images, by `metrics.curves`: table `quality_curves`."""
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
        row_groups = groups_among(groups, rows)
        metrics_of_cause = metrics.evaluate(scores.iloc[rows], correct[rows], resamples=0, groups=row_groups)
        metrics_of_cause = metrics_of_cause.rename(
            columns=lambda name: name if name == "auroc" else name.removeprefix("auroc_")
        )
        parts.append(metrics_of_cause.assign(cause=str(cause), n_errors=int(errors.sum()))[CAUSE_COLUMNS])
    nothing = pd.DataFrame({name: [] for name in CAUSE_COLUMNS})
    return pd.concat(parts, ignore_index=True) if parts else nothing


# AUROC and AUGRC of each score between correct and misclassified images: no resampling, so a page shows
# them at once. The values are those of `core.measures.scores.score_metrics`.


SORTED_AT_ONCE = 1 / 4  # of all images; more than that are placed along the order of all
LEAST_ORDERED = 50_000  # images of a slice for which that is worth it
SCORE_COLUMNS = [
    *("score", "label_free", "auroc", "low", "high", "augrc", "augrc_low", "augrc_high"),
    *("n", "n_wrong", "reason"),
]


def score_aurocs(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """Measure how well each score separates the correct from the misclassified images of a slice.

    auroc is the chance that a correct image has a higher score than a misclassified one; augrc is the
    area under the generalised risk-coverage curve; both with the intervals of docs/method.md 2.3.

    Returns:
        score, label_free, auroc, low, high, augrc, augrc_low, augrc_high, n (images with the score and a
        known correctness), n_wrong, reason (why auroc or its interval is NaN, or empty); one row per score
        of the study, in the order of `SCORES`.
    """
    tables = slice_columns(study)
    correct = result_column(study, "correct")
    judged = mask & np.isfinite(correct)
    inside = np.flatnonzero(judged)
    outcome = np.where(judged, correct == 1, placements.LEFT_OUT).astype(np.int8)
    rows: list[dict[str, Any]] = []
    effects: list[float] = []
    for name, score in SCORES.items():
        if tables.get(name) != "quality":
            continue
        x, y = _spreads(study, name, inside, outcome)
        of_area, of_risk = _effects(study, name, inside, outcome)
        n, n_wrong = x.n + y.n, y.n
        if not n and not np.isfinite(result_column(study, name)).any():
            continue
        row = {"score": name, "label_free": score.label_free, "auroc": x.mean if 0 < n_wrong < n else np.nan}
        row |= dict(
            zip(("augrc", "augrc_low", "augrc_high"), interval_of_augrc(x, y, effect=of_risk), strict=True)
        )
        effects.append(of_area)
        reason = _why_undefined(bool(mask.any()), len(inside), n, n_wrong)
        rows.append(row | {"n": n, "n_wrong": n_wrong, "reason": reason})
    table = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    n, n_wrong = (table[name].to_numpy(np.float64) for name in ("n", "n_wrong"))
    areas = table["auroc"].to_numpy(np.float64)
    low, high = area_bounds(areas, n - n_wrong, n_wrong, effect=np.array(effects))  # of all at once: fast
    return table.assign(low=low, high=high)


def _spreads(
    study: StudyReader, name: str, inside: np.ndarray, outcome: np.ndarray
) -> tuple[placements.Spread, placements.Spread]:
    """Placements by a score of the correct and the misclassified ones of the rows `inside`.

    Few images are sorted; of many, the order of all images of the study is walked along, sorted at most once.
    """
    values = result_column(study, name)
    if len(inside) > max(SORTED_AT_ONCE * len(values), LEAST_ORDERED):
        holder = study.holder("quality", name)
        order = read_once(holder, f"ranking by {name}", lambda: placements.ranking(values))
        tied = read_once(holder, f"ties of {name}", lambda: placements.ties(values, order))
        return placements.ranked_spreads(order, tied, outcome)
    scored = inside[np.isfinite(values[inside])]
    return placements.spreads(values[scored], outcome[scored] == placements.POSITIVE)


def _effects(study: StudyReader, name: str, inside: np.ndarray, outcome: np.ndarray) -> tuple[float, float]:
    """The design effects of AUROC and AUGRC of a score over the rows `inside`; 1 and 1 without groups."""
    if study.groups is None:
        return 1.0, 1.0
    values = result_column(study, name)
    scored = inside[np.isfinite(values[inside])]
    correct = outcome[scored] == placements.POSITIVE
    return effects_of(values[scored], correct, study.groups[scored])


def _why_undefined(any_images: bool, judged: int, n: int, n_wrong: int) -> str:
    """Return the reason why an AUROC or its interval is undefined; empty where both are defined."""
    if not any_images:
        return NO_IMAGES
    if not judged:
        return NO_VERDICTS
    if not n:
        return _say("no_score")
    if not n_wrong:
        return _say("all_correct")
    if n_wrong == n:
        return _say("all_misclassified")
    if min(n_wrong, n - n_wrong) < 2:
        return _say("one_misclassified" if n_wrong == 1 else "one_correct")
    return ""
