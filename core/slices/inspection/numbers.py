"""The numbers of a slice: accuracy, confidence, Q, confusions, and how well each score finds its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.common.score_names import SCORES
from core.common.statistics.generalised_risk import interval_of_augrc
from core.common.statistics.intervals import area_bounds
from core.common.statistics.placements import (
    LEFT_OUT,
    POSITIVE,
    Spread,
    ranked_spreads,
    ranking,
    spreads,
    ties,
)
from core.slices.compare import MEANS, means
from core.slices.evaluate import class_column, read_once, result_column, slice_columns

if TYPE_CHECKING:
    from core.store import Study

SORTED_AT_ONCE = 1 / 4  # of all images; more than that are placed along the order of all
LEAST_ORDERED = 50_000  # images of a slice for which that is worth it
NO_IMAGES = "the slice has no images"
NO_VERDICTS = (
    "whether the images of the slice are classified correctly is not known (labels and a probe tell)"
)
NAMES = {"accuracy": "accuracy", "confidence": "mean_confidence", "q_score": "mean_q", "n_firing": "n_firing"}
SCORE_COLUMNS = [
    *("score", "label_free", "auroc", "low", "high", "augrc", "augrc_low", "augrc_high"),
    *("n", "n_wrong", "reason"),
]


def headline(study: Study, mask: np.ndarray) -> dict[str, Any]:
    """Headline numbers of a slice, each with its 95 % interval.

    Args:
        mask: (n_images,) bool.
    Returns:
        n; accuracy (Wilson's interval), mean_confidence, mean_q and n_firing (means over images,
        Student's), each also as NAME_interval, (low, high), and as NAME_n, the number of images behind it;
        reasons: NAME -> why a number is undefined. Numbers are NaN where undefined.
    """
    columns = {name: result_column(study, name) for name in ("correct", *MEANS)}
    table = means(mask, columns).set_index("metric")
    n = int(np.count_nonzero(mask))
    found: dict[str, Any] = {"n": n, "reasons": {}}
    for metric, name in NAMES.items():
        value, low, high, known = (table.loc[metric, part] for part in ("value", "low", "high", "n"))
        found |= {name: float(value), f"{name}_interval": (float(low), float(high)), f"{name}_n": int(known)}
        if not known:
            found["reasons"][name] = NO_IMAGES if not n else _not_known(name)
    return found


def _not_known(name: str) -> str:
    if name == "accuracy":
        return NO_VERDICTS
    return f"the {name.removeprefix('mean_').replace('_', ' ')} of the images of the slice is not known"


def confusions(study: Study, mask: np.ndarray) -> pd.DataFrame:
    """Count the errors of a slice by true and predicted class: true, predicted, n; most common first.

    Ties are in the order of the names. Empty without errors, or where the correctness is not known.
    """
    true, told = class_column(study, "label"), class_column(study, "predicted")
    wrong = mask & (result_column(study, "correct") == 0) & (true >= 0) & (told >= 0)
    names = np.array(study.class_names, object)
    pairs, n = np.unique(true[wrong] * len(names) + told[wrong], return_counts=True)
    order = np.lexsort([pairs, -n])  # class names are sorted, so pairs are in the order of the names
    first, second = np.divmod(pairs[order], max(len(names), 1))
    return pd.DataFrame({"true": names[first], "predicted": names[second], "n": n[order]})


def score_aurocs(study: Study, mask: np.ndarray) -> pd.DataFrame:
    """How well each score separates the correct from the misclassified images of a slice.

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
    outcome = np.where(judged, correct == 1, LEFT_OUT).astype(np.int8)
    rows: list[dict[str, Any]] = []
    for name, score in SCORES.items():
        if tables.get(name) != "quality":
            continue
        x, y = _spreads(study, name, inside, outcome)
        n, n_wrong = x.n + y.n, y.n
        if not n and not np.isfinite(result_column(study, name)).any():
            continue
        row = {"score": name, "label_free": score.label_free, "auroc": x.mean if 0 < n_wrong < n else np.nan}
        row |= dict(zip(("augrc", "augrc_low", "augrc_high"), interval_of_augrc(x, y), strict=True))
        reason = _why_undefined(bool(mask.any()), len(inside), n, n_wrong)
        rows.append(row | {"n": n, "n_wrong": n_wrong, "reason": reason})
    table = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    n, n_wrong = (table[name].to_numpy(np.float64) for name in ("n", "n_wrong"))
    low, high = area_bounds(table["auroc"].to_numpy(np.float64), n - n_wrong, n_wrong)  # of all at once: fast
    return table.assign(low=low, high=high)


def _spreads(study: Study, name: str, inside: np.ndarray, outcome: np.ndarray) -> tuple[Spread, Spread]:
    """Placements by a score of the correct and the misclassified ones of the rows `inside`.

    Few images are sorted; of many, the order of all images of the study is walked along, sorted at most once.
    """
    values = result_column(study, name)
    if len(inside) > max(SORTED_AT_ONCE * len(values), LEAST_ORDERED):
        order = read_once(study, f"ranking by {name}", lambda: ranking(values))
        tied = read_once(study, f"ties of {name}", lambda: ties(values, order))
        return ranked_spreads(order, tied, outcome)
    known = inside[np.isfinite(values[inside])]
    return spreads(values[known], outcome[known] == POSITIVE)


def _why_undefined(any_images: bool, judged: int, n: int, n_wrong: int) -> str:
    """Return the reason why an AUROC or its interval is undefined; empty where both are defined."""
    if not any_images:
        return NO_IMAGES
    if not judged:
        return NO_VERDICTS
    if not n:
        return "no image of the slice has this score"
    if not n_wrong:
        return "all images are classified correctly"
    if n_wrong == n:
        return "all images are misclassified"
    if min(n_wrong, n - n_wrong) < 2:
        which = "misclassified" if n_wrong == 1 else "classified correctly"
        return f"only one image is {which}: AUGRC has no interval"
    return ""
