"""What each score of a study is worth for finding errors: its numbers, and the verdict on them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.common.statistics.chance import outcomes
from core.common.statistics.design_effect import groups_among, of_mean
from core.common.statistics.intervals import wilson
from core.common.verdicts.scores import FoundFirst, ScoreEvidence, judge_score
from core.common.verdicts.words import LOOKED, MOST_LOOKED, Verdict
from core.measures.errors_found import errors_among_first
from core.reader import StudyReader
from core.slices.evaluate import result_column, slice_columns

PLAIN = "confidence"  # the score that others are compared with


def first_looked(n_images: int) -> int:
    """Return how many images are looked at: LOOKED, but of few images no more than MOST_LOOKED of them.

    >>> first_looked(5000), first_looked(120), first_looked(3)
    (50, 30, 1)
    """
    return max(1, min(LOOKED, int(MOST_LOOKED * n_images)))


def found_first(values: np.ndarray, correct: np.ndarray, groups: np.ndarray | None = None) -> FoundFirst:
    """Count the errors among the images that a score puts first, with a 95 % interval.

    n Wilson(k / n) for k errors among the first n images; where images come in groups, of as many images as
    these are worth (`design_effect.of_mean`).

    Args:
        values: (n_images,) scores, higher is better; at least one image. correct: (n_images,) 1 or 0.
        groups: (n_images,) codes of patients or sequences; None: each image is for itself.
    """
    n, wrong = len(values), correct == 0
    looked = first_looked(n)
    last = np.partition(values, looked - 1)[looked - 1]
    among = values <= last  # the first ones, and those that are tied with the last of them
    n_found = float(errors_among_first(values[among], wrong[among], np.array([looked]))[0])
    outcome = wrong[among].astype(np.float64)
    effect = min(of_mean(outcome, groups_among(groups, among)), looked)
    n_wrong = int(wrong.sum())
    perfect = min(looked, n_wrong)
    low, high = (min(looked * float(end), perfect) for end in wilson(n_found / effect, looked / effect))
    return FoundFirst(looked, n_found, low, high, looked * n_wrong / n, perfect)


def score_evidence(
    study: StudyReader, score: str, row: dict[Any, Any], mask: np.ndarray | None = None
) -> ScoreEvidence:
    """Return what is known of a score on the images of a mask, by default the evaluation images.

    Args:
        row: of a table of metrics: auroc, n, n_wrong or base_rate_error, the ends auroc_low and auroc_high
            (or low and high), and why there is none: note (or reason).
    """
    among_rows = study.is_val if mask is None else mask
    n_wrong, n_right = outcomes(row)
    low, high = (row.get(f"auroc_{end}", row.get(end, np.nan)) for end in ("low", "high"))
    held = slice_columns(study)
    has_plain = score != PLAIN and held.get(PLAIN) == "quality"
    names = [score, PLAIN] if has_plain else [score]
    firsts = _firsts(study, names, among_rows) if n_wrong and n_right else {}
    reason = str(row.get("note", row.get("reason", "")) or "")
    first_of_plain = firsts.get(PLAIN) if has_plain else None
    auroc = float(row["auroc"])
    first_errors = firsts.get(score)
    return ScoreEvidence(
        score,
        auroc=auroc,
        low=float(low),
        high=float(high),
        n_wrong=n_wrong,
        n_right=n_right,
        first=first_errors,
        plain=first_of_plain,
        why=reason,
    )


def _firsts(study: StudyReader, names: Sequence[str], mask: np.ndarray) -> dict[str, FoundFirst]:
    """`found_first` by each of some scores, on the images of known correctness that have them all."""
    correct = result_column(study, "correct")
    values = {name: result_column(study, name) for name in names}
    judged = mask & np.isfinite(correct)
    if PLAIN in values and np.isfinite(values[PLAIN][judged]).any():
        judged &= np.isfinite(values[PLAIN])
    else:
        values = {name: one for name, one in values.items() if name != PLAIN or name == names[0]}
    judged &= np.isfinite(values[names[0]])
    if not judged.any():
        return {}
    groups = groups_among(study.groups, judged)
    return {name: found_first(one[judged], correct[judged], groups) for name, one in values.items()}


def score_verdicts(
    study: StudyReader, metrics: pd.DataFrame, mask: np.ndarray | None = None
) -> dict[str, Verdict]:
    """Return the verdict on each score of a table of metrics, as `score_evidence` reads its rows."""
    rows = {str(row["score"]): row for row in metrics.to_dict("records")}
    return {name: judge_score(score_evidence(study, name, row, mask)) for name, row in rows.items()}
