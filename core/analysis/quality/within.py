"""How well the scores predict the errors of any images of a study: curves, metrics, and AUROC by cause.

Everything is recomputed from the scores of single images, so it holds for a slice as for all evaluation
images. No torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.analysis.quality import metrics
from core.analysis.quality.rival import with_rivals
from core.analysis.quality.within_predicted import auroc_within_predicted
from core.common.dataframes import numbers
from core.common.score_names import SCORES
from core.common.statistics.chance import LEAST
from core.common.statistics.intervals import auroc_interval
from core.slices.evaluate import result_column, slice_columns

if TYPE_CHECKING:
    from core.store import Study

RESAMPLES = 200
MOST_RESAMPLED = 20_000  # images; a bootstrap over more would keep a reader waiting
CAUSE = "cause"  # column of the attributes that says what makes an image hard


def judged_rows(study: Study, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the images in a mask whose correctness is known, and 1 correct, 0 misclassified of each."""
    correct = result_column(study, "correct")
    rows = np.flatnonzero(mask & np.isfinite(correct))
    return rows, correct[rows]


def table_of_scores(study: Study, rows: np.ndarray, scores: tuple[str, ...] = tuple(SCORES)) -> pd.DataFrame:
    """The scores of some images that hold any number in the study, a column each, higher = better."""
    tables = slice_columns(study)
    found = {name: result_column(study, name) for name in scores if tables.get(name) == "quality"}
    return pd.DataFrame({name: values[rows] for name, values in found.items() if np.isfinite(values).any()})


def curves_within(study: Study, mask: np.ndarray, scores: tuple[str, ...]) -> pd.DataFrame:
    """Curves of some scores over the judged images of a mask: score and the columns of `metrics.curves`."""
    rows, correct = judged_rows(study, mask)
    parts = [metrics.curves(result_column(study, name)[rows], correct).assign(score=name) for name in scores]
    return pd.concat(parts, ignore_index=True)


def metrics_within(study: Study, mask: np.ndarray, scores: tuple[str, ...] = tuple(SCORES)) -> pd.DataFrame:
    """All metrics of some scores over the judged images of a mask.

    There are no intervals of AUPRC and AURC, which are resampled, over more than MOST_RESAMPLED images.

    Returns:
        the columns of `metrics.evaluate`, auroc_within with its interval, and label_free; a row per score.
    """
    rows, correct = judged_rows(study, mask)
    table = table_of_scores(study, rows, scores)
    resamples = RESAMPLES if len(rows) <= MOST_RESAMPLED else 0
    found = metrics.evaluate(table, correct, resamples=resamples)
    found = auroc_within_predicted(found, table, pd.Series(correct), _predicted(study, rows))
    free = [SCORES[name].label_free for name in table]
    return with_rivals(found.assign(label_free=free), table, correct)


def _predicted(study: Study, rows: np.ndarray) -> pd.Series:
    predicted = study.table("quality", ["predicted"])["predicted"]
    return predicted.iloc[rows].reset_index(drop=True)


def causes_within(study: Study, mask: np.ndarray) -> pd.DataFrame:
    """AUROC of every score between the errors of one cause and the correct images of a mask.

    Returns:
        cause, score, n_errors, auroc, low, high; empty where the images record no cause
        or no cause has LEAST misclassified images, and without correct images.
    """
    columns = ["cause", "score", "n_errors", "auroc", "low", "high"]
    if not (study.has("attributes") and CAUSE in study.columns("attributes")):
        return pd.DataFrame({name: [] for name in columns})
    rows, correct = judged_rows(study, mask)
    causes = study.table("attributes", [CAUSE])[CAUSE].to_numpy(dtype=object)[rows]
    scores, found = table_of_scores(study, rows), []
    for cause in pd.unique(causes):
        errors = (correct == 0) & (causes == cause)
        if errors.sum() < LEAST or not (correct == 1).any():
            continue
        kept = errors | (correct == 1)
        for name in scores:
            auroc, low, high, _ = auroc_interval(numbers(scores, name)[kept], correct[kept] == 1)
            found.append((str(cause), name, int(errors.sum()), auroc, low, high))
    return pd.DataFrame(found, columns=columns)
