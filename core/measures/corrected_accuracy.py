"""What becomes of an accuracy once the labels count as people corrected them.

Steps and answers read the labels that a study was made with, and every number of right and wrong follows
these until it is made again. This module says by how much, on the images of a slice.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.records import Record, Templates
from core.errors import PeregrineError
from core.measures.evaluate import RESULTS, column_values, result_column, slice_columns
from core.study.label_decisions import LEFT, decisions
from core.study.reader import StudyReader
from core.study.traces import UNSURE

_say = Templates.beside(__file__)


@dataclass(frozen=True)
class CorrectedAccuracy:
    """An accuracy by the labels of the study, and by the corrected ones.

    Attributes:
        n_corrections: labels of these images that people changed, or took for wrong without a better one.
        n_elsewhere: the same of the other images of the study.
        n, accuracy: images with a known outcome, and the share of them that is right; NaN of none.
        n_corrected, accuracy_corrected: the same by the corrected labels. An image without a label, or with
            one that the answer never gives, has no outcome.
    """

    n_corrections: int
    n_elsewhere: int
    n: int
    accuracy: float
    n_corrected: int
    accuracy_corrected: float


def corrected_accuracy(study: StudyReader, mask: np.ndarray) -> CorrectedAccuracy:
    """Count the images of a slice that are right by stored labels and by those that people corrected.

    Args:
        mask: (n_images,) bool.
    Raises:
        TraceError: what people left cannot be read.
    """
    correct = result_column(study, "correct")
    after = right_by_corrected_labels(study)
    made = decisions(study)
    changed = made.loc[(made["by_decision"] != LEFT).to_numpy(bool), "image_id"]
    rows = [*study.rows_held(changed.tolist()).values()]
    n_inside = int(np.count_nonzero(mask[rows]))
    return CorrectedAccuracy(n_inside, len(rows) - n_inside, *_share(correct[mask]), *_share(after[mask]))


def right_by_corrected_labels(study: StudyReader) -> np.ndarray:
    """(n_images,) float64: whether each image is right by its corrected label; NaN where that is unknown.

    Raises:
        TraceError: what people left cannot be read.
    """
    correct = result_column(study, "correct")
    made, after = decisions(study), correct.copy()
    if made.empty:
        return after
    if slice_columns(study).get("predicted") not in RESULTS:
        return np.full(study.n_images, np.nan)
    answerable = set(study.column("images", "label")[np.isfinite(correct)])
    predicted = column_values(study, "predicted").to_numpy(object)
    rows = study.rows_held(made["image_id"].tolist())
    for name, label in zip(made["image_id"], made["corrected_label"], strict=True):
        row = rows[name]
        is_known = label in answerable and not pd.isna(predicted[row])
        after[row] = float(predicted[row] == label) if is_known else np.nan
    return after


def _share(correct: np.ndarray) -> tuple[int, float]:
    outcomes = correct[np.isfinite(correct)]
    return len(outcomes), float(outcomes.mean()) if len(outcomes) else float("nan")


def before_corrections(study: StudyReader, mask: np.ndarray) -> Record | str:
    """State that numbers of these images are from before people corrected labels, and the accuracy after
    that; "" where no correction changes what is right, or what people left cannot be read.

    Args:
        mask: (n_images,) bool.
    """
    try:
        both = corrected_accuracy(study, mask)
    except PeregrineError:  # a page says so where it shows that itself
        return ""
    if not (both.n_corrections and both.n and both.n_corrected):
        return ""
    kind = "after" if both.n == both.n_corrected else "after_of"
    after = _say(kind, value=both.accuracy_corrected, n=both.n_corrected)
    n_made = both.n_corrections + both.n_elsewhere
    made = _say("made_here" if both.n_elsewhere else "made", n=both.n_corrections, of=n_made)
    return _say("before", n=both.n_corrections, value=both.accuracy, of=both.n, parts=(after, made))


def outcome_after_all(correct: bool, label: str, predicted: str, decision: str) -> Record | str:
    """State that the outcome of one image is another one by its corrected label; "" where it is the same, and
    without a better label.

    Args:
        correct: by the label. decision: as `core.study.label_decisions.decision_on` gives it.
    """
    if decision in ("", UNSURE, label) or (predicted == decision) == correct:
        return ""
    return _say("wrong_after_all" if correct else "right_after_all")
