"""AUROC and AUGRC of each score between correct and misclassified images: no resampling, so a page shows
them at once. The values are those of `core.measures.scores.score_metrics`.
"""

from typing import Any

import numpy as np
import pandas as pd

from core.common.score_names import SCORES
from core.common.statistics import placements
from core.common.statistics.generalised_risk import interval_of_augrc
from core.common.statistics.intervals import area_bounds
from core.measures.headline import NO_IMAGES, NO_VERDICTS
from core.measures.metrics import effects_of
from core.reader import StudyReader
from core.slices.evaluate import read_once, result_column, slice_columns

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
        return "no image of the slice has this score"
    if not n_wrong:
        return "all images are classified correctly"
    if n_wrong == n:
        return "all images are misclassified"
    if min(n_wrong, n - n_wrong) < 2:
        which = "misclassified" if n_wrong == 1 else "classified correctly"
        return f"only one image is {which}: AUGRC has no interval"
    return ""
