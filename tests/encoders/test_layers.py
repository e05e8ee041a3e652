"""Poolings of a map: against loops, by hand, on zero maps, in an encoder's numbers, hash and errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from core.config import POOLINGS
from core.encoders.encoder import Encoder
from core.encoders.layers import pool_map, times_mean_gradient
from core.encoders.registry import load_encoder
from core.encoders.transform import Transform
from core.errors import EncoderError, SettingsError
from tests.encoders.planted import narrow_resnet, some_pixels

SIZE = 128  # maps of 4 x 4 positions
VIT = "timm:vit_tiny_patch16_224?img_size=64&depth=2"


def pooled_by_loops(channel: np.ndarray, pool: str) -> float:
    """One channel (h, w), value by value (docs/method.md 1.6)."""
    values = [float(value) for row in channel for value in row]
    if pool == "gap":
        return sum(values) / len(values)
    if pool == "max":
        largest = values[0]
        for value in values:
            largest = value if value > largest else largest
        return largest
    if pool == "top4":
        strongest = sorted(values, reverse=True)[:4]
        return sum(strongest) / len(strongest)
    total = 0.0
    for value in values:
        total += value**3 if value > 0 else 0.0
    return (total / len(values)) ** (1 / 3)


def encoder_of(pool: str | None = None, **options) -> Encoder:
    transform = Transform(resize=None, input_size=SIZE)
    return Encoder(narrow_resnet(), transform, arch="narrow", pool=pool, **options)


@pytest.mark.parametrize("pool", POOLINGS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 1, 2), (3, 5, 4, 7)], ids=str)
def test_pool_map__matches_loops(rng, shape, pool):
    maps = rng.normal(0.5, size=shape)
    pooled = pool_map(torch.from_numpy(maps), pool).numpy()
    twin = [[pooled_by_loops(channel, pool) for channel in image] for image in maps]
    assert_allclose(pooled, twin, rtol=1e-6 if pool == "gem3" else 1e-12)  # gem3 is computed in float32


def test_pool_map__by_hand():
    map_ = torch.tensor([0.0, 1, 2, 3, 6, 0]).view(1, 1, 2, 3)
    pooled = [float(pool_map(map_, pool)) for pool in POOLINGS]
    assert pooled == pytest.approx([2.0, 6.0, 3.0, 42 ** (1 / 3)])


def test_pool_map__position_order_and_scale(rng):
    maps = torch.from_numpy(rng.gamma(0.5, size=(2, 3, 5, 4)))
    shuffled = maps.flatten(2)[:, :, torch.from_numpy(rng.permutation(20))].view_as(maps)
    for pool in POOLINGS:
        torch.testing.assert_close(pool_map(shuffled, pool), pool_map(maps, pool))
        torch.testing.assert_close(pool_map(3 * maps, pool), 3 * pool_map(maps, pool))


@pytest.mark.parametrize("pool", POOLINGS)
def test_zero_maps__give_zero_and_finite_gradients(pool):
    maps = torch.zeros(1, 2, 3, 3)
    maps[0, 1] = 1.0
    maps.requires_grad_()
    raw = pool_map(maps, pool)
    (gradient,) = torch.autograd.grad(raw.sum(), maps)
    assert raw.tolist() == [[0.0, pytest.approx(1.0)]] and torch.isfinite(gradient).all()
    assert times_mean_gradient(maps.detach(), pool)[0, 0].abs().max() == 0


def test_gem3__holds_what_half_precision_cannot():
    assert float(pool_map(torch.full((1, 1, 2, 2), 300.0, dtype=torch.float16), "gem3")) == pytest.approx(300)


@pytest.mark.parametrize("pool", POOLINGS)
def test_mean_gradient__is_that_of_automatic_differentiation(rng, pool):
    """Also with negative values, where gem3 counts 0."""
    maps = torch.from_numpy(rng.normal(0.5, size=(2, 3, 4, 5))).requires_grad_()
    (gradient,) = torch.autograd.grad(pool_map(maps, pool).sum(), maps)
    expected = gradient.mean((2, 3), keepdim=True) * maps
    assert_allclose(times_mean_gradient(maps, pool).detach() / 20, expected.detach(), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("layer", [None, "layer2"])
@pytest.mark.parametrize("pool", POOLINGS)
def test_encoder__pools_the_map_that_it_returns(pool, layer):
    encoder, pixels = encoder_of(pool, layer=layer), some_pixels(SIZE)
    raw, maps = encoder.represent_with_map(pixels)
    twin = [[pooled_by_loops(channel, pool) for channel in image] for image in maps.numpy()]
    assert_allclose(raw, twin, rtol=1e-4, atol=1e-5)
    assert_allclose(encoder.represent(pixels), raw, rtol=1e-5, atol=1e-6)
    assert (encoder.pool, encoder.pools_globally, encoder.early) == (pool, True, layer is not None)
    assert encoder.nonnegative and encoder.n_features == maps.shape[1]


def test_gap__is_the_plain_encoder_bit_for_bit():
    plain, named, pixels = encoder_of(), encoder_of("gap"), some_pixels(SIZE)
    assert plain.model is plain.base and named.model is named.base and plain.pool == "gap"
    assert torch.equal(plain.represent(pixels), named.represent(pixels))
    assert plain.fingerprint == named.fingerprint and plain.assumptions == named.assumptions


@pytest.mark.slow
def test_fingerprint__differs_for_every_pooling():
    assert len({encoder_of(pool).fingerprint for pool in POOLINGS}) == len(POOLINGS)
    assert encoder_of("max").fingerprint == encoder_of("max").fingerprint
    assert any("maximum pooling" in line for line in encoder_of("max").assumptions)


def test_fingerprint__of_older_studies_still_holds():
    """As it was computed before there were poolings."""
    import hashlib
    import json

    encoder = encoder_of()
    digest = hashlib.sha256()
    settings = {"arch": "narrow", "layer": "layer4.0", "transform": encoder.transform.to_dict()}
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for key, tensor in sorted(narrow_resnet().state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    assert encoder.fingerprint == digest.hexdigest()


def test_vector_only_encoders__are_refused_in_one_line():
    message = r"not the average of a map .*--pool max .*leave it out.*--layer.*--tokens"
    with pytest.raises(EncoderError, match=message):
        load_encoder(VIT, pool="max")
    with pytest.raises(EncoderError, match="--pool gap"):
        load_encoder(VIT, pool="gap")
    assert load_encoder(VIT).pool is None
    inner = load_encoder(VIT, layer="blocks.0", pool="max")
    assert inner.early and inner.pool == "max"
    with pytest.raises(SettingsError, match="'maxx'.*gap.*top4.*gem3.*mean.*'max'"):
        encoder_of("maxx")


def test_signed_maps__are_not_taken_for_non_negative():
    """Their generalised mean is never negative, but sums of their heatmaps cannot be made of stored maps."""
    inner = load_encoder(VIT, layer="blocks.0", pool="gem3")
    raw, maps = inner.represent_with_map(some_pixels(64))
    assert (raw >= 0).all() and (maps < 0).any() and not inner.nonnegative


def max_pooled_encoder() -> Encoder:
    return encoder_of("max")


def test_a_factorys_own_pooling_is_kept(monkeypatch):
    monkeypatch.setenv("PEREGRINE_TRUST_STUDIES", "1")
    spec = "python:tests.encoders.test_layers:max_pooled_encoder"
    assert load_encoder(spec).pool == "max" and load_encoder(spec, pool="top4").pool == "top4"
