"""The transform gives the pixels that torchvision's Resize + CenterCrop give."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import timm
from PIL import Image
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from core.encoders.factories import timm_transform
from core.encoders.transform import Transform
from core.errors import SettingsError

SIZES = [(300, 200), (200, 301), (37, 511), (96, 96), (1, 1), (32, 32), (33, 47), (224, 256), (500, 17)]


def picture(rng, width, height):
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (72, 64), (32, 32), (33, 32), (50, 64), (51, 64)])
def test_pixels_equal_torchvision(rng, size, interpolation, resize, crop):
    image = picture(rng, *size)
    theirs = Compose([Resize(resize, InterpolationMode(interpolation)), CenterCrop(crop)])(image)
    ours = Transform(resize=resize, input_size=crop, interpolation=interpolation).pixels(image)
    assert ours.dtype == np.uint8
    np.testing.assert_array_equal(ours, np.asarray(theirs))


def test_no_resize_leaves_an_image_of_the_input_size_alone(rng):
    image = picture(rng, 32, 32)
    np.testing.assert_array_equal(Transform(resize=None, input_size=32).pixels(image), np.asarray(image))
    other = picture(rng, 50, 40)
    theirs = CenterCrop(32)(Resize(32)(other))
    np.testing.assert_array_equal(Transform(resize=None, input_size=32).pixels(other), np.asarray(theirs))


def test_squash_resizes_both_sides(rng):
    image = picture(rng, 80, 40)
    theirs = image.resize((32, 32), Image.Resampling.BICUBIC)
    ours = Transform(input_size=32, interpolation="bicubic", crop="squash")
    np.testing.assert_array_equal(ours.pixels(image), np.asarray(theirs))
    assert ours.box(80, 40) == (0, 0, 80, 40)


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (20_000, 30)], ids=str)
def test_a_strip_does_not_blow_up(size):
    pixels = Transform().pixels(Image.new("RGB", size, (10, 20, 30)))
    assert pixels.shape == (224, 224, 3) and (pixels == (10, 20, 30)).all()


def test_box_of_hand_computed_cases():
    # 512x256 -> 512x256 (shorter side 256) -> crop 224 at (144, 16)
    assert Transform().box(512, 256) == (144, 16, 368, 240)
    # 200x100 -> 64x32 -> crop 32 at (16, 0), 3.125 original pixels each
    assert Transform(resize=32, input_size=32).box(200, 100) == (50, 0, 150, 100)
    # the frame is wider than the resized image: it reaches half a side beyond on both sides
    assert Transform(resize=32, input_size=64).box(100, 100) == (-50, -50, 150, 150)


@pytest.mark.parametrize("size", [(300, 200), (96, 128), (20_000, 30)], ids=str)
def test_box_is_where_the_pixels_came_from(size):
    """A horizontal and a vertical ramp: what the encoder sees tells the original coordinate."""
    width, height = size
    transform = Transform(resize=72, input_size=64)
    left, top, right, bottom = transform.box(width, height)
    for axis, (low, high, length) in enumerate([(left, right, width), (top, bottom, height)]):
        ramp = np.linspace(0, 255, length)
        plane = np.tile(ramp, (height, 1)) if axis == 0 else np.tile(ramp[:, None], (1, width))
        seen = transform.pixels(Image.fromarray(np.stack([plane] * 3, 2).astype(np.uint8)))[:, :, 0]
        middle = seen.astype(float).mean(axis)[[16, 47]]  # away from the borders, where the filter is cut off
        coordinate = low + (np.array([16, 47]) + 0.5) / 64 * (high - low)
        expected = 255 * (coordinate - 0.5) / (length - 1)
        np.testing.assert_allclose(middle, expected, atol=2)  # grey levels; uint8 ramps are floored


def test_to_dict_and_back():
    transform = Transform(resize=None, input_size=32, mean=(0.1, 0.2, 0.3), interpolation="bicubic")
    assert Transform.from_dict(transform.to_dict()) == transform
    assert Transform.from_dict({"input_size": 96}, base=transform).mean == (0.1, 0.2, 0.3)
    assert transform.to_dict()["mean"] == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"std": (0.2, 0.0, 0.2)}, "std must be three positive numbers"),
        ({"mean": (0.2, 0.3)}, "mean must be three numbers"),
        ({"mean": "abc"}, "mean must be three numbers"),
        ({"mean": (float("nan"),) * 3}, "mean must be three numbers"),
        ({"input_size": 0}, "input size must be a positive whole number"),
        ({"resize": 2.5}, "resize must be a positive whole number"),
        ({"interpolation": "bilinaer"}, "Did you mean 'bilinear'"),
        ({"crop": "corner"}, "unknown crop 'corner'; known: center, squash"),
    ],
)
def test_values_that_cannot_be_used(values, message):
    with pytest.raises(SettingsError, match=message):
        Transform(**values)


def test_an_unknown_setting_is_named():
    with pytest.raises(SettingsError, match="'sise'"):
        Transform.from_dict({"sise": 3})


def test_workers_do_not_import_torch():
    code = "import sys, core.encoders.transform, core.encoders.spec; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


@pytest.mark.parametrize("size", [(320, 256), (97, 131), (96, 96)])
def test_a_squashed_view_with_a_margin__is_that_of_timm(rng, size):
    """timm squashes to input size / crop_pct, and cuts out the centre."""
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    model = timm.create_model(
        "resnet10t", num_classes=2, pretrained_cfg_overlay={"crop_mode": "squash", "crop_pct": 0.95}
    )
    config = resolve_model_data_config(model)
    view: Any = create_transform(**{**config, "mean": (0.0,) * 3, "std": (1.0,) * 3}, is_training=False)
    theirs = view(image)
    transform, notes = timm_transform(model)
    assert transform.crop == "squash center" and not notes
    ours = transform.pixels(image)
    assert np.abs(ours - 255 * np.asarray(theirs).transpose(1, 2, 0)).max() < 1e-3
    left, top, right, bottom = transform.box(*image.size)
    assert transform.resize is not None
    assert (right - left) / image.width == pytest.approx(transform.sides[1] / transform.resize)
    assert (bottom - top) / image.height == pytest.approx(transform.sides[0] / transform.resize)
