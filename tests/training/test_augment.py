from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from core.training.augment import (
    LUMA,
    ViewParameters,
    apply_views,
    augment,
    draw_parameters,
    resampling_matrix,
)
from core.training.augmentation_config import AugmentConfig

OFF = AugmentConfig(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=0, jitter=0, grayscale=0, blur=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(rng: np.random.Generator, n: int, height: int = 20, width: int = 28) -> torch.Tensor:
    return torch.from_numpy(rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8))


def plain(boxes: list[tuple[float, float, float, float]], **changes: torch.Tensor) -> ViewParameters:
    """Only a crop, unless a field is given."""
    n = len(boxes)
    fields = {
        "box": torch.tensor(boxes),
        "flip": torch.zeros(n, dtype=torch.bool),
        "sigma": torch.zeros(n),
        "colour": torch.eye(3).expand(n, 3, 3),
        "contrast": torch.ones(n),
    }
    return ViewParameters(**{**fields, **changes})


@pytest.mark.parametrize("size", [8, 20, 40])
def test_apply_views__crops_match_pillow_one_by_one(rng, size):
    boxes = [(0.0, 0.0, 20.0, 28.0), (3.0, 5.0, 8.0, 8.0), (1.25, 6.5, 17.5, 9.75), (16.0, 24.0, 4.0, 4.0)]
    images = random_images(rng, len(boxes))
    views = apply_views(images, plain(boxes), size)
    for image, (top, left, height, width), view in zip(images, boxes, views, strict=True):
        box = (left, top, left + width, top + height)
        pillow = Image.fromarray(image.numpy()).resize((size, size), Image.Resampling.BILINEAR, box=box)
        expected = torch.from_numpy(np.array(pillow)).permute(2, 0, 1) / 255
        assert_close(view, expected, atol=1.6 / 255, rtol=0)  # Pillow rounds to 8 bits twice


def test_augment__does_nothing_when_everything_is_off(rng):
    images = random_images(rng, 3, 16, 16)
    assert_close(augment(images, 16, OFF, generator()), images.permute(0, 3, 1, 2) / 255, atol=1e-6, rtol=0)


def test_apply_views__flip_mirrors_columns(rng):
    images = random_images(rng, 1, 16, 16)
    flipped = apply_views(images, plain([(0.0, 0.0, 16.0, 16.0)], flip=torch.tensor([True])), 16)
    assert_close(flipped, images.flip(2).permute(0, 3, 1, 2) / 255, atol=1e-6, rtol=0)


def test_apply_views__blur_is_a_gaussian():
    image = torch.zeros(1, 21, 21, 3, dtype=torch.uint8)
    image[0, 10, 10] = 255
    view = apply_views(image, plain([(0.0, 0.0, 21.0, 21.0)], sigma=torch.tensor([1.5])), 21)[0, 0]
    line = torch.exp(-0.5 * (torch.arange(-10.0, 11.0) / 1.5) ** 2)
    assert_close(view, torch.outer(line, line) / line.sum() ** 2, atol=1e-6, rtol=0)


def test_resampling_matrix__rows_sum_to_one_and_stay_inside():
    weights = resampling_matrix(
        torch.tensor([0.0, 2.5]), torch.tensor([16.0, 5.0]), 16, 8, torch.tensor([0.0, 0.7])
    )
    assert_close(weights.sum(2), torch.ones(2, 8))
    assert weights.min() >= 0
    assert weights[1, :, 9:].max() == 0  # the crop ends at 7.5, the triangle one pixel later


def test_colours__match_torchvision_step_by_step(rng):
    from torchvision.transforms import functional as tv

    image = torch.from_numpy(rng.integers(90, 160, (1, 12, 12, 3), dtype=np.uint8))  # far from clamping
    config = AugmentConfig(**{**vars(OFF), "jitter": 1.0, "hue": 0.0})
    parameters = draw_parameters(1, 12, 12, config, generator(3))
    contrast = float(parameters.contrast)
    colour = parameters.colour[0]
    # saturation s and brightness b from the matrix: its rows sum to b, and b * s is what a diagonal adds
    brightness = float(colour.sum(1)[0])
    saturation = float(colour[0, 0] - colour[1, 0]) / brightness
    planes = image.permute(0, 3, 1, 2) / 255
    expected = tv.adjust_contrast(tv.adjust_brightness(planes, brightness), contrast)
    expected = tv.adjust_saturation(expected, saturation)
    assert 0.6 <= brightness <= 1.4 and 0.6 <= saturation <= 1.4 and 0.6 <= contrast <= 1.4
    assert_close(apply_views(image, parameters, 12), expected, atol=2e-3, rtol=0)


def test_hue__keeps_gray_and_luma():
    parameters = draw_parameters(
        5,
        8,
        8,
        AugmentConfig(
            **{**vars(OFF), "jitter": 1.0, "hue": 0.5, "brightness": 0, "contrast": 0, "saturation": 0}
        ),
        generator(),
    )
    luma = torch.tensor(LUMA)
    assert_close(parameters.colour.sum(2), torch.ones(5, 3), atol=1e-3, rtol=0)
    assert_close((luma @ parameters.colour), luma.expand(5, 3), atol=1e-3, rtol=0)
    assert parameters.colour.std(0).max() > 0.1


def test_augment__grayscale_makes_channels_equal(rng):
    view = augment(random_images(rng, 4), 10, AugmentConfig(grayscale=1.0), generator())
    assert_close(view[:, 0], view[:, 1], atol=1e-5, rtol=0)
    assert_close(view[:, 0], view[:, 2], atol=1e-5, rtol=0)


def test_augment__stays_in_range_and_is_seeded(rng):
    images = random_images(rng, 16)
    config = AugmentConfig(brightness=0.9, contrast=0.9, saturation=0.9, hue=0.4)
    view = augment(images, 12, config, generator(1))
    assert view.shape == (16, 3, 12, 12) and view.dtype == torch.float32
    assert view.min() >= 0 and view.max() <= 1 and torch.isfinite(view).all()
    assert torch.equal(view, augment(images, 12, config, generator(1)))
    assert not torch.equal(view, augment(images, 12, config, generator(2)))


def test_augment__every_image_gets_its_own_parameters(rng):
    same = random_images(rng, 1).expand(32, -1, -1, -1)
    views = augment(same, 12, AugmentConfig(), generator()).flatten(1)
    distances = torch.cdist(views, views) + torch.eye(32) * 1e9
    assert distances.min() > 0.1


def test_draw_parameters__boxes_have_the_asked_area_and_lie_inside():
    config = AugmentConfig(crop_scale=(0.2, 0.5), crop_ratio=(0.75, 4 / 3))
    top, left, height, width = draw_parameters(500, 30, 40, config, generator()).box.unbind(1)
    assert top.min() >= 0 and left.min() >= 0
    assert (top + height).max() <= 30 + 1e-4 and (left + width).max() <= 40 + 1e-4
    share = height * width / 1200
    assert share.max() <= 0.5 + 1e-5 and share.min() >= 0.2 - 1e-5
    assert (width / height).min() >= 0.74 and (width / height).max() <= 1.34
