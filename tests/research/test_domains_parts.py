"""Retrieval of twins, shared features and the purity of features, against loops."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.errors import ShapeError
from core.research.domains_parts import (
    domain_purity,
    feature_jaccard,
    retrieved_first,
    standing_out,
    twin_retrieval,
)
from tests.research.planted import K, planted


def cosine(a, b):
    norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / norms if norms else 0.0


def test_retrieved_first__matches_the_loop(rng):
    gallery = rng.normal(size=(30, 3))
    queries = gallery + rng.normal(scale=0.6, size=(30, 3))
    queries[4] = 0.0
    expected = []
    for i, query in enumerate(queries.tolist()):
        similar = [cosine(query, row) for row in gallery.tolist()]
        expected.append(all(similar[i] > other for j, other in enumerate(similar) if j != i))
    found = retrieved_first(queries, gallery)
    assert_array_equal(found, expected)
    assert 3 < found.sum() < 27 and not found[4]  # a zero row is a tie with all


def test_twin_retrieval__of_each_ordered_pair(rng):
    scenes = rng.normal(size=(40, 8))
    scenes[:, :2] = 0.0
    raw = {"plain": scenes.copy(), "mono": scenes.copy(), "noise": rng.normal(size=(40, 8))}
    raw["mono"][:, :2] = 9.0  # all that the prefix holds is the domain
    table = twin_retrieval(raw, 2).set_index(["part", "query", "gallery"])["r1"]
    assert len(table) == 3 * 6
    assert table[("rest", "plain", "mono")] == 1.0 and table[("prefix", "plain", "mono")] == 0.0
    assert table[("rest", "plain", "noise")] < 0.2
    assert twin_retrieval(raw, None)["chance"].eq(1 / 40).all()
    with pytest.raises(ShapeError, match="queries"):
        retrieved_first(np.zeros((2, 3)), np.zeros((3, 3)))


def test_standing_out__by_hand():
    mean = np.array([0.0] * 9 + [1.0])  # mean 0.1, std 0.3: only the last lies 3 std away
    assert_array_equal(standing_out(mean), [False] * 9 + [True])
    assert not standing_out(np.ones(5)).any()


def loop_jaccard(images, columns, first, second):
    values = []
    for code in range(len(images.class_names)):
        sets = []
        for domain in (first, second):
            rows = [
                images.raw[i, columns].astype(float)
                for i in range(len(images.raw))
                if images.classes[i] == code and images.domains[i] == domain and images.is_val[i]
            ]
            rows = [row / math.sqrt(sum(row**2)) for row in rows]
            mean = [sum(row[j] for row in rows) / len(rows) for j in range(len(rows[0]))]
            centre = sum(mean) / len(mean)
            std = math.sqrt(sum((m - centre) ** 2 for m in mean) / len(mean))
            sets.append({j for j, m in enumerate(mean) if abs(m - centre) > 2 * std})
        if sets[0] | sets[1]:
            values.append(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))
    return sum(values) / len(values) if values else float("nan")


def test_feature_jaccard__matches_the_loop():
    images = planted(leak=1.0)
    table = feature_jaccard(images, K).set_index(["part", "first", "second"])["jaccard"]
    for part, columns in (("all", slice(0, 16)), ("rest", slice(K, 16))):
        for first, second in ((0, 1), (0, 2), (1, 2)):
            names = (part, images.domain_names[first], images.domain_names[second])
            assert table[names] == pytest.approx(loop_jaccard(images, columns, first, second), nan_ok=True)
    same = feature_jaccard(dataclasses.replace(images, domains=np.arange(360) % 2), None)
    assert same["jaccard"].iloc[0] > table.loc["all"].max()  # a split that means nothing shares more


def test_feature_jaccard__two_empty_sets_are_undefined_and_counted():
    images = planted(90)
    alone = dataclasses.replace(images, domains=np.zeros(90, int), domain_names=("one",))
    assert feature_jaccard(alone, K).empty and "jaccard" in feature_jaccard(alone, K)
    flat = dataclasses.replace(planted(), raw=np.ones((360, 16), np.float32))
    table = feature_jaccard(flat, None)
    assert (
        table["jaccard"].isna().all()
        and (table["n_undefined"] == 4).all()
        and (table["n_classes"] == 0).all()
    )


def test_domain_purity__counts_the_firing_images():
    pointers, rows = np.array([0, 3, 3, 5]), np.array([0, 1, 2, 3, 4])
    table = domain_purity(pointers, rows, np.array([0, 0, 1, 1, -1]), ("day", "night"), 1)
    assert table["domain_purity"].tolist()[::2] == [2 / 3, 1.0] and np.isnan(table["domain_purity"][1])
    assert table["top_domain"].tolist()[::2] == ["day", "night"] and table["top_domain"].isna()[1]
    assert table["part"].tolist() == ["prefix", "rest", "rest"] and table["n_firing"].tolist() == [3, 0, 1]
    assert set(domain_purity(pointers, rows, np.zeros(5, int), ("day",), None)["part"]) == {"all"}
