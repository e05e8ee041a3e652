"""Algorithm 1 (groups of features that fire together) on 100,000 x 2,048: whole sets at once, no loop.

Against only comparing the matrix with alpha, and against a dictionary filled image by image.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.results import Result
from core.concepts.groups import find_groups

N_IMAGES, N_FEATURES, BLOCK = 100_000, 2048, 256
PER_IMAGE = 3  # features above alpha, as with the paper's k
PATTERNS = 4000  # images come in kinds, each with features of its own; a third of them alone


def run() -> Iterator[Result]:
    h, alpha = made()
    compare, _ = seconds(lambda: [(part > alpha).any() for part in blocks(h)])
    whole, groups = seconds(
        lambda: find_groups(
            np.concatenate([np.packbits(part > alpha, axis=1) for part in blocks(h)]), N_FEATURES
        )
    )
    looped, by_loop = seconds(lambda: loop(h, alpha), once=True)
    if {tuple(rows) for rows in by_loop.values()} != {tuple(group.rows.tolist()) for group in groups}:
        raise AssertionError("the groups are not those of the loop")
    detail = f"comparing {compare:.2f} s, {len(groups):,} groups found in {whole:.2f} s with it"
    yield Result("Algorithm 1 / comparing", compare / whole, "x", 0.4, True, detail)
    detail = f"a dictionary filled image by image {looped:.2f} s"
    yield Result("Algorithm 1 / loop over images", looped / whole, "x", 5.0, True, detail)


def blocks(h: np.ndarray) -> Iterator[np.ndarray]:
    return (h[start : start + BLOCK] for start in range(0, N_IMAGES, BLOCK))


def made() -> tuple[np.ndarray, float]:
    """(N_IMAGES, N_FEATURES) float32, and the threshold above which each image has a few entries."""
    rng = np.random.default_rng(0)
    h = rng.random((N_IMAGES, N_FEATURES), np.float32) * np.float32(0.02)
    kinds = rng.integers(0, N_FEATURES, (PATTERNS, PER_IMAGE))
    kind_of_image = kinds[rng.integers(0, PATTERNS, N_IMAGES)]
    alone = rng.random(N_IMAGES) < 1 / 3
    kind_of_image[alone] = rng.integers(0, N_FEATURES, (int(alone.sum()), PER_IMAGE))
    np.put_along_axis(h, kind_of_image, np.float32(0.5), axis=1)
    return h, 0.3


def seconds(work: Callable[[], Any], *, once: bool = False) -> tuple[float, Any]:
    """The best of three times, and what came out."""
    best, result = float("inf"), None
    for _ in range(1 if once else 3):
        began = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - began)
    return best, result


def loop(h: np.ndarray, alpha: float) -> dict[tuple[int, ...], list[int]]:
    """The same groups, image by image."""
    rows_of_group: dict[tuple[int, ...], list[int]] = {}
    for row, values in enumerate(h):
        features = tuple(np.flatnonzero(values > alpha).tolist())
        if features:
            rows_of_group.setdefault(features, []).append(row)
    return rows_of_group
