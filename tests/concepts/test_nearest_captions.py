import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.concepts import nearest_captions as module
from core.concepts.nearest_captions import retrieve
from core.errors import CaptionError, ShapeError
from tests.concepts import reference_clip as reference

TOLERANCE = 2e-6  # float32 products of unit vectors; log-sum-exp at temperature 100: a hundred times that


def unit_rows(rng, n, d, dtype=np.float32):
    rows = rng.normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(dtype)


def cut(rows, sizes):
    ends = np.cumsum(sizes)
    assert ends[-1] == len(rows)
    return [rows[end - size : end] for size, end in zip(sizes, ends, strict=True)]


@pytest.mark.parametrize("temperature", [1.0, 100.0])
@pytest.mark.parametrize(("n", "m", "k"), [(1, 2, 1), (7, 5, 5), (13, 700, 5), (40, 1501, 3)])
def test_retrieve__matches_loop(rng, monkeypatch, temperature, n, m, k):
    monkeypatch.setattr(module, "BLOCK_ROWS", 512)
    monkeypatch.setattr(module, "BLOCK_CROPS", 16)
    crops, captions = unit_rows(rng, n, 24), unit_rows(rng, m, 24)
    indices, cosine, logsumexp = retrieve(crops, [captions], k=k, temperature=temperature)
    expected = reference.retrieve(crops, captions, k, temperature)
    assert_array_equal(indices, expected[0])
    assert_allclose(cosine, expected[1], atol=TOLERANCE)
    assert_allclose(logsumexp, expected[2], atol=TOLERANCE * max(temperature, 1))
    assert (indices.dtype, cosine.dtype, logsumexp.dtype) == (np.int64, np.float32, np.float64)


def test_retrieve__by_hand():
    crops = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    captions = np.array([[0.0, 1.0], [0.6, 0.8], [1.0, 0.0]], np.float32)
    indices, cosine, logsumexp = retrieve(crops, [captions], k=2, temperature=1.0)
    assert indices.tolist() == [[2, 1], [0, 1]]
    assert_allclose(cosine, [[1.0, 0.6], [1.0, 0.8]], atol=1e-6)
    assert_allclose(logsumexp, np.log([1 + np.e + np.exp(0.6), np.e + np.exp(0.8) + 1]), atol=1e-6)


@pytest.mark.parametrize(
    "sizes", [[2000], [1, 1999], [1000, 1000], [511, 513, 976], [0, 2000, 0], [7] * 285 + [5]]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_retrieve__is_the_same_to_the_bit_for_any_sharding(rng, monkeypatch, sizes, dtype):
    monkeypatch.setattr(module, "BLOCK_ROWS", 512)
    crops, captions = unit_rows(rng, 30, 16), unit_rows(rng, 2000, 16, dtype)
    whole = retrieve(crops, [captions])
    for result, expected in zip(retrieve(crops, cut(captions, sizes)), whole, strict=True):
        assert_array_equal(result, expected)


def test_retrieve__softmax_over_the_whole_bank_sums_to_one(rng):
    crops, captions = unit_rows(rng, 9, 8), unit_rows(rng, 300, 8)
    _, cosine, logsumexp = retrieve(crops, cut(captions, [100, 200]), k=300)
    assert_allclose(np.exp(100 * cosine.astype(float) - logsumexp[:, None]).sum(1), 1, rtol=1e-4)


@pytest.mark.parametrize("level", [-1.0, 0.0, 0.999])
def test_retrieve__neither_overflows_nor_vanishes(level):
    """All cosines equal: the normaliser is t * cos + log m, however large or small the exponent."""
    crops = np.array([[1.0, 0.0]], np.float32)
    captions = np.repeat(np.array([[level, np.sqrt(1 - level**2)]], np.float32), 10_000, axis=0)
    _, cosine, logsumexp = retrieve(crops, [captions], k=5, temperature=1000.0)
    assert_allclose(cosine, level, atol=1e-6)
    assert_allclose(logsumexp, 1000 * level + np.log(10_000), atol=2e-3)


def test_retrieve__does_not_depend_on_other_crops_or_on_a_later_better_block(rng):
    crops = unit_rows(rng, 3, 8)
    captions = np.concatenate([unit_rows(rng, 9000, 8), crops])
    indices, cosine, _ = retrieve(crops, [captions], k=1)
    assert indices[:, 0].tolist() == [9000, 9001, 9002]
    assert_allclose(cosine, 1, atol=1e-6)
    alone = retrieve(crops[1:2], [captions], k=1)
    assert alone[0][0] == indices[1] and alone[2][0] == pytest.approx(retrieve(crops, [captions])[2][1])


def test_retrieve__no_crops(rng):
    indices, cosine, logsumexp = retrieve(np.zeros((0, 8), np.float32), [unit_rows(rng, 20, 8)])
    assert indices.shape == (0, 5) and cosine.shape == (0, 5) and logsumexp.shape == (0,)


def test_retrieve__refuses_what_cannot_be_compared(rng):
    crops = unit_rows(rng, 2, 8)
    with pytest.raises(CaptionError, match="holds 3 captions, fewer than the requested 5"):
        retrieve(crops, [unit_rows(rng, 3, 8)])
    with pytest.raises(ShapeError, match="different CLIPs"):
        retrieve(crops, [unit_rows(rng, 30, 9)])
    broken = unit_rows(rng, 30, 8)
    broken[17, 3] = np.nan
    with pytest.raises(CaptionError, match="NaN"):
        retrieve(crops, [broken])
