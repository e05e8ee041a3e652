"""SemanticLens: the images that activate each component most, and how much alike they are (clarity)."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np

from benchmarks.peers.environment import SEMANTIC_LENS
from benchmarks.peers.task import Inputs, Task, largest_difference, unit

KEPT, ROWS = 20, 1024  # images of a component; images of a batch
BFLOAT16 = 2.0**-8  # half a step of the numbers in which the library keeps activations, relative to them


def _embedded(small: bool) -> dict[str, np.ndarray]:
    """Embeddings of the images of each component, some more alike than others."""
    rng, (n, width) = np.random.default_rng(0), (5, 8) if small else (512, 512)
    centres = rng.standard_normal((n, 1, width)) * np.linspace(0, 2, n)[:, None, None]
    return {"embeddings": unit(centres + rng.standard_normal((n, KEPT, width)))}


def _clarity_ours(inputs: Inputs) -> Callable[[], np.ndarray]:
    from core.concepts.groups import cosine_from_sum

    return lambda: np.array([cosine_from_sum(rows.sum(0), len(rows)) for rows in inputs["embeddings"]])


def _clarity_theirs(inputs: Inputs) -> Callable[[], np.ndarray]:
    import torch

    score = importlib.import_module("semanticlens.scores").clarity_score
    return lambda: score(torch.from_numpy(inputs["embeddings"])).numpy()


def _activations(small: bool) -> dict[str, np.ndarray]:
    from benchmarks.studies import sparse_rows

    return {"h": unit(sparse_rows(300, 8, 0) if small else sparse_rows(20_000, 512, 0))}


def _examples_ours(inputs: Inputs) -> Callable[[], np.ndarray]:
    from core.analysis.chunk_scan import ByFeature, TopImages

    h = inputs["h"]
    # Loading the compiler is preparation, as importing torch is for the library.
    one = np.zeros(1, np.int32)
    TopImages(1, 1).add(ByFeature.of_entries(one, np.ones(1, np.float32), one, 1))

    def rows() -> np.ndarray:
        top = TopImages(h.shape[1], KEPT)
        for start in range(0, len(h), ROWS):
            row, feature = np.nonzero(h[start : start + ROWS] > top.least)
            entries = feature.astype(np.int32), h[row + start, feature], row.astype(np.int32)
            top.add(ByFeature.of_entries(*entries, h.shape[1]), start)
        return top.descending()[0]

    return rows


def _examples_theirs(inputs: Inputs) -> Callable[[], np.ndarray]:
    import torch

    module = importlib.import_module("semanticlens.component_visualization.activation_caching")
    h = torch.from_numpy(inputs["h"])

    def rows() -> np.ndarray:
        top = module.ActMax(KEPT)
        for start in range(0, len(h), ROWS):
            batch = h[start : start + ROWS]
            top.update(batch, torch.arange(start, start + len(batch)))
        return top.sample_ids.numpy()

    return rows


def _as_active(inputs: Inputs, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, str]:
    """How much less the images of the library activate, rank by rank, relative to ours."""
    columns = np.arange(len(ours))[:, None]
    best, theirs_sorted = (-np.sort(-inputs["h"][rows, columns], axis=1) for rows in (ours, theirs))
    same = np.mean([len(np.intersect1d(a, b)) / KEPT for a, b in zip(ours, theirs, strict=True)])
    text = f"largest lack of activation, relative; {same:.1%} of the images are the same (theirs in bfloat16)"
    return float((1 - theirs_sorted / best).max()), text


TASKS = (
    Task("clarity", SEMANTIC_LENS, _embedded, _clarity_ours, _clarity_theirs, largest_difference, 1e-5),
    Task(
        "concept examples",
        SEMANTIC_LENS,
        _activations,
        *(_examples_ours, _examples_theirs, _as_active, 2 * BFLOAT16),
    ),
)
