"""Firing rates and mean activations of each feature on the images of a slice, and against others."""

import numpy as np
import pandas as pd

from core.common.dataframes import safe_divide, unit_rows
from core.common.statistics.design_effect import effective_counts, groups_among, of_copies
from core.common.statistics.intervals import benjamini_hochberg, newcombe, two_sided, welch
from core.common.statistics.moments import Moments
from core.reader import StudyReader
from core.slices.features.classes import class_firing, most_common_classes
from core.slices.firing_counts import count_firing_images, has_firing

COLUMNS = ["feature", "rate", "rate_against", "difference", "low", "high", "p", "q"]
MEANS = ["mean", "mean_against", "mean_q"]


def feature_differences(
    study: StudyReader, mask: np.ndarray, against: np.ndarray, *, means: bool = False
) -> pd.DataFrame:
    """Compare how often each feature fires on the images of a slice and on others, largest difference first,
    ties by feature.

    With k of n images of the slice and k' of n' others on which the feature fires, difference = k/n - k'/n',
    its interval is Newcombe's, p Fisher's exact test (two-sided), and q that of Benjamini and Hochberg over
    all features that fire on any of the images. Of a study with groups (patients, sequences) both are of the
    effective numbers of images (`design_effect.of_copies`).

    Args:
        mask, against: (n_images,) bool, without common images (see `population`).
        means: also compare the mean activation; reads the representations of all images of both masks.
    Returns:
        feature, rate, rate_against, difference, low, high, p, q; with `means` also mean, mean_against (of h,
        rows of length 1) and mean_q (Welch's test, corrected over all features). All are NaN where one side
        has no images. p and q are NaN for a feature that fires on none of the images. Without firing sets
        the table is empty.
    """
    if not has_firing(study):
        return pd.DataFrame(columns=[*COLUMNS, *(MEANS if means else [])])
    n, n_against = int(np.count_nonzero(mask)), int(np.count_nonzero(against))
    k, k_against = count_firing_images(study, [mask, against])
    d, d_against = (of_copies(groups_among(study.groups, one)) for one in (mask, against))
    low, high = newcombe(k / d, n / d, k_against / d_against, n_against / d_against)
    fires = np.flatnonzero((k + k_against > 0) & (n > 0) & (n_against > 0))
    p = np.full(len(k), np.nan)
    mine, n_mine = effective_counts(k[fires], n, d)
    its, n_its = effective_counts(k_against[fires], n_against, d_against)
    p[fires] = two_sided(mine, n_mine, mine + its, n_mine + n_its)
    rate, rate_against = safe_divide(k, n), safe_divide(k_against, n_against)
    q = benjamini_hochberg(p)
    difference = rate - rate_against
    features = np.arange(len(k))
    table = pd.DataFrame(
        {
            "feature": features,
            "rate": rate,
            "rate_against": rate_against,
            "difference": difference,
            "low": low,
            "high": high,
            "p": p,
            "q": q,
        }
    )
    if means:
        nothing = dict.fromkeys(MEANS, np.nan)  # the representations are damaged
        there = study.has("representations")
        table = table.assign(**(mean_differences(study, mask, against) if there else nothing))
    order = np.argsort(-table["difference"].to_numpy(), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def mean_differences(study: StudyReader, mask: np.ndarray, against: np.ndarray) -> dict[str, np.ndarray]:
    """Mean of each feature of h over both masks, and the q of Welch's test between them."""
    one, other = activation_moments(study, mask), activation_moments(study, against)
    p = welch(one.mean, one.variance, one.n, other.mean, other.variance, other.n)
    means = {"mean": one.mean if one.n else np.full_like(one.mean, np.nan)}
    means["mean_against"] = other.mean if other.n else np.full_like(other.mean, np.nan)
    return means | {"mean_q": benjamini_hochberg(p)}


def activation_moments(study: StudyReader, mask: np.ndarray) -> Moments:
    """Moments of each feature of h over the images of a mask; chunks without any are not read."""
    array = study.array("representations")
    moments = Moments.empty(array.shape[1])
    for number in range(array.n_chunks):
        inside = np.flatnonzero(mask[array.chunk_start(number) : array.chunk_start(number + 1)])
        if len(inside):
            moments = moments.merge(Moments.of_rows(unit_rows(array.chunk(number)[inside])))
    return moments


def feature_numbers(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """Table `features` of a slice: mean, std, activation_rate, top_class and purity of its images.

    D and the tails are definitions on the train images and stay.
    """
    whole = study.table("features")
    moments, n_features = activation_moments(study, mask), len(whole)
    rate, purity = np.full(n_features, np.nan), np.full(n_features, np.nan)
    top = np.full(n_features, -1)
    if has_firing(study):
        rate = 100.0 * safe_divide(count_firing_images(study, [mask])[0], np.count_nonzero(mask))
    if has_firing(study) and study.labelled:
        classes = most_common_classes(*class_firing(study, mask))
        purity, top = classes["purity"].to_numpy(), classes["top"].to_numpy()
    names = np.array([*study.class_names, None], object)
    top_classes = pd.array(names[top], dtype="str")
    mean = moments.mean if moments.n else np.nan
    return whole.assign(
        mean=mean, std=moments.std, activation_rate=rate, top_class=top_classes, purity=purity
    )
