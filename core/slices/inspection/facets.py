"""Numbers of images of a slice by class, prediction, correctness and split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.reader import StudyReader
from core.slices.evaluate import class_column, result_column
from core.slices.slice import Slice

LABEL, PREDICTED, CORRECT, SPLIT = FACETS = ("label", "predicted", "correct", "split")


def without_facet(where: Slice, facet: str) -> Slice:
    """Return a slice without its condition on a facet: whose images a facet counts, so that it also says how
    many another value would give.
    """
    if facet == LABEL:
        return replace(where, labels=())
    if facet == PREDICTED:
        return replace(where, predicted=())
    return replace(where, correct=None) if facet == CORRECT else replace(where, split=None)


def facet_counts(study: StudyReader, facet: str, mask: np.ndarray) -> dict[str, int]:
    """Count the images of each value of a facet, the most common value first, then in order of the alphabet.

    Args:
        facet: one of FACETS. mask: (n_images,) bool: the images that count.
    Returns:
        number of images by value: names of classes, 'true' and 'false' for `correct`, 'val' and 'train'. A
        value without images is left out; images without a value are in no count.
    """
    if facet == SPLIT:
        n_val = int(np.count_nonzero(study.is_val & mask))
        counts = {"val": n_val, "train": int(np.count_nonzero(mask)) - n_val}
    elif facet == CORRECT:
        correct = result_column(study, "correct")[mask]
        counts = {"true": int(np.sum(correct == 1)), "false": int(np.sum(correct == 0))}
    else:
        codes = class_column(study, facet)[mask]
        n = np.bincount(codes[codes >= 0], minlength=len(study.class_names))
        counts = dict(zip(study.class_names, n.tolist(), strict=True))
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {value: n for value, n in ranked if n}
