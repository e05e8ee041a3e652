"""Which planted attribute a feature responds to, for images whose truth is known (docs/method.md 6.8, 8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.slices.inspection.populations import train_images
from core.store import Study

CUES = ("background", "companion")  # causes of errors that are attributes of the scene as well
MOST = 10_000  # train images that are looked at
FEWEST = 20  # images with a value, and without it


@dataclass(frozen=True)
class PlantedAttributes:
    """The value of an attribute that each feature tells best, and the cause of each image's difficulty.

    Attributes:
        column, value: (n_features,) object: 'background' and 'sand', say.
        auc: (n_features,) how well the feature's activation tells images with that value from the others.
        causes: (n_images,) object, '' where unknown. values: column -> (n_images,) object.
    """

    column: np.ndarray
    value: np.ndarray
    auc: np.ndarray
    causes: np.ndarray
    values: dict[str, np.ndarray]

    @classmethod
    def of(cls, study: Study, *, seed: int = 0) -> PlantedAttributes | None:
        """Compare the features of seeded train images with their attributes; None where none are recorded."""
        if not study.has("attributes"):
            return None
        table = study.table("attributes")
        if not {"cause", *CUES} <= set(table):
            return None
        values = {column: table[column].to_numpy(object) for column in CUES}
        values["label"] = study.images["label"].to_numpy(object)
        train = np.flatnonzero(train_images(study))
        rows = np.sort(np.random.default_rng(seed).permutation(train)[:MOST])
        best = best_attributes(
            study.array("representations").rows(rows), {name: one[rows] for name, one in values.items()}
        )
        causes = table["cause"].fillna("").to_numpy(object)
        return cls(*best, causes, values)

    def table(self) -> pd.DataFrame:
        """Return table `planted_attributes`: feature, column, value, auc."""
        about = {"column": self.column, "value": self.value, "auc": self.auc}
        return pd.DataFrame({"feature": np.arange(len(self.auc), dtype=np.int32), **about})

    def answers(self, rows: np.ndarray, features: np.ndarray, cause: str) -> np.ndarray:
        """(n,) float64: 1 where the feature responds to the image's own value of the cause, else 0.

        NaN where the cause is no attribute, and where there is no feature (-1).
        """
        if cause not in CUES:
            return np.full(len(rows), np.nan)
        same = (self.column[features] == cause) & (self.value[features] == self.values[cause][rows])
        return np.where(features < 0, np.nan, same.astype(np.float64))


def best_attributes(
    raw: np.ndarray, values: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The attribute value that each feature tells best from all others.

    The area under the ROC curve of value v is (sum of the ranks of its images - n_v (n_v + 1) / 2) /
    (n_v (n - n_v)), with mean ranks at ties.

    Args:
        raw: (n, n_features). values: column -> (n,) object, None or NaN where an image has no value.
    Returns:
        column, value: (n_features,) object; auc: (n_features,) float64 in [0, 1], NaN and '' without values
        that at least `FEWEST` images have and lack.
    """
    from scipy.stats import rankdata  # here: it takes long to load, and pages need it not

    n, n_features = raw.shape
    names, masks = [], []
    for column, held in values.items():
        for value in sorted({one for one in held if isinstance(one, str)}):
            mask = held == value
            if FEWEST <= mask.sum() <= n - FEWEST:
                names.append((column, value))
                masks.append(mask)
    if not names:
        empty = np.full(n_features, "", object)
        return empty, empty.copy(), np.full(n_features, np.nan)
    marks = np.array(masks, np.float64)
    counts = marks.sum(1)[:, None]
    ranks = rankdata(raw, axis=0)
    areas = (marks @ ranks - counts * (counts + 1) / 2) / (counts * (n - counts))
    best = areas.argmax(0)
    pairs = np.array(names, object)[best]
    return pairs[:, 0], pairs[:, 1], areas.max(0)
