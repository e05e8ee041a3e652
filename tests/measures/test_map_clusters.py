"""Clusters of a map on planted points: where they are, and what they are called."""

from __future__ import annotations

import numpy as np
import pytest

from core.measures import map_clusters
from core.measures.map_clusters import NONE, clusters_of, named_clusters
from tests.measures.worlds import make_world

PLACES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("clusters") / "world", n=240)


def islands(rng, sizes):
    homes = np.repeat(np.arange(len(sizes)), sizes)
    return PLACES[homes] + 0.3 * rng.normal(size=(len(homes), 2)), homes


def test_clusters__are_the_islands_the_largest_first(rng):
    points, homes = islands(rng, (40, 100, 60))
    found, peaks = clusters_of(points)
    assert len(peaks) == 3
    for number, island in enumerate((1, 2, 0)):
        assert np.linalg.norm(peaks[number] - PLACES[island]) < 1
        assert (found[homes == island] == number).mean() > 0.8
        assert set(homes[found == number]) == {island}


def test_clusters__members_lead_uphill_to_the_peak_by_a_loop(rng):
    points, _ = islands(rng, (30, 50, 40))
    found, peaks = clusters_of(points)
    low, span = points.min(0), np.ptp(points, axis=0).max()
    cells = np.minimum((points - low) / span * map_clusters.CELLS, map_clusters.CELLS - 1).astype(int)
    counts = np.zeros((map_clusters.CELLS,) * 2)
    for x, y in cells:
        counts[x, y] += 1
    density = map_clusters.gaussian_filter(counts, map_clusters.SMOOTHED, mode="constant")
    for (x, y), cluster in zip(cells, found, strict=True):
        start = density[x, y]
        while True:
            around = [
                (density[i, j], i, j)
                for i in range(max(x - 1, 0), min(x + 2, map_clusters.CELLS))
                for j in range(max(y - 1, 0), min(y + 2, map_clusters.CELLS))
            ]
            best = max(around)
            if best[0] <= density[x, y]:
                break
            _, x, y = best
        end = low + (np.array([x, y]) + 0.5) * span / map_clusters.CELLS
        if cluster == NONE:
            assert start < map_clusters.NEAR_PEAK * density[x, y]
        else:
            np.testing.assert_allclose(peaks[cluster], end)
            assert start >= map_clusters.NEAR_PEAK * density[x, y]


@pytest.mark.parametrize(
    "points",
    [np.empty((0, 2)), np.zeros((50, 2)), np.arange(18.0).reshape(9, 2)],
    ids=["none", "one place", "too few"],
)
def test_clusters__there_are_none(points):
    found, peaks = clusters_of(points)
    assert (found == NONE).all() and peaks.shape == (0, 2)


def test_clusters__do_not_depend_on_order_scale_or_place(rng):
    points, _ = islands(rng, (40, 100, 60))
    found, _ = clusters_of(points)
    order = rng.permutation(len(points))
    assert (clusters_of(points[order])[0] == found[order]).all()
    assert (clusters_of(8 * points + 4)[0] == found).all()


def test_names__a_class_that_is_half_of_the_cluster_else_the_words_of_its_feature(world, rng):
    labels = np.array([name or "" for name in world.labels])
    rest = np.where(labels == "ant", 0, 2)  # of ants, of the other classes
    homes = np.where(world.firing[:, 3], 1, rest)  # of the feature, whatever the class
    places = PLACES[homes] + 0.3 * rng.normal(size=(len(homes), 2))
    every = np.ones(len(homes), bool)
    found = {one.words: one for one in named_clusters(world.study, places, every)}
    assert found["ant"].share == 1 and found["ant"].outside < 0.2
    words = map_clusters.feature_words(world.study)
    by_feature = [one for one in found.values() if one.feature is not None]
    assert [one.feature for one in by_feature] == [3]
    for one in by_feature:
        island = np.linalg.norm(PLACES - [one.x, one.y], axis=1).argmin()
        assert one.feature is not None and one.words == ", ".join(words[one.feature])
        assert abs(one.share - world.firing[homes == island, one.feature].mean()) < 0.15
        assert abs(one.outside - world.firing[homes != island, one.feature].mean()) < 0.15
        assert one.share - one.outside > map_clusters.CLEARER
    assert found["ant"].reason.startswith(f"100 % of the {found['ant'].n:,} ")


def test_names__a_feature_of_one_patient_marks_no_cluster(world, rng, monkeypatch):
    homes = np.where(world.firing[:, 3], 1, 0)
    places = PLACES[homes] + 0.3 * rng.normal(size=(len(homes), 2))
    every = np.ones(len(homes), bool)
    assert 3 in {one.feature for one in named_clusters(world.study, places, every)}
    monkeypatch.setitem(vars(world.study), "groups", homes)  # each island is one patient
    assert 3 not in {one.feature for one in named_clusters(world.study, places, every)}


def test_names__clusters_of_one_name_are_told_apart_by_a_further_feature(world, rng):
    ants, red = np.array(world.labels) == "ant", world.firing[:, 3]
    homes = np.where(ants, np.where(red, 0, 1), 2)  # two islands of ants; feature 3 fires on one of them
    places = PLACES[homes] + 0.3 * rng.normal(size=(len(homes), 2))
    found = named_clusters(world.study, places, np.ones(len(homes), bool))
    named = [one for one in found if one.words == "ant"]
    words = ", ".join(map_clusters.feature_words(world.study)[3])
    assert [one.name for one in named if one.x < 5 and one.y < 5] == [f"ant · {words}"]
    assert "feature 3 " in " ".join(one.reason for one in named)
    assert len({one.name for one in found}) == len(found)


def test_names__classes_at_home_where_no_feature_marks_the_cluster(world, rng, monkeypatch):
    monkeypatch.setattr(map_clusters, "feature_words", lambda study: {})
    labels = np.array([name or "" for name in world.labels])
    homes = np.where(rng.random(len(labels)) < 0.75, 0, 1)  # three fourths of every class, none half of them
    places = PLACES[homes] + 0.3 * rng.normal(size=(len(homes), 2))
    (here,) = named_clusters(world.study, places, np.ones(len(homes), bool))
    inside = np.isin(np.arange(len(labels)), np.flatnonzero(homes == 0))
    counts = {name: int((labels[inside] == name).sum()) for name in ("ant", "bee", "cat")}
    assert here.words == ", ".join(sorted(counts, key=lambda name: -counts[name])[:2])
    assert here.n_classes == 3 and here.feature is None and here.share > 0.95 and here.outside > 0.9
    assert here.reason.startswith("3 ") and here.words in here.reason


def test_names__said_once_where_nothing_tells_two_clusters_apart(world, rng):
    ants = np.array(world.labels) == "ant"
    homes = np.where(ants, np.where(rng.random(len(ants)) < 0.65, 0, 1), 2)
    places = PLACES[homes] + 0.3 * rng.normal(size=(len(homes), 2))
    found = named_clusters(world.study, places, np.ones(len(homes), bool))
    named = [one for one in found if one.words == "ant"]
    sizes = [((homes == island) & ants).sum() for island in (0, 1)]
    assert min(sizes) >= map_clusters.FEWEST and sizes[0] > sizes[1]  # both are clusters
    assert [one.name for one in named] == ["ant"] and abs(named[0].x) < 2


def test_names__of_the_images_of_the_mask_alone(world, rng):
    places = PLACES[np.arange(240) % 3] + 0.3 * rng.normal(size=(240, 2))
    mask = np.arange(240) % 3 == 1
    found = named_clusters(world.study, places, mask)
    assert all(np.linalg.norm([one.x - 10, one.y]) < 2 for one in found)
    assert named_clusters(world.study, places, np.zeros(240, bool)) == []
