"""The step `map`: every image as a point in the plane, by principal components or UMAP."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import eigh

from core.analysis.neighbours import sample_rows
from core.common.compiled import compiled_on_disk
from core.common.dataframes import unit_rows
from core.config import MapConfig
from core.config.checks import usual_map
from core.errors import SettingsError
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS, ChunkedArray
from core.study.progress import Bar, Progress
from core.study.writer import StepRun, StepWriter

# Principal components of rows that are read block by block, in double precision.


MOST_EXACT = 4096  # up to this many features the covariance fits (128 MiB) and is quickly decomposed
OVERSAMPLED = 8
ROUNDS = 12  # iterations of the subspace method, each of which reads the rows once
Blocks = Callable[[], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Components:
    """Directions of the largest variance.

    Attributes:
        mean: (n_features,) float64. axes: (k, n_features) float64, orthonormal, by descending variance; the
            entry of largest magnitude of each is positive. variance: (k,) along each. total: over all
            features (trace of the covariance).
    """

    mean: np.ndarray
    axes: np.ndarray
    variance: np.ndarray
    total: float

    @property
    def shares(self) -> np.ndarray:
        """(k,) in [0, 1]: share of the variance along each axis; 0 if nothing varies."""
        return self.variance / self.total if self.total > 0 else np.zeros_like(self.variance)

    def project(self, rows: np.ndarray) -> np.ndarray:
        """(n, k) float64 coordinates of rows (n, n_features)."""
        return (rows.astype(np.float64) - self.mean) @ self.axes.T


def principal_components(blocks: Blocks, k: int, *, seed: int = 0) -> Components:
    """Compute the k leading principal components (ddof 0) for a map; `blocks` reads the rows again.

    Exact up to MOST_EXACT features (streamed covariance, two passes), else by subspace iteration from seeded
    directions (Halko, Martinsson and Tropp, 2011).

    Args:
        blocks: returns an iterator over (n_i, n_features) arrays. k: at least 1; axes beyond the span of the
            rows are zero.
    Raises:
        ValueError: there are no rows.
    """
    mean, n_rows = _mean(blocks)
    k_there = min(k, len(mean))
    if len(mean) <= MOST_EXACT:
        covariance = _covariance_times(blocks, mean, n_rows, None)
        variance, axes = eigh(covariance, subset_by_index=(len(mean) - k_there, len(mean) - 1))
        total = float(np.trace(covariance))
    else:
        variance, axes = _subspace(blocks, mean, n_rows, k_there, seed)
        total = float(sum(((block - mean) ** 2).sum() for block in _double(blocks)) / n_rows)
    variance, axes = variance[::-1], axes.T[::-1]
    floor = 1e-12 * max(total, 1e-300)
    axes = np.where(variance[:, None] > floor, _signed(axes), 0.0)
    grown = np.zeros((k, len(mean)))
    grown[:k_there] = axes
    variances = np.zeros(k)
    variances[:k_there] = np.where(variance > floor, variance, 0.0)
    return Components(mean, grown, variances, total)


def _double(blocks: Blocks) -> Iterator[np.ndarray]:
    for block in blocks():
        yield np.asarray(block, np.float64)


def _mean(blocks: Blocks) -> tuple[np.ndarray, int]:
    total, n_rows = 0.0, 0
    for block in _double(blocks):
        total = total + block.sum(0)
        n_rows += len(block)
    if not n_rows:
        raise ValueError("no rows to find principal components of")
    return np.atleast_1d(np.asarray(total)) / n_rows, n_rows


def _covariance_times(blocks: Blocks, mean: np.ndarray, n_rows: int, other: np.ndarray | None) -> np.ndarray:
    """Compute the covariance of the rows; with `other` (n_features, m), its product without forming it."""
    covariance: np.ndarray | float = 0.0
    for block in _double(blocks):
        centred = block - mean
        covariance = covariance + centred.T @ (centred if other is None else centred @ other)
    return np.asarray(covariance) / n_rows


def _subspace(
    blocks: Blocks, mean: np.ndarray, n_rows: int, k: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvalues (k,), ascending, and eigenvectors (n_features, k) of the covariance."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((len(mean), min(k + OVERSAMPLED, len(mean)))))[0]
    for _ in range(ROUNDS):
        basis = np.linalg.qr(_covariance_times(blocks, mean, n_rows, basis))[0]
    small = basis.T @ _covariance_times(blocks, mean, n_rows, basis)
    values, vectors = np.linalg.eigh((small + small.T) / 2)
    return values[-k:], (basis @ vectors)[:, -k:]


def _signed(axes: np.ndarray) -> np.ndarray:
    """Flip each axis so that its entry of largest magnitude (the first on ties) is positive."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)
    return np.where(largest < 0, -axes, axes)


# The step `map`: every image as a point in the plane, by PCA and, on request, by UMAP.
#
# Both use rows of length 1, so near points are images whose representations have similar directions.


UMAP_FEATURES = 50  # principal components passed to UMAP: most of the variance, a fraction of the memory
FEWEST_FOR_UMAP = 4
EXACT_BY_UMAP = 4096  # below this many rows UMAP compares all of them by itself


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
        step.summary["n_fitted_umap"] = len(_rows_for_umap(len(array), config))


def places_of_columns(
    array: ChunkedArray, columns: slice, config: MapConfig, progress: Progress
) -> tuple[dict[str, np.ndarray], list[float]]:
    """Place all images on a map by some columns of their representations, chunk by chunk.

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
        for_umap = _rows_for_umap(len(array), config)
        with progress.stage("umap", total=len(array), unit="images") as bar:
            places["umap"] = umap_map(reduced, for_umap, config, bar)
    return places, [float(share) for share in components.shares[:2]]


def project(
    array: ChunkedArray, components: Components, bar: Bar, columns: slice = slice(None)
) -> np.ndarray:
    """(n_images, k) float32 coordinates of all images on a map's components, by some columns."""
    placed = [np.empty((0, len(components.axes)), np.float32)]
    for chunk in range(array.n_chunks):
        rows = unit_rows(array.chunk(chunk)[:, columns])
        placed.append(components.project(rows).astype(np.float32))
        bar.update(len(rows))
    return np.concatenate(placed)


def _rows_for_umap(n_images: int, config: MapConfig) -> np.ndarray:
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
    """(n_images, 2) float32: the map of a study by UMAP, fitted to some rows, applied to the others.

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
    searched = len(fitted) == len(reduced) >= EXACT_BY_UMAP
    model = umap_class()(
        n_components=2,
        n_neighbors=neighbours,
        min_dist=config.min_dist,
        random_state=config.seed,  # also forces a single thread: the same map every time
        n_jobs=1,
        init=init,
        low_memory=True,
        transform_seed=config.seed,
        precomputed_knn=_neighbour_graph(reduced, neighbours) if searched else (None, None, None),
    )
    placed = np.empty((len(reduced), 2), np.float32)
    # numba starts as many OpenMP threads as there are cores, and torch's in this process would stay as many
    with threadpool_limits({pool["prefix"]: pool["num_threads"] for pool in threadpool_info()}):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*transforming new data", UserWarning)  # there is none
            placed[fitted] = model.fit_transform(reduced[fitted])
        bar.update(len(fitted))
        others = np.setdiff1d(np.arange(len(reduced)), fitted, assume_unique=True)
        for start in range(0, len(others), CHUNK_ROWS):
            rows = others[start : start + CHUNK_ROWS]
            placed[rows] = model.transform(reduced[rows])
            bar.update(len(rows))
    return placed


def _neighbour_graph(points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest points of each by Euclidean distance, exactly, as UMAP counts them: itself first.

    From EXACT_BY_UMAP points on UMAP searches approximately, by code that cannot be kept compiled: compiling
    takes a minute, and these products of matrices a second.

    Args:
        points: (n, d), more than k - 1 of them.
    Returns:
        positions (n, k) int32 and distances (n, k) float32, ascending.
    """
    from sklearn.neighbors import NearestNeighbors

    distances, others = NearestNeighbors(n_neighbors=k - 1, algorithm="brute").fit(points).kneighbors()
    itself = np.arange(len(points))[:, None]
    return np.hstack([itself, others]).astype(np.int32), np.hstack([0 * itself, distances]).astype(np.float32)


def _unit_blocks(array: ChunkedArray, rows: np.ndarray, columns: slice) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), CHUNK_ROWS):
        yield unit_rows(array.rows(rows[start : start + CHUNK_ROWS])[:, columns])
