"""Features that resemble one: they fire on the same images, or prefer the same classes."""

import numpy as np
import pandas as pd

from core.common.dataframes import safe_divide
from core.reader import StudyReader
from core.slices.features.images import firing_pairs, firing_rows
from core.slices.firing_counts import count_firing_images


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
    together = firing_pairs(study, firing_rows(study, feature, mask))["feature"].to_numpy()
    both = np.bincount(together, minlength=len(counts))
    table = pd.DataFrame(
        {
            "feature": np.arange(len(counts)),
            "both": both,
            "jaccard": safe_divide(both, counts[feature] + counts - both),
            "profile": class_profile_cosine(study, feature, len(counts)),
        }
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
