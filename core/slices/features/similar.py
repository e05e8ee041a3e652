"""Features that resemble one, and features whose strongest images resemble each other."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from core.common.dataframes import safe_divide, unit_rows
from core.reader import StudyReader
from core.slices.features.images import firing_pairs_in_blocks, firing_rows
from core.slices.firing_counts import count_firing_images

STRONGEST = 8  # images of a feature that are compared
MOST_ENTRIES = 2**26  # of their representations that are read, 256 MiB; of more features nothing is said


def similar_features(study: StudyReader, feature: int, mask: np.ndarray) -> pd.DataFrame:
    """Compare a feature with all others on the images of a mask.

    With A the images on which the feature fires and B those on which another one fires,
    jaccard = |A & B| / |A | B|. `profile` compares class means over the train images: the cosine of the two
    vectors of class means after each is centred, so the correlation over classes.

    Args:
        mask: (n_images,) bool.
    Returns:
        feature, both (|A & B|), jaccard, profile (NaN without class means, or where one of them is
        constant), one row per other feature, largest jaccard first, then largest profile, then by number.
        jaccard is NaN where neither fires.
    """
    counts = count_firing_images(study, [mask])[0]
    both = np.zeros(len(counts), np.int64)
    for together in firing_pairs_in_blocks(study, firing_rows(study, feature, mask)):
        both += np.bincount(together["feature"], minlength=len(counts))
    jaccard = safe_divide(both, counts[feature] + counts - both)
    profile = class_profile_cosine(study, feature, len(counts))
    table = pd.DataFrame(
        {"feature": np.arange(len(counts)), "both": both, "jaccard": jaccard, "profile": profile}
    )
    table = table.drop(index=feature)
    order = ["jaccard", "profile", "feature"]
    return table.sort_values(order, ascending=[False, False, True], ignore_index=True)


def class_profile_cosine(study: StudyReader, feature: int, n_features: int) -> np.ndarray:
    """(n_features,) float64: the correlation of a feature's class means with those of every feature."""
    if not (study.labelled and study.has("class_means")):
        return np.full(n_features, np.nan)
    means = study.vector("class_means").astype(np.float64)
    means = means[:, np.isfinite(means).all(0)]  # classes without train images have no mean
    centred = means - means.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    return safe_divide(centred @ centred[feature], length * length[feature])


def likeness_of_strongest(study: StudyReader) -> np.ndarray:
    """How alike the images are on which each feature is strongest, to the encoder.

    The mean cosine between the representations of the `STRONGEST` images of a feature, two by two, without
    its own entry, after the mean of all these images is taken away. It needs no labels and no words.

    Returns:
        (n_features,) float64 in [-1, 1]; NaN for features with fewer than two images, and for all where more
        than `MOST_ENTRIES` numbers would be read.
    """
    likeness = np.full(len(study.vector("top_images")), np.nan)
    for feature, rows, cosines in _two_by_two(study):
        if len(rows) > 1:
            likeness[feature] = cosines.sum() / (len(rows) * (len(rows) - 1))
    return likeness


def _two_by_two(study: StudyReader) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield each feature, the rows of its `STRONGEST` images, (n,), and their cosines, (n, n) with 0 on the
    diagonal, without its own entry and less the mean; nothing of more than `MOST_ENTRIES` numbers.
    """
    top = study.vector("top_images")[:, :STRONGEST]
    rows, places = np.unique(top, return_inverse=True)
    if len(rows) * len(top) > MOST_ENTRIES or rows[-1] < 0:
        return
    h = unit_rows(study.array("representations").rows(np.maximum(rows, 0)))
    h -= h[rows >= 0].mean(0)
    for feature, mine in enumerate(places.reshape(top.shape)):
        mine = mine[top[feature] >= 0]
        others = unit_rows(np.delete(h[mine], feature, axis=1))
        cosines = others @ others.T
        np.fill_diagonal(cosines, 0.0)
        yield feature, rows[mine], cosines
