"""The images of a slice without some features: `core.measures.switched_off` on a study. No torch."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from core.errors import SettingsError
from core.heatmaps.reader import check_features
from core.measures.switched_off import SwitchedOff, switched_off
from core.pictures.look import Answering
from core.pictures.of_image import asked_of_images
from core.slices.features.class_logits import units_of
from core.storage.chunked_array import CHUNK_ROWS
from core.store import Study

NOT_KNOWN = (
    "the classifier of '{path}' cannot be run again on changed features: its layers are not stored, or it "
    "does not read the representation"
)


def without_features(
    study: Study, rows: np.ndarray, features: Sequence[int]
) -> tuple[Answering, SwitchedOff]:
    """Predict images again with some features switched off, by the answer that a study is read by.

    Args:
        rows: (n,) int, ascending. features: numbers of features, at least one.
    Returns:
        what can be predicted, and the predictions.
    Raises:
        SettingsError: no such feature, or the answer has no stored layers.
    """
    off = check_features(study, features)
    asked = asked_of_images(study)
    if asked is None or asked.classifier is None:
        raise SettingsError(NOT_KNOWN.format(path=study.path))
    raw, units = (one.array("representations") for one in (study, units_of(study)))

    def chunks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(rows), CHUNK_ROWS):
            part = rows[start : start + CHUNK_ROWS]
            read = asked.rows(raw.rows(part))
            yield read, read if study.below is None else asked.rows(units.rows(part))

    total = np.zeros(raw.shape[1])
    for chunk, _ in chunks():
        total += chunk.sum(0)
    labels = pd.Index(asked.names).get_indexer(pd.Index(study.images["label"].to_numpy(object)[rows]))
    true = np.where(labels < 0, np.nan, labels.astype(float))
    average = total / max(len(rows), 1)
    made = switched_off(chunks(), asked.classifier, asked.means, asked.codes, off.tolist(), true, average)
    return asked, made
