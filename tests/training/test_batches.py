"""Views of a step: the same whoever asks for which part of them, and Fourier's on the left alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from core.errors import SettingsError
from core.research.fourier_views import PhaseShift
from core.training.augment import Batches, ViewParameters, apply_views, draw_parameters, held
from core.training.augmentation_config import AugmentConfig, FourierConfig
from core.training.config import from_dict, to_dict
from core.training.files import setting_changes

CPU = torch.device("cpu")
ONLY_CROPS: dict[str, Any] = {"flip": 0.0, "jitter": 0.0, "grayscale": 0.0, "blur": 0.0}


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (40, 24, 24, 3), dtype=np.uint8)


def batches(config, images: np.ndarray, n_views: int = 2, n_local: int = 3) -> Batches:
    return Batches(config, images, (n_views, n_local), CPU, ([0.5] * 3, [0.25] * 3))


def by_view(views: torch.Tensor | None, n: int) -> torch.Tensor:
    assert views is not None
    return views.unflatten(0, (n, -1))  # (n, B, 3, S, S)


@pytest.mark.parametrize("fourier", [None, {}], ids=["plain", "fourier"])
def test_views__parts_make_the_whole(tiny_config, images, fourier):
    """Fourier transforms draw for each part anew, so there only the right view is compared."""
    made = batches(tiny_config(augment={"fourier": fourier} if fourier is not None else {}), images)
    large, local = made.views(3)
    parts = [made.views(3, slice(start, start + 4)) for start in range(0, 16, 4)]
    first = 0 if fourier is None else 1
    joined = torch.cat([by_view(part[0], 2) for part in parts], 1)
    assert_close(joined[first:], by_view(large, 2)[first:])
    assert_close(torch.cat([by_view(part[1], 3) for part in parts], 1), by_view(local, 3))


def test_views__follow_from_the_seed_and_the_step_alone(tiny_config, images):
    config = tiny_config(augment={"fourier": {}})
    made = batches(config, images)
    made.views(0)
    made.draw(5)
    again = batches(config, images).views(4)[0]
    assert torch.equal(made.views(4)[0], again)
    assert not torch.equal(made.views(5)[0], again)
    assert not torch.equal(batches(tiny_config(seed=1, augment={"fourier": {}}), images).views(4)[0], again)


def test_rows__an_epoch_shows_every_image_once(tiny_config, images):
    made = batches(tiny_config(batch_size=8), images)
    epochs = [np.concatenate([made.rows(5 * epoch + step) for step in range(5)]) for epoch in range(2)]
    assert all(sorted(rows) == list(range(40)) for rows in epochs) and list(epochs[0]) != list(epochs[1])


def test_views__fourier_changes_the_left_view_alone(tiny_config, images):
    every = dict.fromkeys(("amplitude", "phase", "mask", "mixture"), 1.0)
    with_it = batches(tiny_config(augment={"fourier": every}), images).views(0)
    without = batches(tiny_config(), images).views(0)
    changed = (by_view(with_it[0], 2) - by_view(without[0], 2)).abs().amax((2, 3, 4))
    assert changed[0].min() > 0.05 and changed[1].max() == 0
    assert torch.equal(by_view(with_it[1], 3), by_view(without[1], 3))
    none = dict.fromkeys(every, 0.0)
    unmoved = batches(tiny_config(augment={"fourier": none}), images).views(0)[0]
    assert_close(unmoved, without[0], atol=2e-5, rtol=0)


def test_apply_views__between_comes_after_the_crop_and_before_the_rest(images):
    """Step by step: crop, transform, and then a view of the transformed crop with all the rest."""
    crop_only = AugmentConfig(**ONLY_CROPS)
    chance = torch.Generator().manual_seed(0)
    drawn = draw_parameters(16, 24, 24, AugmentConfig(jitter=1.0, blur=1.0, grayscale=0.0), chance)
    pictures = torch.from_numpy(images[:16])
    nothing = draw_parameters(16, 24, 24, crop_only, chance)

    def shift(crops: torch.Tensor) -> torch.Tensor:
        return PhaseShift(p=1.0, generator=torch.Generator().manual_seed(5))(crops)

    shifted = apply_views(pictures, drawn, 16, shift)
    crops = apply_views(pictures, dataclasses.replace(nothing, box=drawn.box), 16)
    whole = torch.tensor([0.0, 0.0, 16.0, 16.0]).expand(16, 4)
    as_bytes = (shift(crops) * 255).permute(0, 2, 3, 1)
    expected = apply_views(as_bytes, dataclasses.replace(drawn, box=whole), 16)
    assert_close(shifted, expected, atol=1e-4, rtol=0)
    assert (shifted - apply_views(pictures, drawn, 16)).abs().max() > 0.05


def test_view_parameters__part(images):
    drawn = draw_parameters(10, 24, 24, AugmentConfig(), torch.Generator().manual_seed(0))
    part = drawn.part(slice(2, 5))
    assert isinstance(part, ViewParameters) and torch.equal(part.box, drawn.box[2:5]) and len(part.flip) == 3


def test_held__images_stay_where_they_are_without_a_gpu(images):
    assert held(images, CPU) is images


def test_config__fourier_is_off_unless_named(tiny_config):
    assert tiny_config().augment.fourier is None
    named = tiny_config(augment={"fourier": {"phase": 0.7}})
    assert named.augment.fourier == FourierConfig(phase=0.7)
    assert (FourierConfig().amplitude, FourierConfig().phase) == (0.2, 0.2)
    assert (FourierConfig().mask, FourierConfig().mixture) == (0.5, 0.2)
    assert from_dict(to_dict(named)) == named
    old = to_dict(tiny_config())
    assert setting_changes(old, to_dict(named)) == [
        f"augment.fourier.{name} None -> {value}"
        for name, value in to_dict(named)["augment"]["fourier"].items()
    ]
    other = to_dict(tiny_config(augment={"fourier": {"phase": 0.1}}))
    assert setting_changes(other, to_dict(named)) == ["augment.fourier.phase 0.1 -> 0.7"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"phaze": 0.5}, r"\[augment\]: fourier: unknown setting 'phaze'. Did you mean 'phase'"),
        ({"phase": 1.5}, "augment.fourier.phase = 1.5 must lie between 0 and 1"),
        ({"phase_angle": [0.7, 0.4]}, r"augment.fourier.phase_angle = \[0.7, 0.4\] must be"),
        ({"mask_fraction": [0.5, 1.5]}, "mask_fraction"),
        ({"mixture_kernels": 0}, "mixture_kernels"),
        (0.5, "fourier = 0.5 should be a table of settings"),
    ],
    ids=str,
)
def test_config__fourier_values_that_cannot_work(tiny_config, table, message):
    with pytest.raises(SettingsError, match=message) as caught:
        tiny_config(augment={"fourier": table})
    assert "\n" not in str(caught.value)
