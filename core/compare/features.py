"""Features that one study has and another lacks, by the images on which they fire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.common.dataframes import safe_divide
from core.compare.images import Shared
from core.store import Study

if TYPE_CHECKING:
    from scipy import sparse

UNLIKE = 0.2  # Jaccard index below which two features do not fire on the same images
LEAST = 10  # images on which a feature fires
PAIRS_AT_ONCE = 2**20  # of features that are compared at a time
COLUMNS = ["feature", "n", "closest", "likeness"]


def lone_features(shared: Shared, one: int, other: int, unlike: float | None = None) -> pd.DataFrame:
    """List discriminative features of a study that no feature of another one resembles, most frequent first.

    The likeness of features j and k is the Jaccard index of the images on which they fire,
    |F_j and F_k| / |F_j or F_k|, over the images that are compared. A feature is alone where the largest
    likeness to any feature of the other study lies below UNLIKE, and it fires on at least LEAST images.

    Args:
        one, other: places of the studies in `shared`. unlike: instead of UNLIKE.
    Returns:
        feature, n (images on which it fires), closest (feature of the other study), likeness. Empty where
        either study has no firing sets.
    """
    studies = shared.studies[one], shared.studies[other]
    if not all(study.has_firing and study.has("features") for study in studies):
        return pd.DataFrame(columns=COLUMNS)
    rows = shared.rows[:, shared.judged]
    mine, theirs = (_firing(shared.studies[at], rows[at]) for at in (one, other))
    n, (closest, best) = _sizes(mine), _closest(mine, theirs)
    unlike = UNLIKE if unlike is None else unlike
    alone = np.flatnonzero((best < unlike) & (n >= LEAST) & studies[0].discriminative)
    alone = alone[np.argsort(-n[alone], kind="stable")]
    return pd.DataFrame({"feature": alone, "n": n[alone], "closest": closest[alone], "likeness": best[alone]})


def features_along(shared: Shared, seed: int = 0) -> pd.DataFrame:
    """Compare the discriminative features of the last study with all features of each one before it.

    Likeness is that of `lone_features`, and a feature is there where its largest likeness reaches UNLIKE.
    `by_chance` is the same against the images of the other study in a random order (a seeded permutation):
    the largest of many likenesses of sets that have only their sizes in common.

    Returns:
        feature, n (images on which it fires, at least LEAST), study, closest (feature of that study),
        likeness, by_chance, appears (the first study from which on it is there in every one), by study and
        feature. Empty where a study has no firing sets.
    """
    names = [*COLUMNS[:2], "study", *COLUMNS[2:], "by_chance", "appears"]
    if not all(study.has_firing and study.has("features") for study in shared.studies):
        return pd.DataFrame(columns=names)
    sets = [
        _firing(study, rows[shared.judged]) for study, rows in zip(shared.studies, shared.rows, strict=True)
    ]
    mine, n = sets[-1], _sizes(sets[-1])
    n_images = len(shared.rows[-1][shared.judged])
    frequent = np.flatnonzero((n >= LEAST) & shared.studies[-1].discriminative)
    order = np.random.default_rng(seed).permutation(n_images)
    parts, there = [], np.ones((len(sets), len(frequent)), bool)
    for at, theirs in enumerate(sets):
        closest, best = _closest(mine, theirs)
        chance = _closest(mine, theirs[order])[1]
        there[at] = best[frequent] >= UNLIKE
        columns = {
            "feature": frequent,
            "n": n[frequent],
            "study": shared.names[at],
            "closest": closest[frequent],
        }
        parts.append(pd.DataFrame({**columns, "likeness": best[frequent], "by_chance": chance[frequent]}))
    stays = np.logical_and.accumulate(there[::-1])[::-1]  # from here on to the last
    appears = np.array(shared.names, object)[stays.argmax(0)]
    return pd.concat([part.assign(appears=appears) for part in parts], ignore_index=True)


def _sizes(sets: sparse.csr_array) -> np.ndarray:
    return np.asarray(sets.sum(0)).ravel()


def _closest(mine: sparse.csr_array, theirs: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Return the feature of the others that is most like each of mine, and the likeness, both (n_mine,)."""
    mine, (n_mine, n_theirs) = mine.T.tocsr(), (_sizes(mine), _sizes(theirs))
    closest, best = np.zeros(len(n_mine), np.int64), np.zeros(len(n_mine))
    size = max(PAIRS_AT_ONCE // len(n_theirs), 1)
    for start in range(0, len(n_mine), size):
        part = slice(start, start + size)
        both = (mine[part] @ theirs).toarray()
        likeness = safe_divide(both, n_mine[part, None] + n_theirs - both, empty=0.0)
        closest[part], best[part] = likeness.argmax(1), likeness.max(1)
    return closest, best


def _firing(study: Study, rows: np.ndarray) -> sparse.csr_array:
    """(len(rows), n_features) int64: 1 where a feature fires on an image."""
    from scipy import sparse

    pointers = study.vector("firing_by_feature_ptr").astype(np.int64)
    images = study.array("firing_by_feature_rows")[0 : int(pointers[-1])].astype(np.int64)
    shape = study.n_images, len(pointers) - 1
    fires = sparse.csc_array((np.ones(len(images), np.int64), images, pointers), shape=shape)
    return fires.tocsr()[rows]
