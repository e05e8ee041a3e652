"""On how many images of a slice each feature fires, from the stored firing sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.store import Study

BLOCK = 1 << 22  # firing pairs processed at a time


def has_firing(study: Study) -> bool:
    """Return True when the study holds the firing sets."""
    return study.has("firing_by_feature_ptr") and study.has("firing_by_feature_rows")


def count_firing(study: Study, masks: Sequence[np.ndarray]) -> np.ndarray:
    """(n_masks, n_features) int64: number of images in each mask on which a feature fires."""
    pointers = study.vector("firing_by_feature_ptr").astype(np.int64)
    stored = study.array("firing_by_feature_rows")
    counts = np.zeros((len(masks), len(pointers) - 1), np.int64)
    for start in range(0, int(pointers[-1]), BLOCK):
        block = np.asarray(stored[start : min(start + BLOCK, int(pointers[-1]))])
        ends = np.clip(pointers - start, 0, len(block))
        for number, mask in enumerate(masks):
            so_far = np.concatenate([[0], np.cumsum(mask[block])])
            counts[number] += np.diff(so_far[ends])
    return counts
