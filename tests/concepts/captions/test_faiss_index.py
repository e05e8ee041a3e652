import sys

import numpy as np
import pytest

from core.concepts.captions.bank import Shard
from core.concepts.captions.faiss_index import ApproximateRetrieve, build_index, recall, search
from core.concepts.captions.nearest import retrieve
from core.errors import CaptionError, ShapeError


def planted(rng, folder, n=3000, width=16, n_topics=30):
    """Captions about topics, in shards of 1,000, and crops near some of them."""
    topics = rng.normal(size=(n_topics, width))
    rows = topics[rng.integers(n_topics, size=n)] + 0.3 * rng.normal(size=(n, width))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    shards = []
    for number in range(0, n, 1000):
        np.save(folder / f"{number}.npy", rows[number : number + 1000])
        shards.append(Shard(folder / f"{number}.npy", 1000))
    crops = rows[:50].astype(np.float32) + 0.1 * rng.normal(size=(50, width)).astype(np.float32)
    return shards, crops / np.linalg.norm(crops, axis=1, keepdims=True)


def test_index__finds_most_neighbours_and_all_of_them_with_every_probe(rng, tmp_path):
    pytest.importorskip("faiss")
    shards, crops = planted(rng, tmp_path)
    path = build_index(shards, tmp_path / "bank.faiss", n_lists=20)
    exact = retrieve(crops, shards)
    indices, cosine, logsumexp = search(crops, path, probes=20)
    assert recall(indices, exact[0]) > 0.99  # half-precision vectors: ties may fall the other way
    np.testing.assert_allclose(cosine, exact[1], atol=2e-3)
    assert np.isnan(logsumexp).all()
    few, many = (recall(search(crops, path, probes=probes)[0], exact[0]) for probes in (1, 4))
    assert 0.3 < few <= many <= 1


def test_index__refuses_other_widths_and_missing_files(rng, tmp_path):
    pytest.importorskip("faiss")
    shards, crops = planted(rng, tmp_path, n=1000)
    path = build_index(shards, tmp_path / "bank.faiss")
    with pytest.raises(ShapeError, match="vectors of 16 numbers, but crops have 8"):
        search(crops[:, :8], path)
    with pytest.raises(CaptionError, match="no index"):
        search(crops, tmp_path / "other.faiss")


def test_index__without_faiss_says_how_to_get_it(rng, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(CaptionError, match="pip install faiss-cpu"):
        build_index(planted(rng, tmp_path)[0], tmp_path / "bank.faiss")


def test_recall__by_hand():
    assert recall(np.array([[1, 2], [3, -1]]), np.array([[2, 1], [4, 3]])) == 0.75
    assert np.isnan(recall(np.zeros((0, 2)), np.zeros((0, 2))))


def test_approximate_retrieve__builds_once_and_keeps_its_recall(rng, tmp_path):
    pytest.importorskip("faiss")
    shards, crops = planted(rng, tmp_path)
    asked = []

    def exact(some):
        asked.append(len(some))
        return retrieve(some, shards)

    path = tmp_path / "cache" / "bank.faiss"
    look_up = ApproximateRetrieve(path, shards, exact, k=5)
    stamp = path.stat().st_mtime_ns
    indices, cosine, logsumexp = look_up(crops)
    assert look_up.recall == pytest.approx(recall(indices, retrieve(crops, shards)[0]))
    assert look_up.n_sampled == 50 and asked == [50]
    look_up(crops[:3])
    assert asked == [50]  # the recall is taken once
    assert np.isnan(logsumexp).all() and (np.diff(cosine, axis=1) <= 0).all()
    ApproximateRetrieve(path, shards, exact, k=5)
    assert path.stat().st_mtime_ns == stamp


def test_approximate_retrieve__asks_exactly_where_too_few_are_found(rng, tmp_path, monkeypatch):
    shards, crops = planted(rng, tmp_path, n=1000)
    exact = retrieve(crops, shards)
    holes = exact[0].copy()
    holes[7, 3:] = -1
    monkeypatch.setattr(
        "core.concepts.captions.faiss_index.search",
        lambda *_, **__: (holes.copy(), exact[1].copy(), exact[2]),
    )
    (tmp_path / "there.faiss").touch()
    look_up = ApproximateRetrieve(tmp_path / "there.faiss", shards, lambda some: retrieve(some, shards), k=5)
    np.testing.assert_array_equal(look_up(crops)[0], exact[0])
    assert look_up.recall == pytest.approx(1 - 2 / 250)
