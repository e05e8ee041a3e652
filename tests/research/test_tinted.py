"""Tinted images: the equation, the seeded colours, the column, specs that cannot be opened."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from core.data.images import open_images, reopen_images
from core.errors import ImageSourceError
from core.research.domains_images import COLOURS, tinted, tinted_spec


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("plain"), np.random.default_rng(0)
    for number in range(24):
        path = root / ("train" if number < 16 else "val") / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)).save(path)
    return root


def loop(pixels, colour, s):
    out = np.zeros(pixels.shape)
    for row in range(pixels.shape[0]):
        for column in range(pixels.shape[1]):
            red, green, blue = map(float, pixels[row, column])
            luma = 0.299 * red + 0.587 * green + 0.114 * blue
            for channel, x in enumerate((red, green, blue)):
                out[row, column, channel] = (1 - s) * x + s * luma * colour[channel]
    return out


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_tinted__matches_the_loop(rng, strength):
    pixels = rng.integers(0, 256, (4, 3, 3), dtype=np.uint8)
    found = tinted(pixels, COLOURS["red"], strength)
    assert np.abs(found - loop(pixels, (1, 0.25, 0.25), strength)).max() <= 0.5 + 1e-9  # rounding
    assert strength or np.array_equal(found, pixels)


def test_source__tints_each_image_and_says_how(folder):
    plain, source = open_images(folder), open_images(tinted_spec(str(folder), colours="red,green"))
    assert source.table.equals(plain.table)
    assert source.extras is not None
    tints = source.extras["tint"].tolist()
    assert set(tints) == {"red", "green"}
    for row in (0, 7, 20):
        expected = tinted(np.asarray(plain.read(row)), COLOURS[tints[row]], 1.0)
        assert_array_equal(np.asarray(source.read(row)), expected)
        pixels = np.asarray(source.read(row)).astype(int)
        ratio = pixels.sum((0, 1)) / pixels.sum()  # at strength 1 nothing is left of the hue
        assert np.abs(ratio - np.array(COLOURS[tints[row]]) / 1.5).max() < 0.02


def test_source__reopens_pickles_and_has_a_fingerprint(folder):
    specs = [
        tinted_spec(str(folder), **one) for one in ({}, {"seed": 1}, {"colours": "red"}, {"strength": 0.5})
    ]
    sources = [open_images(spec) for spec in specs]
    assert len({source.fingerprint() for source in sources}) == 4
    for again in (reopen_images(sources[0].describe()), pickle.loads(pickle.dumps(sources[0]))):
        assert again.fingerprint() == sources[0].fingerprint()
        assert again.read(3).tobytes() == sources[0].read(3).tobytes()
    assert sources[2].extras is not None and set(sources[2].extras["tint"]) == {"red"}


def test_spec__may_hold_another_spec():
    source = open_images(tinted_spec("glyphworld?train=6&val=2&size=32"))
    assert source.extras is not None and len(source.table) == 8
    assert "style" in source.extras and "tint" in source.extras


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("colours=red", "names no images"),
        ("images=x&colour=red", "no option 'colour'. Did you mean 'colours'"),
        ("images=.&colours=blue", "different names of red, green, not 'blue'"),
        ("images=.&colours=red,red", "different names"),
        ("images=.&strength=2", "from 0 to 1, not '2'"),
        ("images=.&strength=much", "from 0 to 1, not 'much'"),
        ("images=.&seed=-1", "whole number from 0, not '-1'"),
    ],
)
def test_spec__that_cannot_be_opened_is_one_line(folder, query, message):
    with pytest.raises(ImageSourceError, match=message) as caught:
        open_images(f"tinted?{query}".replace("images=.", f"images={folder}"))
    assert "\n" not in str(caught.value)
