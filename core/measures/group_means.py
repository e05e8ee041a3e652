"""Average representations of a slice's correct and misclassified images (Kalibhat 2024, Figs 3 and A.1)."""

from collections.abc import Callable

import numpy as np

from core.common.dataframes import safe_divide, unit_rows
from core.reader import StudyReader
from core.slices.evaluate import class_column

CURVE_POINTS = 200


def curve_ranks(n_features: int, *, points: int = CURVE_POINTS) -> np.ndarray:
    """Ranks (1 = largest) at which a sorted representation is stored: every rank of the first half, where a
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
    """Average the images of a mask whose class and correctness are known. Reads one chunk at a time, and only
    chunks that hold such images.

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
    """(n_images,) bool twice: images of a mask with a class and a probe result, and if it is correct."""
    if not study.has("probe"):
        return np.zeros(study.n_images, bool), np.zeros(study.n_images, bool)
    correct = study.column("probe", "correct").astype("boolean")
    has_outcome = correct.notna().to_numpy() & (class_column(study, "label") >= 0)
    return mask & has_outcome, correct.fillna(False).to_numpy(bool)


def vectors_of(means: GroupMeans) -> dict[str, np.ndarray]:
    """The vectors that the step `quality` stores of the evaluation images, by name."""
    right, wrong = means.class_means()
    return {
        "class_means_correct": right,
        "class_means_misclassified": wrong,
        "group_counts": means.class_counts(),
        "sparsity_curves": means.sparsity_curves(),
        "sparsity_ranks": means.ranks,
    }
