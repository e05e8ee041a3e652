"""Average representations of correctly classified and of misclassified images ([Q] Figs 3 and A.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from core.analysis.tensors import class_codes
from core.common.arrays import safe_divide, unit_rows

if TYPE_CHECKING:
    from core.jobs.progress import Bar
    from core.storage.writer import StepWriter
    from core.store import Study

GROUPS = ("correct", "misclassified")
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
        found, first, count = np.unique(group[order], return_index=True, return_counts=True)
        self.sums[found] += np.add.reduceat(h, first, axis=0)
        self.counts[found] += count
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


def n_judged(study: Study) -> int:
    """Count evaluation images with a label and a probe result."""
    return int(np.count_nonzero(_judged(study, study.is_val)[0]))


def write_group_means(study: Study, step: StepWriter, bar: Bar) -> None:
    """Write vectors `class_means_correct`, `class_means_misclassified` (n_classes, n_features),
    `group_counts` (2, n_classes), `sparsity_curves` (2, points) and `sparsity_ranks` (points,), over the
    evaluation images with a probe result; nothing if there are none. Reads one chunk at a time.
    """
    for name, values in group_means(study, study.is_val, bar.update).items():
        step.vector(name, values)


def group_means(
    study: Study, among: np.ndarray, done: Callable[[int], object] = lambda n: None
) -> dict[str, np.ndarray]:
    """Compute the vectors of `write_group_means` over some images, those with a probe result; empty if there
    are none.

    Args:
        among: (n_images,) bool. done: told how many images were read.
    """
    judged, correct = _judged(study, among)
    if not judged.any():
        return {}
    array, code = study.array("representations"), class_codes(study)
    means = GroupMeans(len(study.class_names), array.shape[1])
    for start, chunk in array.chunks():
        here = np.flatnonzero(judged[start : start + len(chunk)])
        means.update(np.asarray(chunk[here]), code[start + here], correct[start + here])
        done(len(here))
    right, wrong = means.class_means()
    return {
        "class_means_correct": right,
        "class_means_misclassified": wrong,
        "group_counts": means.class_counts(),
        "sparsity_curves": means.sparsity_curves(),
        "sparsity_ranks": means.ranks,
    }


def _judged(study: Study, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n_images,) bool twice: images with a probe result, and if it is correct (else False)."""
    if not study.has("probe"):
        nothing = np.zeros(study.n_images, bool)
        return nothing, nothing
    verdict = study.table("probe", ["correct"])["correct"]
    known = verdict.notna().to_numpy() & (class_codes(study) >= 0)
    return among & known, verdict.fillna(False).to_numpy(dtype=bool)
