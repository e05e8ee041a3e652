"""Which errors are tried, with which right images they are compared, and towards which class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.analysis.neighbours import sample_rows
from core.analysis.predictor import Predictor
from core.answers import class_logits
from core.config import CausesConfig
from core.errors import SettingsError
from core.measures.causes import n_alike
from core.measures.slice_comparison import shown_images
from core.pictures.trial_outcomes import n_compared
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS


@dataclass(frozen=True)
class DrawnImages:
    """Images that are tried, in the order of the study: errors, and right images that they are compared with.

    Attributes:
        rows: (n,) int64 in the study. is_error: (n,) bool. is_reference: (n,) bool, the half of the right
            images that bounds are made of. is_drawn: (n,) bool, by the seed; else they were named.
        target, answer: (n,) int64, places among the names of the answer: the label and the answer of an
            error; of a right image the class of the second largest logit and its answer. gap: (n,) float64,
            z_target - z_answer, in logits.
        n_reference: right images that bounds could be made of. n_errors, n_right: images of each kind that
            there are.
    """

    rows: np.ndarray
    is_error: np.ndarray
    is_reference: np.ndarray
    is_drawn: np.ndarray
    target: np.ndarray
    answer: np.ndarray
    gap: np.ndarray
    n_reference: int
    n_errors: int
    n_right: int

    @property
    def n_alike(self) -> int:
        return n_alike(self.n_reference)

    def taken(self, these: np.ndarray) -> "DrawnImages":
        """Some of the images, by a mask."""
        parts = ("rows", "is_error", "is_reference", "is_drawn", "target", "answer", "gap")
        values = {name: getattr(self, name)[these] for name in parts}
        return DrawnImages(
            **values, n_reference=self.n_reference, n_errors=self.n_errors, n_right=self.n_right
        )


def draw_images(
    study: Study, predictor: Predictor, config: CausesConfig, before: Sequence[str] = ()
) -> DrawnImages:
    """Draw the errors, and right images, to find the causes of, among evaluation images if there are any.

    Images that are named come alone, with the right images nearest to them in gap.

    Args:
        study: as the answer reads it. before: ids of the errors that were named in earlier runs.
    Raises:
        SettingsError: there is nothing to explain, or a named image is no error.
    """
    label, answer, correct = label_outcomes(study, predictor)
    shown = shown_images(study)
    wrong = np.flatnonzero(shown & (correct == 0))
    right = np.flatnonzero(shown & (correct == 1))
    named = np.array(
        [_row_of_error(study, correct, fromkey) for fromkey in dict.fromkeys((*before, *config.image))]
    )
    if not len(wrong) and not len(named):
        raise SettingsError(
            f"'{study.path}': none of {len(right):,} answers is wrong, so there is nothing to explain"
        )
    drawn_right = sample_rows(right, config.right, config.seed)
    reference = np.random.default_rng(config.seed).permutation(len(drawn_right)) < len(drawn_right) // 2
    drawn_wrong = named.astype(np.int64) if len(named) else sample_rows(wrong, config.errors, config.seed)
    rows, order = np.unique(np.concatenate([drawn_wrong, drawn_right]), return_index=True)
    is_error = order < len(drawn_wrong)
    is_reference = np.concatenate([np.zeros(len(drawn_wrong), bool), reference])[order]
    logits = _stored_logits(study, predictor, rows)
    target = np.where(is_error, label[rows], _second_class(logits, answer[rows]))
    at = np.arange(len(rows))
    gap = logits[at, target] - logits[at, answer[rows]]
    is_drawn = np.full(len(rows), not len(named))
    drawn = DrawnImages(
        *(rows, is_error, is_reference, is_drawn, target, answer[rows], gap),
        n_reference=int(reference.sum()),
        n_errors=len(wrong),
        n_right=len(right),
    )
    return drawn.taken(_needed(drawn)) if len(named) else drawn


def _needed(drawn: DrawnImages) -> np.ndarray:
    """(n,) bool: the errors, and right images nearest in gap to each, on which causes are tried."""
    keep = drawn.is_error.copy()
    reference = np.flatnonzero(drawn.is_reference)
    for gap in drawn.gap[drawn.is_error]:
        distance = np.abs(np.abs(drawn.gap[reference]) - abs(gap))
        keep[reference[np.argsort(distance, kind="stable")[: n_compared(drawn.n_reference)]]] = True
    return keep


def label_outcomes(study: Study, predictor: Predictor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The label, the answer and the correctness of all images, of which errors are drawn.

    Label and answer as places among the names of the answer, -1 for others, and whether the answer is
    correct: 1, 0, or NaN where either is not among them.
    """
    names = pd.Index(predictor.names)
    table = study.table("probe", ["predicted", "correct"])
    label = names.get_indexer(pd.Index(study.column("images", "label").to_numpy(object)))
    answer = names.get_indexer(pd.Index(table["predicted"].to_numpy(object)))
    correct = table["correct"].astype("Float64").to_numpy(np.float64, na_value=np.nan)
    return label, answer, np.where((label >= 0) & (answer >= 0), correct, np.nan)


def _row_of_error(study: Study, correct: np.ndarray, image_id: str) -> int:
    """The row of a named image to find why it is wrong. Raises SettingsError where it is no error."""
    row = study.row_of(image_id)
    if correct[row] != 0:
        why = "is answered correctly" if correct[row] == 1 else "has no label that the answer can give"
        raise SettingsError(f"the image '{image_id}' {why}, so there is no error to explain")
    return row


def _stored_logits(study: Study, predictor: Predictor, rows: np.ndarray) -> np.ndarray:
    """(n, n_names) float64: logits of some images by the classifier as it answers for pictures."""
    parts = [np.empty((0, len(predictor.names)))]
    for start in range(0, len(rows), CHUNK_ROWS):
        part = rows[start : start + CHUNK_ROWS]
        if predictor.classifier is None:
            outputs = class_logits.output_logits(study, part)
        else:
            outputs = predictor.classifier.logits(predictor.rows(study.array("representations").rows(part)))
        parts.append(class_logits.by_class(outputs, predictor.column, len(predictor.names)))
    return np.concatenate(parts)


def _second_class(logits: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """(n,) int64: the class of the largest logit of a picture but that of the answer."""
    others = logits.copy()
    others[np.arange(len(logits)), answer] = -np.inf
    return others.argmax(1)
