"""Logits of a study's classes, and what features do to them near each image (docs/method.md 6.8). No torch.

An answer whose outputs are not one to one with the labels, or that is not linear on the representation, has
no weights of its classes. What a feature adds is then read off a gradient, which differs from image to image.
"""

import numpy as np
import pandas as pd

from core.reader import StudyReader
from core.storage.chunked_array import CHUNK_ROWS

OUTPUTS, GRADIENTS = "probe_outputs", "probe_gradients"
LOCAL = (
    "The classes of this answer have no weights of their own. What a feature adds is local: feature times "
    "the gradient at that image."
)


def has_gradients(study: StudyReader) -> bool:
    """Whether what features add is known, and only near each image."""
    known = study.has("head_weights") or study.has(GRADIENTS)
    return study.below is None and study.has(OUTPUTS) and known and not study.has("probe_weights")


def explains_errors(study: StudyReader) -> bool:
    """Whether what features add to the prediction and to the truth is known of misclassified images."""
    return study.has("probe_weights") or has_gradients(study)


def can_switch_off(study: StudyReader) -> bool:
    """Whether the answer without some features is known: it is linear in its outputs."""
    return study.has("probe_weights") or (has_gradients(study) and study.has("head_weights"))


def class_logits(study: StudyReader, rows: np.ndarray) -> np.ndarray:
    """Compute the logits of the study's classes by the answer that it is read by.

    A class that several outputs mean has the log of the sum of their exponentials.

    Args:
        rows: (n,) int, image rows.
    Returns:
        (n, n_classes) float64; -inf for a class that no output means.
    """
    logits = np.empty((len(rows), len(study.class_names)))
    codes = None if study.has("probe_weights") else codes_of_outputs(study)
    for start in range(0, len(rows), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        outputs = output_logits(study, rows[part], "probe" if codes is None else "head")
        logits[part] = outputs if codes is None else by_class(outputs, codes, logits.shape[1])
    return logits


def codes_of_outputs(study: StudyReader) -> np.ndarray:
    """(n_outputs,) int: the class that each output of the answer means, -1 for none."""
    codes = study.vector(OUTPUTS).astype(np.int64)
    return np.where(codes < len(study.class_names), codes, -1)


def output_logits(study: StudyReader, rows: np.ndarray, of: str = "head") -> np.ndarray:
    """(n, n_outputs) float64: logits of the encoder's own classifier, or of the weights of the `probe`."""
    if of == "head" and study.has("head_logits"):
        return study.array("head_logits").rows(rows).astype(np.float64)
    weights, bias = (study.vector(f"{of}_{part}").astype(np.float64) for part in ("weights", "bias"))
    return study.array("representations").rows(rows).astype(np.float64) @ weights.T + bias


def by_class(logits: np.ndarray, codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Combine the logits of outputs that mean one class, by the log of the sum of their exponentials.

    Args:
        logits: (n, n_outputs). codes: (n_outputs,) int, the class of each output, -1 for none.
    Returns:
        (n, n_classes) float64; -inf for a class that no output means.
    """
    order = np.argsort(codes, kind="stable")[np.count_nonzero(codes < 0) :]
    classes = np.full((len(logits), n_classes), -np.inf)
    if len(order):
        held, starts = np.unique(codes[order], return_index=True)
        classes[:, held] = np.logaddexp.reduceat(logits[:, order].astype(np.float64), starts, axis=1)
    return classes


def class_gradients(
    logits: np.ndarray, weights: np.ndarray, codes: np.ndarray, classes: np.ndarray
) -> np.ndarray:
    """Compute the gradient of one class's logit for each row: its outputs' weights, mixed by their softmax.

    d log(sum_o exp(w_o h + b_o)) / dh = sum_o p_o w_o, with p the softmax over the outputs o of the class.

    Args:
        logits: (n, n_outputs). weights: (n_outputs, n_features). codes: as for `by_class`. classes: (n,) int.
    Returns:
        (n, n_features) float64.
    """
    gradients = np.empty((len(logits), weights.shape[1]))
    for code in np.unique(classes):
        here, mine = classes == code, codes == code
        shares = logits[np.ix_(here, mine)].astype(np.float64)
        shares = np.exp(shares - shares.max(1, keepdims=True))
        gradients[here] = shares / shares.sum(1, keepdims=True) @ weights[mine].astype(np.float64)
    return gradients


def lead_gradients(
    study: StudyReader, rows: np.ndarray, classes: np.ndarray, rivals: np.ndarray
) -> np.ndarray:
    """Compute the gradient of the lead of one class over another with respect to the raw representation.

    Args:
        rows: (n,) int, image rows. classes, rivals: (n,) int, class codes.
    Returns:
        (n, n_features) float64. Of a classifier that is linear in its classes, the difference of their
        weights. Of one that is not linear in its outputs NaN but for what is stored: of misclassified images
        the lead of the prediction over the truth.
    """
    if study.has("probe_weights"):
        weights = study.vector("probe_weights").astype(np.float64)
        return weights[classes] - weights[rivals]
    if study.has("head_weights"):
        codes = codes_of_outputs(study)
        logits, weights = output_logits(study, rows), study.vector("head_weights")
        sides = (class_gradients(logits, weights, codes, side) for side in (classes, rivals))
        return next(sides) - next(sides)
    wrong, predicted, true = misclassified(study, study.table("probe", ["predicted", "correct"]))
    places = np.minimum(np.searchsorted(wrong, rows), max(len(wrong) - 1, 0))
    stored = study.array(GRADIENTS)
    gradients = np.full((len(rows), stored.shape[1]), np.nan)
    if len(wrong):
        known = (wrong[places] == rows) & (predicted[places] == classes) & (true[places] == rivals)
        gradients[known] = stored.rows(places[known])
    return gradients


def misclassified(study: StudyReader, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the images that are misclassified as a class of the study, ascending, and the class codes of
    prediction and truth.

    Args:
        table: with `predicted` and `correct` of each image.
    """
    names = pd.Index(study.class_names)
    predicted, true = (
        names.get_indexer(pd.Index(column.to_numpy(object)))
        for column in (table["predicted"], study.images["label"])
    )
    wrong = ~table["correct"].astype("boolean").fillna(True).to_numpy(bool)
    rows = np.flatnonzero(wrong & (predicted >= 0))
    return rows, predicted[rows], true[rows]
