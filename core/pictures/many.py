"""The images of a slice without some features: `core.measures.switched_off` on a study. No torch."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from core.errors import SettingsError
from core.heatmaps.reader import check_features
from core.measures.switched_off import SwitchedOff, switched_off
from core.pictures.look import Answering, answering
from core.storage.chunked_array import CHUNK_ROWS
from core.store import Study

NOT_LINEAR = "no answer of '{path}' is linear on the representation, so no feature can be switched off"


def without_features(
    study: Study, rows: np.ndarray, features: Sequence[int]
) -> tuple[Answering, SwitchedOff]:
    """Predict images again with some features switched off, by the answer that a study is read by.

    Args:
        rows: (n,) int, ascending. features: numbers of features, at least one.
    Returns:
        what can be predicted, and the predictions.
    Raises:
        SettingsError: no such feature, or no answer is linear on the representation.
    """
    off = check_features(study, features)
    asked = answering(study)
    if asked is None or asked.weights is None or asked.bias is None:
        raise SettingsError(NOT_LINEAR.format(path=study.path))
    weights, bias, raw = asked.weights, asked.bias, study.array("representations")

    def chunks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(rows), CHUNK_ROWS):
            part = raw.rows(rows[start : start + CHUNK_ROWS]).astype(np.float64)
            yield part, part @ weights.T + bias

    total = np.zeros(raw.shape[1])
    for start in range(0, len(rows), CHUNK_ROWS):
        total += raw.rows(rows[start : start + CHUNK_ROWS]).sum(0, dtype=np.float64)
    labels = pd.Index(asked.names).get_indexer(pd.Index(study.images["label"].to_numpy(object)[rows]))
    true = np.where(labels < 0, np.nan, labels.astype(float))
    average = total / max(len(rows), 1)
    return asked, switched_off(chunks(), weights, asked.means, asked.codes, off.tolist(), true, average)
