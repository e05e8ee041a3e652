"""Composites: each pixel against the rule, digits independent of the class, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.images import open_images, reopen_images
from core.errors import ImageSourceError
from core.research.shortcuts_composite import bundled_digits, paint_digits

SPEC = "composite?images=(glyphworld?train=60&val=30)&threshold=100&seed=2"


@pytest.mark.parametrize("side", [96, 100])
def test_paint_digits__matches_a_loop(rng, side):
    photo = rng.integers(0, 256, (side, side + 3, 3)).astype(np.uint8)
    digit = rng.integers(0, 256, (28, 20)).astype(np.uint8)
    expected = photo.copy()
    height, width = side // 3, (side + 3) // 3
    for row in range(3):
        for column in range(3):
            for y in range(28):
                for x in range(20):
                    if digit[y, x] >= 100:
                        pixel = row * height + (height - 28) // 2 + y, column * width + (width - 20) // 2 + x
                        expected[pixel] = digit[y, x]
    painted = np.asarray(paint_digits(Image.fromarray(photo), digit, threshold=100))
    assert np.array_equal(painted, expected) and not np.array_equal(painted, photo)


def test_bundled_digits__are_all_ten_at_full_intensity():
    pictures, levels = bundled_digits()
    assert pictures.shape == (1797, 28, 28) and pictures.max() == 255 and set(levels) == set(range(10))
    assert 0.05 < (pictures >= 100).mean() < 0.6


def test_composite__keeps_labels_and_splits_and_draws_digits_apart():
    source = open_images(SPEC)
    inner = source.inner  # pyright: ignore[reportAttributeAccessIssue]
    assert source.table["label"].tolist() == inner.table["label"].tolist()
    assert source.extras is not None and {"digit", "hardness"} <= set(source.extras)
    levels, pictures = source.digit_levels, source._picture_rows  # pyright: ignore[reportAttributeAccessIssue]
    assert source.extras["digit"].tolist() == [str(level) for level in levels]
    is_val = (source.table["split"] == "val").to_numpy()
    assert not set(pictures[is_val]) & set(pictures[~is_val])
    painted, plain = (np.asarray(one.read(3)) for one in (source, inner))
    changed = (painted != plain).any(2)
    assert 0.02 < changed.mean() < 0.6 and (np.ptp(painted[changed], axis=1) == 0).all()
    assert source.read_id(source.table["image_id"].iat[3]) == source.read(3)


def test_composite__digits_are_independent_of_the_class():
    from scipy.stats import chi2_contingency

    source = open_images("composite?images=(trifeature?train=2000&val=10&size=96)")
    train = source.table["label"].to_numpy()[:2000]
    digits = source.digit_levels[:2000]  # pyright: ignore[reportAttributeAccessIssue]
    counts = np.array([[np.sum((train == a) & (digits == b)) for b in range(10)] for a in np.unique(train)])
    chi_squared: Any = chi2_contingency(counts)
    assert chi_squared.pvalue > 0.01 and counts.min() > 5


def test_composite__reopens_and_its_seed_matters():
    source = open_images(SPEC)
    again = reopen_images(source.describe())
    assert again.fingerprint() == source.fingerprint() and again.read(5) == source.read(5)
    other = open_images(SPEC.replace("seed=2", "seed=3"))
    assert other.fingerprint() != source.fingerprint()
    assert any(other.read(row) != source.read(row) for row in range(5))


def test_composite__digits_of_another_source(tmp_path):
    for split, shade in (("train", 200), ("val", 220)):
        for name in ("0", "1"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            Image.fromarray(np.full((8, 8), shade + int(name), np.uint8)).save(folder / "a.png")
    source = open_images(f"composite?images=(glyphworld?train=20&val=10&size=48)&digits={tmp_path}")
    assert {source.read(row).getpixel((8, 8)) for row in range(20)} == {(200,) * 3, (201,) * 3}
    assert {source.read(row).getpixel((8, 8)) for row in range(20, 30)} == {(220,) * 3, (221,) * 3}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("composite", "composite needs the images to paint on"),
        ("composite?image=glyphworld", "no option 'image'. Did you mean 'images'"),
        ("composite?images=(glyphworld?train=10", "a parenthesis is left open"),
        (
            "composite?images=glyphworld&threshold=300",
            "threshold must be a whole number from 0 to 255, not '300'",
        ),
        ("composite?images=(glyphworld?trian=10)", "glyphworld has no option 'trian'"),
    ],
)
def test_composite__refuses(spec, message):
    with pytest.raises(ImageSourceError, match=message):
        open_images(spec)


def test_composite__digits_larger_than_a_cell():
    source = open_images("composite?images=(glyphworld?train=10&val=5&size=64)")
    with pytest.raises(ImageSourceError, match="28.*28.*21.*21.*size=84"):
        source.read(0)
    assert open_images("composite?images=(glyphworld?train=10&val=5&size=64)&size=96").read(0).size == (
        96,
        96,
    )
