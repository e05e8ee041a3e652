"""Average representations of correctly classified and of misclassified images ([Q] Figs 3 and A.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from core.analysis.tensors import class_codes
from core.slices.group_means import GroupMeans

if TYPE_CHECKING:
    from core.jobs.progress import Bar
    from core.storage.writer import StepWriter
    from core.store import Study


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
