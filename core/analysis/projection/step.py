"""The step `map`: every image as a point in the plane, by PCA and, on request, by UMAP.

Both use rows of length 1, so near points are images whose representations have similar directions.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from core.analysis.projection.pca import Components, principal_components
from core.analysis.quality.neighbours import sample_rows
from core.common.dataframes import unit_rows
from core.common.statistics.compiled import compiled_on_disk
from core.config import MapConfig
from core.config.checks import usual_map
from core.errors import SettingsError
from core.jobs.progress import Bar, Progress
from core.storage.chunked_array import CHUNK_ROWS, ChunkedArray
from core.storage.writer import StepRun, StepWriter
from core.store import Study

UMAP_FEATURES = 50  # principal components passed to UMAP: most of the variance, a fraction of the memory
FEWEST_FOR_UMAP = 4


def compute_map(study: Study, step: StepWriter, config: MapConfig, run: StepRun) -> None:
    """Write `map_pca` and, where the method is "umap", `map_umap`: (n_images, 2) float32.

    At most `config.sample` seeded rows are used for fitting (a fifth of them for UMAP); all rows are
    projected, chunk by chunk.

    Raises:
        SettingsError: too few images for UMAP.
    """
    array = study.array("representations")
    config = replace(config, method=config.method or usual_map(len(array)))
    n_fitted = min(config.sample, len(array))
    step.summary = {"method": config.method, "n_images": len(array), "n_fitted": n_fitted}
    if not len(array):
        step.summary["skipped"] = "the study has no images"
        return
    places, shares = places_of_columns(array, slice(None), config, run.progress)
    for method, xy in places.items():
        step.vector(f"map_{method}", xy)
    step.summary["shares"] = shares
    if config.method == "umap":
        step.summary["n_fitted_umap"] = len(rows_for_umap(len(array), config))


def places_of_columns(
    array: ChunkedArray, columns: slice, config: MapConfig, progress: Progress
) -> tuple[dict[str, np.ndarray], list[float]]:
    """Place all images by some columns of their representations, chunk by chunk.

    Returns:
        {"pca": (n_images, 2) float32, with config.method umap also "umap"}, and the shares of the variance
        along the axes of PCA.
    Raises:
        SettingsError: too few images for UMAP.
    """
    fitted = sample_rows(np.arange(len(array)), config.sample, config.seed)
    n_axes = UMAP_FEATURES if config.method == "umap" else 2
    with progress.stage("components"):
        blocks = partial(_unit_blocks, array, fitted, columns)
        components = principal_components(blocks, n_axes, seed=config.seed)
    with progress.stage("pca", total=len(array), unit="images") as bar:
        reduced = project(array, components, bar, columns)
    places = {"pca": reduced[:, :2].copy()}
    if config.method == "umap":
        for_umap = rows_for_umap(len(array), config)
        with progress.stage("umap", total=len(array), unit="images") as bar:
            places["umap"] = umap_map(reduced, for_umap, config, bar)
    return places, [float(share) for share in components.shares[:2]]


def project(
    array: ChunkedArray, components: Components, bar: Bar, columns: slice = slice(None)
) -> np.ndarray:
    """(n_images, k) float32 coordinates of all rows, by some of their columns."""
    placed = [np.empty((0, len(components.axes)), np.float32)]
    for chunk in range(array.n_chunks):
        rows = unit_rows(array.chunk(chunk)[:, columns])
        placed.append(components.project(rows).astype(np.float32))
        bar.update(len(rows))
    return np.concatenate(placed)


def rows_for_umap(n_images: int, config: MapConfig) -> np.ndarray:
    """The rows, ascending, to which UMAP is fitted: a seeded fifth of the sample."""
    return sample_rows(np.arange(n_images), max(config.sample // 5, 2), config.seed)


def umap_class() -> Any:
    """UMAP of umap-learn, which is optional: `config.checks.check_map_options` says how to get it.

    Compiling it takes longer than placing thousands of images, so it is kept on disk.
    """
    with compiled_on_disk("umap-learn", "pynndescent"):
        from umap import UMAP  # pyright: ignore
    return UMAP


def umap_map(reduced: np.ndarray, fitted: np.ndarray, config: MapConfig, bar: Bar) -> np.ndarray:
    """(n_images, 2) float32: UMAP (McInnes et al. 2018) fitted to some rows, and applied to the others.

    Args:
        reduced: (n_images, k) principal components. fitted: rows used to fit UMAP, ascending.
    Raises:
        SettingsError: too few images.
    """
    if len(fitted) < FEWEST_FOR_UMAP:
        raise SettingsError(f"UMAP needs at least {FEWEST_FOR_UMAP} images; use --method pca")
    neighbours = min(config.neighbours, len(fitted) - 1)
    from threadpoolctl import threadpool_info, threadpool_limits

    init = "spectral" if len(fitted) > 2 * neighbours else "random"
    model = umap_class()(
        n_components=2,
        n_neighbors=neighbours,
        min_dist=config.min_dist,
        random_state=config.seed,  # also forces a single thread: the same map every time
        n_jobs=1,
        init=init,
        low_memory=True,
        transform_seed=config.seed,
    )
    placed = np.empty((len(reduced), 2), np.float32)
    # numba starts as many OpenMP threads as there are cores, and torch's in this process would stay as many
    with threadpool_limits({pool["prefix"]: pool["num_threads"] for pool in threadpool_info()}):
        placed[fitted] = model.fit_transform(reduced[fitted])
        bar.update(len(fitted))
        others = np.setdiff1d(np.arange(len(reduced)), fitted, assume_unique=True)
        for start in range(0, len(others), CHUNK_ROWS):
            rows = others[start : start + CHUNK_ROWS]
            placed[rows] = model.transform(reduced[rows])
            bar.update(len(rows))
    return placed


def _unit_blocks(array: ChunkedArray, rows: np.ndarray, columns: slice) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), CHUNK_ROWS):
        yield unit_rows(array.rows(rows[start : start + CHUNK_ROWS])[:, columns])
