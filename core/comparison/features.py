"""Features that one study has and another lacks, by the images on which they fire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.common.arrays import safe_divide
from core.comparison.images import Shared
from core.slices.firing_counts import has_firing
from core.store import Study

if TYPE_CHECKING:
    from scipy import sparse

UNLIKE = 0.2  # Jaccard index below which two features do not fire on the same images
LEAST = 10  # images on which a feature fires
COLUMNS = ["feature", "n", "closest", "likeness"]


def lone_features(shared: Shared, one: int, other: int) -> pd.DataFrame:
    """List discriminative features of a study that no feature of another one resembles, most frequent first.

    The likeness of features j and k is the Jaccard index of the images on which they fire,
    |F_j and F_k| / |F_j or F_k|, over the images that are compared. A feature is alone where the largest
    likeness to any feature of the other study lies below UNLIKE, and it fires on at least LEAST images.

    Args:
        one, other: places of the studies in `shared`.
    Returns:
        feature, n (images on which it fires), closest (feature of the other study), likeness. Empty where
        either study has no firing sets.
    """
    studies = shared.studies[one], shared.studies[other]
    if not all(has_firing(study) and study.has("features") for study in studies):
        return pd.DataFrame(columns=COLUMNS)
    mine, theirs = (_firing(shared.studies[at], shared.rows[at][shared.judged]) for at in (one, other))
    both = (mine.T @ theirs).toarray()
    n, n_theirs = (np.asarray(sets.sum(0)).ravel() for sets in (mine, theirs))
    likeness = safe_divide(both, n[:, None] + n_theirs - both, empty=0.0)
    closest = likeness.argmax(1)
    best = likeness[np.arange(len(n)), closest]
    alone = np.flatnonzero((best < UNLIKE) & (n >= LEAST) & studies[0].discriminative)
    alone = alone[np.argsort(-n[alone], kind="stable")]
    return pd.DataFrame({"feature": alone, "n": n[alone], "closest": closest[alone], "likeness": best[alone]})


def _firing(study: Study, rows: np.ndarray) -> sparse.csr_array:
    """(len(rows), n_features) int64: 1 where a feature fires on an image."""
    from scipy import sparse

    pointers = study.vector("firing_by_feature_ptr").astype(np.int64)
    images = study.array("firing_by_feature_rows")[0 : int(pointers[-1])].astype(np.int64)
    shape = study.n_images, len(pointers) - 1
    fires = sparse.csc_array((np.ones(len(images), np.int64), images, pointers), shape=shape)
    return fires.tocsr()[rows]
