"""Features on the images of a slice: firing rates, means, mean representations and top images."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from core.common.dataframes import safe_divide, unit_rows
from core.common.moments import Moments
from core.measures.design_effect import effective_counts, groups_among, of_copies
from core.measures.evaluate import class_column
from core.measures.intervals import benjamini_hochberg, newcombe, two_sided, welch
from core.measures.slice_features import class_firing, count_firing_images, most_common_classes
from core.study.chunked_array import ChunkedArray
from core.study.reader import StudyReader

# Firing rates and mean activations of each feature on the images of a slice, and against others.


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
    if not study.has_firing:
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
        table = table.assign(**(_mean_differences(study, mask, against) if there else nothing))
    order = np.argsort(-table["difference"].to_numpy(), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def _mean_differences(study: StudyReader, mask: np.ndarray, against: np.ndarray) -> dict[str, np.ndarray]:
    """Mean of each feature over the images of both slices, and the q of Welch's test between them."""
    one, other = activation_moments(study, mask), activation_moments(study, against)
    p = welch(one.mean, one.variance, one.n, other.mean, other.variance, other.n)
    means = {"mean": one.mean if one.n else np.full_like(one.mean, np.nan)}
    means["mean_against"] = other.mean if other.n else np.full_like(other.mean, np.nan)
    return means | {"mean_q": benjamini_hochberg(p)}


def activation_moments(study: StudyReader, mask: np.ndarray) -> Moments:
    """Mean and variance of each feature of h over a population of images; skip chunks without any."""
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
    if study.has_firing:
        rate = 100.0 * safe_divide(count_firing_images(study, [mask])[0], np.count_nonzero(mask))
    if study.has_firing and study.labelled:
        classes = most_common_classes(*class_firing(study, mask))
        purity, top = classes["purity"].to_numpy(), classes["top"].to_numpy()
    names = np.array([*study.class_names, None], object)
    top_classes = pd.array(names[top], dtype="str")
    mean = moments.mean if moments.n else np.nan
    return whole.assign(
        mean=mean, std=moments.std, activation_rate=rate, top_class=top_classes, purity=purity
    )


# The images of a population on which each feature is largest.


MOST_TOP = 64  # images of a feature, as the step `features` stores


def top_images(array: ChunkedArray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find each feature's strongest images in a slice's mask: rows, best first, and the values of h.

    Args:
        array: (n_images, n_features) raw representations. mask: (n_images,) bool.
    Returns:
        (n_features, 64) int64, -1 where the mask holds fewer images, and float64, NaN there.
    """
    rows = np.full((0, array.shape[1]), -1)
    values = np.empty((0, array.shape[1]))
    for number in range(array.n_chunks):
        start = array.chunk_start(number)
        inside = np.flatnonzero(mask[start : array.chunk_start(number + 1)])
        if not len(inside):
            continue
        h = unit_rows(array.chunk(number)[inside])
        values = np.concatenate([values, h])
        rows = np.concatenate([rows, np.broadcast_to((start + inside)[:, None], h.shape)])
        order = np.argsort(-values, axis=0, kind="stable")[:MOST_TOP]  # ties in the order of the images
        rows, values = (np.take_along_axis(part, order, axis=0) for part in (rows, values))
    missing = ((0, MOST_TOP - len(rows)), (0, 0))
    return np.pad(rows, missing, constant_values=-1).T, np.pad(values, missing, constant_values=np.nan).T


# Average representations of a slice's correct and misclassified images (Kalibhat 2024, Figs 3 and A.1).


CURVE_POINTS = 200


def curve_ranks(n_features: int, *, points: int = CURVE_POINTS) -> np.ndarray:
    """Return the ranks at which the mean sorted features of each group of images are kept for its curve.

    Ranks (1 = largest) at which a sorted representation is stored: every rank of the first half, where a
    sparse representation has its mass, then evenly spaced to the last.

    Returns:
        (min(points, n_features),) int32, ascending, from 1 to n_features.
    """
    if n_features <= points:
        return np.arange(1, n_features + 1, dtype=np.int32)
    head = points // 2
    rest = np.linspace(head, n_features, points - head + 1)[1:]
    return np.concatenate([np.arange(1, head + 1), rest.round()]).astype(np.int32)


class GroupMeans:
    """Sums over images by class and correctness. Order and size of `update` calls matter only by rounding.

    Args:
        n_classes, n_features: sizes. points: length of the sparsity curve.
    """

    def __init__(self, n_classes: int, n_features: int, *, points: int = CURVE_POINTS):
        self.n_classes, self.ranks = n_classes, curve_ranks(n_features, points=points)
        self.sums = np.zeros((2 * n_classes, n_features))
        self.counts = np.zeros(2 * n_classes, np.int64)
        self.curve_sums = np.zeros((2, len(self.ranks)))

    def update(self, raw: np.ndarray, code: np.ndarray, correct: np.ndarray) -> None:
        """Add images.

        Args:
            raw: (n, n_features) representations. code: (n,) class, in [0, n_classes).
            correct: (n,) bool.
        """
        if not len(raw):
            return
        group = np.where(correct, 0, self.n_classes) + code
        order = np.argsort(group, kind="stable")
        h = unit_rows(raw[order])  # (n, n_features), the correct images first
        groups, first, count = np.unique(group[order], return_index=True, return_counts=True)
        self.sums[groups] += np.add.reduceat(h, first, axis=0)
        self.counts[groups] += count
        h.sort(axis=1)
        curves = h[:, h.shape[1] - self.ranks]  # (n, points), descending
        n_correct = int(np.count_nonzero(correct))
        self.curve_sums += curves[:n_correct].sum(0), curves[n_correct:].sum(0)

    def class_means(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean normalised h of the correct and of the misclassified images of each class.

        Returns:
            two (n_classes, n_features) float32; NaN rows if a class has no such image.
        """
        means = safe_divide(self.sums, self.counts[:, None]).astype(np.float32)
        return means[: self.n_classes], means[self.n_classes :]

    def class_counts(self) -> np.ndarray:
        """(2, n_classes) int64 number of images: correct, misclassified."""
        return self.counts.reshape(2, self.n_classes)

    def sparsity_curves(self) -> np.ndarray:
        """Mean over images of the normalised activations, sorted within each image, largest first.

        Returns:
            (2, points) float32 at `ranks`: correct, misclassified; NaN for a group without images.
        """
        return safe_divide(self.curve_sums, self.class_counts().sum(1)[:, None]).astype(np.float32)


def group_means(
    study: StudyReader, mask: np.ndarray, done: Callable[[int], object] = lambda n: None
) -> GroupMeans:
    """Average every feature over the images of a slice, by class, correct and misclassified ones apart.

    Images whose class or correctness is not known are left out. Reads one chunk at a time, and only chunks
    that hold images which count.

    Args:
        mask: (n_images,) bool. done: told how many images were read.
    """
    code = class_column(study, "label")
    means = GroupMeans(len(study.class_names), study.array("representations").shape[1])
    inside, right = with_outcome(study, mask)
    array = study.array("representations")
    for number in range(array.n_chunks):
        start = array.chunk_start(number)
        rows = start + np.flatnonzero(inside[start : array.chunk_start(number + 1)])
        if len(rows):
            means.update(np.asarray(array.chunk(number)[rows - start]), code[rows], right[rows])
            done(len(rows))
    return means


def with_outcome(study: StudyReader, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n_images,) bool twice: images of a slice with a class and a probe result, and if it is correct."""
    if not study.has("probe"):
        return np.zeros(study.n_images, bool), np.zeros(study.n_images, bool)
    correct = study.column("probe", "correct").astype("boolean")
    has_outcome = correct.notna().to_numpy() & (class_column(study, "label") >= 0)
    return mask & has_outcome, correct.fillna(False).to_numpy(bool)


def vectors_of(means: GroupMeans) -> dict[str, np.ndarray]:
    """Name a population's means of right and of wrong evaluation images, and counts, as `quality` does."""
    right, wrong = means.class_means()
    return {
        "class_means_correct": right,
        "class_means_misclassified": wrong,
        "group_counts": means.class_counts(),
        "sparsity_curves": means.sparsity_curves(),
        "sparsity_ranks": means.ranks,
    }
