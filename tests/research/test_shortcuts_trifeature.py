"""Trifeature: its images hold what they claim, and its spec opens them as any other image source."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.data.images import open_images, reopen_images
from core.errors import ImageSourceError
from core.research.shortcuts_trifeature import TEXTURES, Trifeature, levels_of, pattern, render_trifeature


def test_factors__every_combination_once_in_a_thousand_and_independent():
    factors = Trifeature(n_train=1000, n_val=1000).factors()
    assert (factors.iloc[:1000].value_counts() == 1).all() and len(factors.iloc[:1000].value_counts()) == 1000
    assert (factors.iloc[1000:].value_counts() == 1).all()
    assert not factors.iloc[:1000].reset_index(drop=True).equals(factors.iloc[1000:].reset_index(drop=True))
    for one, other in (("shape", "colour"), ("shape", "texture"), ("colour", "texture")):
        assert (pd.crosstab(factors[one], factors[other]) == 20).all().all()


def test_render__is_seeded_and_places_anew():
    assert render_trifeature(0, 5, 48) == render_trifeature(0, 5, 48)
    twins = [i for i in range(3000) if levels_of(0, i) == levels_of(0, 5)]
    assert len(twins) == 3 and render_trifeature(0, twins[0], 48) != render_trifeature(0, twins[1], 48)


def test_render__colour_is_one_hue_and_the_same_light_for_each_texture():
    source = Trifeature(1000, 0)
    light, hues = {}, {}
    for row, (_, colour, texture) in enumerate(source.factors().to_numpy()[:400]):
        pixels = np.asarray(source.read(row), float)
        inside = np.ptp(pixels, axis=2) > 40  # the background is gray
        peaks = pixels[inside]
        hues.setdefault(colour, []).append((peaks / peaks.max(1, keepdims=True)).mean(0))
        light.setdefault(texture, []).append(peaks.max(1).mean())
    for rendered in hues.values():
        assert np.ptp(np.array(rendered), axis=0).max() < 0.1
    assert len({tuple((np.mean(rendered, axis=0) * 12).round()) for rendered in hues.values()}) == 10
    means = [np.mean(light[texture]) for texture in range(10)]
    assert max(means) - min(means) < 25  # of 255: DARK and BRIGHT lie 140 apart


@pytest.mark.parametrize("name", TEXTURES[1:])
def test_pattern__covers_half_and_differs_from_the_others(name, rng):
    shares = [pattern(name, 48, rng).mean() for _ in range(20)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)
    drawn = {other: pattern(other, 48, np.random.default_rng(0)) for other in TEXTURES}
    assert not any(np.array_equal(drawn[name], drawn[other]) for other in TEXTURES if other != name)


def test_spec__opens_and_reopens_the_same_images():
    source = open_images("trifeature?train=20&val=10&size=32&seed=3&label=texture")
    assert (source.table["split"] == "val").sum() == 10 and source.read(4) == render_trifeature(3, 4, 32)
    assert source.read_id("3/4") == source.read(4)
    levels = source.factors()  # pyright: ignore[reportAttributeAccessIssue]
    assert source.table["label"].tolist() == [TEXTURES[level] for level in levels["texture"]]
    assert source.extras is not None and list(source.extras) == ["shape", "colour", "texture"]
    again = reopen_images(source.describe())
    assert again.fingerprint() == source.fingerprint()
    assert again.fingerprint() != open_images("trifeature?train=20&val=10&size=32&seed=4").fingerprint()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("trifeature?trian=20", "no option 'trian'. Did you mean 'train'"),
        ("trifeature?label=size", "label must be one of shape, colour, texture, not 'size'"),
        ("trifeature?train=0", "train must be a whole number from 1 to"),
        ("trifeature?train", "Write options as trifeature\\?train=4000"),
    ],
)
def test_spec__refuses(spec, message):
    with pytest.raises(ImageSourceError, match=message):
        open_images(spec)


def test_reopen__refuses_images_of_another_version():
    described = Trifeature(10, 0).describe() | {"pixels_version": 0}
    with pytest.raises(ImageSourceError, match="trifeature"):
        reopen_images(described)
