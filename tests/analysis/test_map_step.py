"""Principal components against the definition, and the step `map` on whole studies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from core.analysis import map_step
from core.analysis.map_step import principal_components
from core.common.dataframes import unit_rows
from core.config import MapConfig
from core.config.checks import usual_map
from core.errors import SettingsError
from core.pipeline import run as pipeline
from core.store import open_study
from core.study.progress import Bar, Progress
from core.study.steps import settings_of


def in_blocks(rows, size=7):
    return lambda: (rows[start : start + size] for start in range(0, len(rows), size))


def twin(rows, k):
    """The definition: eigenvectors of the covariance, entry by entry, largest variance first."""
    n, r = rows.shape
    mean = [sum(rows[i][j] for i in range(n)) / n for j in range(r)]
    covariance = np.zeros((r, r))
    for a in range(r):
        for b in range(r):
            covariance[a, b] = sum((rows[i][a] - mean[a]) * (rows[i][b] - mean[b]) for i in range(n)) / n
    values, vectors = np.linalg.eig(covariance)
    values, vectors = np.real(values), np.real(vectors)
    order = np.argsort(-values)[:k]
    axes = vectors[:, order].T
    return values[order], [axis * np.sign(axis[np.abs(axis).argmax()]) for axis in axes]


@pytest.mark.parametrize("most_exact", [4096, 0], ids=["exact", "subspace"])
def test_principal_components__match_the_definition(rng, monkeypatch, most_exact):
    monkeypatch.setattr(map_step, "MOST_EXACT", most_exact)
    rows = rng.normal(size=(40, 12)) * np.linspace(5, 0.1, 12)
    components = principal_components(in_blocks(rows), 3)
    variance, axes = twin(rows, 3)
    assert_allclose(components.variance, variance, rtol=1e-6)
    assert_allclose(components.axes, axes, atol=1e-4)
    assert_allclose(components.shares, variance / rows.var(0).sum(), rtol=1e-6)
    assert_allclose(components.project(rows), (rows - rows.mean(0)) @ np.array(axes).T, atol=2e-3)


def test_principal_components__hand_computed():
    rows = np.array([[0.0, 0.0], [2.0, 2.0], [4.0, 4.0]])
    components = principal_components(in_blocks(rows), 2)
    assert_allclose(components.axes[0], [2**-0.5, 2**-0.5])
    assert_allclose(components.axes[1], 0)  # nothing varies there
    assert_allclose(components.shares, [1, 0])
    assert_allclose(components.project(rows)[:, 0], [-(8**0.5), 0, 8**0.5])


def test_principal_components__do_not_depend_on_blocks_and_turn_with_the_sign(rng):
    rows = rng.normal(size=(50, 6))
    whole, split = (principal_components(in_blocks(rows, size), 2) for size in (50, 3))
    assert_allclose(whole.axes, split.axes, atol=1e-12)
    mirrored = principal_components(in_blocks(-rows), 2)
    assert_allclose(mirrored.axes, whole.axes, atol=1e-12)  # the sign is that of the axis, not of the data


@pytest.mark.parametrize("rows", [np.zeros((1, 1)), np.ones((4, 3))], ids=str)
def test_principal_components__nothing_varies(rows):
    components = principal_components(in_blocks(rows), 2)
    assert components.axes.shape == (2, rows.shape[1]) and not components.axes.any()
    assert not components.shares.any() and not components.project(rows).any()


def test_principal_components__refuse_no_rows():
    with pytest.raises(ValueError, match="no rows"):
        principal_components(in_blocks(np.zeros((0, 3))), 2)


def test_unit_rows__length_one_and_zero_stays():
    assert_allclose(unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)), [[0.6, 0.8], [0, 0]])


@pytest.mark.slow
def test_map__places_every_image_of_a_study(shared_study):
    study = open_study(shared_study)
    h = unit_rows(study.array("representations")[:])
    axes = np.array(twin(h, 2)[1])
    placed = study.vector("map_pca")
    assert placed.dtype == np.float32
    assert_allclose(placed, (h - h.mean(0)) @ axes.T, atol=1e-5)
    assert 0 < study.summary("map")["shares"][1] <= study.summary("map")["shares"][0] < 1


@pytest.mark.slow
def test_map__a_sample_is_fitted_and_all_are_placed(study_path):
    folder = study_path(pictures=False, n_features=16)
    summary = pipeline.run_step("map", folder, {"sample": 30}, Progress.silent())
    assert summary["n_fitted"] == 30
    study = open_study(folder)
    first = study.vector("map_pca")
    assert len(first) == study.n_images and np.ptp(first, axis=0).min() > 0
    pipeline.run_step("map", folder, {"sample": 30, "redo": True}, Progress.silent())
    assert open_study(folder).vector("map_pca").tobytes() == first.tobytes()


@pytest.mark.parametrize(
    ("options", "match"), [({"method": "tsne"}, "known: pca, umap"), ({"sample": 1}, "at least 2")]
)
def test_map__refuses_what_it_cannot_use(options, match):
    with pytest.raises(SettingsError, match=match):
        settings_of("map", options)


@pytest.mark.slow
def test_map__without_umap_says_what_to_install(study_path, monkeypatch):
    folder = study_path(pictures=False)
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(SettingsError, match="install"):
        pipeline.run_step("map", folder, {"method": "umap", "redo": True}, Progress.silent())
    assert open_study(folder).has("map_pca")  # what was there is still there


class SpyUmap:
    """Remembers what it was fitted to; places a row at twice its first two coordinates."""

    made: list[SpyUmap] = []

    def __init__(self, **options):
        self.options, self.fitted, self.largest = options, None, 0
        SpyUmap.made.append(self)

    def fit_transform(self, rows):
        torch.set_num_threads(torch.get_num_threads() + 1)  # as numba does when it starts its own
        self.fitted = rows
        return 2 * rows[:, :2]

    def transform(self, rows):
        self.largest = max(self.largest, len(rows))
        return 2 * rows[:, :2]


def test_umap_map__fits_the_sample_and_places_the_rest_in_chunks(rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=SpyUmap))
    monkeypatch.setattr(map_step, "CHUNK_ROWS", 16)
    reduced = rng.normal(size=(90, 5)).astype(np.float32)
    fitted = np.arange(0, 90, 3)
    bar = Bar(Progress.silent(), "umap", 90, "images")
    before = torch.get_num_threads()
    placed = map_step.umap_map(reduced, fitted, MapConfig(method="umap", seed=4), bar)
    assert torch.get_num_threads() == before
    spy: Any = SpyUmap.made[-1]
    assert_allclose(placed, 2 * reduced[:, :2])
    assert_allclose(spy.fitted, reduced[fitted])
    assert spy.largest == 16 and bar.done == 90
    assert spy.options["random_state"] == 4 and spy.options["n_neighbors"] == 15


def test_umap_map__gives_the_exact_neighbours_of_many_images_that_are_all_fitted(rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=SpyUmap))
    monkeypatch.setattr(map_step, "EXACT_BY_UMAP", 60)
    reduced, config = rng.normal(size=(60, 5)).astype(np.float32), MapConfig(method="umap", neighbours=4)
    reduced[7] = reduced[3]  # two alike: each is its own nearest
    for fitted in (np.arange(60), np.arange(59)):
        map_step.umap_map(reduced, fitted, config, Bar(Progress.silent(), "umap", 60, "images"))
    all_fitted, one_left = SpyUmap.made[-2:]
    assert one_left.options["precomputed_knn"] == (None, None, None)  # the last is placed by a search of UMAP
    positions, distances = all_fitted.options["precomputed_knn"]
    for row, point in enumerate(reduced):
        by_hand = np.array([np.sqrt(((point - other) ** 2).sum()) for other in reduced])
        assert positions[row, 0] == row and len(set(positions[row])) == 4
        assert_allclose(distances[row], np.sort(by_hand)[:4], atol=1e-6)
        assert_allclose(distances[row], by_hand[positions[row]], atol=1e-6)


@pytest.mark.parametrize(
    ("n_images", "usual"), [(199, "pca"), (200, "umap"), (5_000, "umap"), (5_001, "pca")]
)
def test_map__is_umap_by_default_where_it_is_cheap_and_installed(n_images, usual, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=SpyUmap))
    assert usual_map(n_images) == usual
    monkeypatch.setitem(sys.modules, "umap", None)
    assert usual_map(n_images) == "pca"


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """UMAP is imported so that numba compiles none of its loops, which would take 15 s, and is forgotten."""
    pytest.importorskip("umap")
    numba = pytest.importorskip("numba")
    packages = ("umap", "pynndescent")
    loaded = {name: one for name, one in sys.modules.items() if name.partition(".")[0] in packages}
    for name in loaded:
        del sys.modules[name]
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]
    sys.modules.update(loaded)


@pytest.mark.slow
@pytest.mark.parametrize("n_fitted", [18, 20])
def test_umap__real_one_keeps_clusters_apart_and_repeats(n_fitted, interpreted, rng, monkeypatch):
    monkeypatch.setattr(map_step, "EXACT_BY_UMAP", 20)
    label = np.arange(20) % 2
    rows = (rng.normal(size=(20, 4)) + 5 * label[:, None]).astype(np.float32)
    fitted, config = np.arange(n_fitted), MapConfig(method="umap", neighbours=6, seed=2)
    maps = [
        map_step.umap_map(rows, fitted, config, Bar(Progress.silent(), "umap", 20, "images"))
        for _ in range(2)
    ]
    assert maps[0].tobytes() == maps[1].tobytes() and np.isfinite(maps[0]).all()
    distance = np.linalg.norm(maps[0][:, None] - maps[0][None], axis=2) + 1e9 * np.eye(20)
    assert np.mean(label[distance.argmin(1)] == label) > 0.9  # half by chance


@pytest.mark.slow
@pytest.mark.exhaustive("test_umap__real_one_keeps_clusters_apart_and_repeats: the same loops, interpreted")
def test_umap__compiled_one_keeps_clusters_apart_and_repeats(study_path):
    pytest.importorskip("umap")
    folder = study_path(n_train=150, n_val=50, pictures=False)
    maps, before = [], torch.get_num_threads()
    for _ in range(2):
        pipeline.run_step("map", folder, {"method": "umap", "redo": True}, Progress.silent())
        maps.append(open_study(folder).vector("map_umap"))
    assert torch.get_num_threads() == before
    assert maps[0].tobytes() == maps[1].tobytes() and np.isfinite(maps[0]).all()
    study = open_study(folder)
    label = study.images["label"].to_numpy()
    distance = np.linalg.norm(maps[0][:, None] - maps[0][None], axis=2) + 1e9 * np.eye(len(label))
    assert np.mean(label[distance.argmin(1)] == label) > 0.6  # a quarter by chance
