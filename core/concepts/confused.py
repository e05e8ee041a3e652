"""The features behind one confusion of the probe, over any of its images (docs/method.md 6.8). No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.concepts.failures import SIDES, PairSums, contributions, top_contributions, words_of_features
from core.config import FailuresConfig
from core.storage.chunked_array import CHUNK_ROWS

if TYPE_CHECKING:
    from core.store import Study


def behind_confusion(study: Study, rows: np.ndarray, true: str, predicted: str) -> pd.DataFrame:
    """Find the features that speak for the answer and for the truth, over some images of one confusion.

    The contribution of feature j to the logit of class y is raw h_j U'_yj, averaged over the images. Over all
    images of the confusion these are the rows of the table `failure_pairs`, whose settings are used.

    Args:
        rows: (n,) int, images of the class `true` that the probe takes for `predicted`.
    Returns:
        side ('predicted', 'true'), rank, feature, contribution, n_top (images that have the feature among
        their own top features), words (separated by '; '); empty without images, or where the study holds no
        representations or no probe.
    """
    columns = ["side", "rank", "feature", "contribution", "n_top", "words"]
    if not (len(rows) and study.has("representations") and study.has("probe_weights")):
        return pd.DataFrame(columns=columns)
    usual = FailuresConfig()
    settings = study.settings("failures") if study.has("failure_pairs") else {}
    words = words_of_features(study.table("concepts")) if study.has("concepts") else {}
    names = study.class_names
    truth, answer = (np.full(len(rows), names.index(name), np.int64) for name in (true, predicted))
    weights = study.vector("probe_weights")
    allowed = np.ones(weights.shape[1], bool)
    if settings.get("explained", usual.explained):
        allowed = np.isin(np.arange(len(allowed)), list(words))
    sums = PairSums(truth, answer, allowed, int(settings.get("top", usual.top)))
    for start in range(0, len(rows), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        raw = study.array("representations").rows(rows[part])
        for side, classes in zip(SIDES, (answer[part], truth[part]), strict=True):
            values = contributions(raw, weights, classes)
            best = top_contributions(np.where(allowed, values, -np.inf), sums.top)[0]
            sums.add(side, truth[part], answer[part], values, best)
    return sums.table(study, words).loc[:, columns]
