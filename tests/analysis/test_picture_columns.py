"""Numbers of pictures: a slow twin of the definitions, pictures of known numbers, undefined ones."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import laplace
from scipy.stats import spearmanr

from core.analysis import picture_table
from core.analysis.picture_table import MOST_BITS, VALUES, measure_picture
from core.data.decode import decode
from tests.analysis.degraded_scenes import scenes


def values_of(picture: Image.Image) -> dict[str, float]:
    return dict(zip(VALUES, measure_picture(picture)[0].tolist(), strict=True))


def perceptual_hash(picture: Image.Image) -> int:
    return int(measure_picture(picture)[1][2])


def scaled_by_area(luma: np.ndarray, height: int, width: int) -> np.ndarray:
    """Means of the parts of pixels below each new pixel."""

    def weights(n: int, of: int) -> np.ndarray:
        edges = np.linspace(0, of, n + 1)
        low, high = edges[:-1, None], edges[1:, None]
        return np.clip(np.minimum(high, np.arange(of) + 1) - np.maximum(low, np.arange(of)), 0, 1) * n / of

    return weights(height, luma.shape[0]) @ luma @ weights(width, luma.shape[1]).T


def reference(picture: Image.Image) -> dict[str, float]:
    pixels = np.asarray(picture, np.float64) / 255
    luma = pixels @ [0.299, 0.587, 0.114]
    highest, lowest = pixels.max(2), pixels.min(2)
    lit = highest > 0.05
    shorter, small = min(luma.shape), luma
    if shorter > 256:
        small = scaled_by_area(luma, *(round(side * 256 / shorter) for side in luma.shape))
    return {
        "brightness": luma.mean(),
        "dark": np.percentile(luma, 99),
        "light": np.percentile(luma, 5),
        "contrast": luma.std(),
        "sharpness": math.log10(1e-6 + laplace(small, mode="mirror").var()),
        "saturation": ((highest - lowest)[lit] / highest[lit]).mean(),
        "width": picture.width,
        "height": picture.height,
        "transparent": 0,
        "turned": 0,
    }


@pytest.mark.parametrize("size", [(1, 4), (2, 3), (7, 5), (32, 32), (300, 261), (40, 90)], ids=str)
def test_values__match_the_definitions(rng, size, monkeypatch):
    monkeypatch.setattr(picture_table, "STRIP", 1000)  # pixels at a time: several strips
    pixels = (rng.random((size[1], size[0], 3)) ** 3 * 255).astype(np.uint8)
    picture = Image.fromarray(pixels)
    expected = reference(picture)
    assert values_of(picture) == pytest.approx(expected, rel=1e-4, abs=2e-5)


def test_hash__is_the_signs_of_the_lowest_waves_against_their_median(rng):
    smooth = Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).resize((96, 64))
    luma = np.asarray(smooth, np.float64) @ [0.299, 0.587, 0.114] / 255
    waves = np.asarray(dctn(scaled_by_area(luma, 32, 32), norm="ortho"))[:8, :8].ravel()[1:]
    bits = "".join("1" if wave > np.median(waves) else "0" for wave in waves)
    assert perceptual_hash(smooth) == int(bits + "0", 2)


def test_plain_pictures__have_known_numbers():
    red = values_of(Image.new("RGB", (60, 40), (255, 0, 0)))
    assert red["brightness"] == red["dark"] == red["light"] == pytest.approx(0.299)
    assert red["contrast"] == pytest.approx(0, abs=1e-6) and red["sharpness"] == pytest.approx(-6)
    assert (red["saturation"], red["width"], red["height"]) == (1, 60, 40)
    black = values_of(Image.new("RGB", (6, 4)))
    assert black["brightness"] == 0 and math.isnan(black["saturation"])
    assert perceptual_hash(Image.new("RGB", (60, 40), (9, 9, 9))) == perceptual_hash(Image.new("RGB", (5, 5)))


def test_degraded_pictures__move_the_number_of_their_kind(rng):
    picture = Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).resize((300, 300))
    plain = values_of(picture)
    assert (
        values_of(picture.point([value // 4 for value in range(256)] * 3))["brightness"]
        < plain["brightness"] / 3
    )
    assert values_of(picture.resize((40, 40)).resize((300, 300)))["sharpness"] < plain["sharpness"] - 0.5
    assert values_of(picture.convert("L").convert("RGB"))["saturation"] == 0


def test_no_picture__is_nan_and_no_print():
    values, prints = measure_picture(None)
    assert np.isnan(values).all() and not prints.any()


def test_checksum__tells_pixels_and_shapes_apart(rng):
    pixels = rng.integers(0, 255, (8, 6, 3), dtype=np.uint8)
    one = measure_picture(Image.fromarray(pixels))[1]
    assert_allclose(measure_picture(Image.fromarray(pixels.copy()))[1], one)
    changed = pixels.copy()
    changed[0, 0, 0] ^= 1
    others = (changed, pixels.reshape(6, 8, 3))
    assert all((measure_picture(Image.fromarray(other))[1][:2] != one[:2]).all() for other in others)


def test_files__transparency_and_turn(tmp_path, rng):
    pixels = rng.integers(0, 255, (10, 20, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    pixels[:5, :, 3] = 100
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    assert values_of(decode(tmp_path / "clear.png"))["transparent"] == 0.5
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels[..., :3]).save(tmp_path / "turned.jpg", exif=exif)
    turned = values_of(decode(tmp_path / "turned.jpg"))
    assert (turned["turned"], turned["width"], turned["height"], turned["transparent"]) == (1, 10, 20, 0)


@pytest.mark.slow
def test_scenes__stand_to_each_other_as_cleanvision_says():
    """Its luma weighs channels otherwise, so values differ and ranks do not; the rest is the same."""
    theirs = json.loads(Path(__file__).with_name("cleanvision.json").read_text(encoding="utf-8"))
    measured = {name: measure_picture(picture) for name, picture in scenes()}
    assert list(measured) == list(theirs["scores"])
    values = pd.DataFrame([row for row, _ in measured.values()], columns=list(VALUES), dtype=float)
    dark, light, aspect, _ = np.array(list(theirs["scores"].values())).T
    for name, score in (("dark", dark), ("light", 1 - light)):
        correlation: Any = spearmanr(values[name], score)
        assert correlation.statistic > 0.98
    ratio = (values["width"] / values["height"]).to_numpy()
    assert_allclose(np.minimum(ratio, 1 / ratio), aspect, atol=1e-6)
    prints = {name: row for name, (_, row) in measured.items()}
    pairs = list(combinations(sorted(prints), 2))
    exact = [list(pair) for pair in pairs if (prints[pair[0]][:2] == prints[pair[1]][:2]).all()]
    assert exact == theirs["exact_duplicates"]
    near = [
        list(pair) for pair in pairs if int(prints[pair[0]][2] ^ prints[pair[1]][2]).bit_count() <= MOST_BITS
    ]
    assert all(one[:2] == other[:2] for one, other in near)  # a scene and its copy
    assert len(near) == 20 and all(pair in near for pair in theirs["near_duplicates"])
