"""Slow twins of `core.measures`: one image and one feature after the other."""

from __future__ import annotations

import numpy as np

from core.store import Study


def firing_sets(study: Study) -> list[dict[int, float]]:
    """For each image the features that fire on it, with h_ij of the representation scaled to length 1."""
    raw = study.vector("representations").astype(np.float64)
    counts, features = study.vector("firing_count"), study.vector("firing_features")
    found, start = [], 0
    for row, count in enumerate(counts):
        h = raw[row] / np.linalg.norm(raw[row])
        found.append({int(j): float(h[j]) for j in features[start : start + count]})
        start += int(count)
    return found


def class_rates(study: Study, mask: np.ndarray, feature: int) -> dict[str, float]:
    """Share of the images of each class in a mask on which a feature fires."""
    sets = firing_sets(study)
    rates = {}
    for name in study.class_names:
        rows = [row for row in np.flatnonzero(mask) if study.images["label"].iat[row] == name]
        rates[name] = sum(feature in sets[row] for row in rows) / len(rows) if rows else np.nan
    return rates


def jaccard(study: Study, mask: np.ndarray, one: int, other: int) -> float:
    """Share of the images on which either of two features fires, on which both do."""
    sets = [found for found, inside in zip(firing_sets(study), mask, strict=True) if inside]
    either = sum(one in found or other in found for found in sets)
    both = sum(one in found and other in found for found in sets)
    return both / either if either else np.nan
