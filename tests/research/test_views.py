"""The recipes of views, and a set of augmentations for each view."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from core.errors import SettingsError
from core.research.fourier_views import (
    RandomFrequencyMask,
    fourier_chain,
    render_view,
    spectra_as_images,
    to_frequency_image,
)
from core.training.augment import Batches, apply_views, augment, centre_view, draw_parameters, solarized
from core.training.augmentation_config import AugmentConfig, FourierConfig
from core.training.config import from_dict, to_dict

CPU = torch.device("cpu")
ALWAYS = FourierConfig(amplitude=1.0, phase=1.0, mask=1.0, mixture=1.0)
NEVER: dict[str, Any] = {"amplitude": 0.0, "phase": 0.0, "mask": 0.0, "mixture": 0.0}


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (40, 24, 24, 3), dtype=np.uint8)


def two_views(config, images: np.ndarray, step: int = 0) -> torch.Tensor:
    """(2, B, 3, S, S) normalised views of a step."""
    made = Batches(config, images, (2, 0), CPU, ([0.5] * 3, [0.25] * 3))
    return made.views(step)[0].unflatten(0, (2, -1))


def seeded(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rendered(images: np.ndarray, **settings) -> torch.Tensor:
    how = AugmentConfig(**settings)
    pictures = torch.from_numpy(images[:6])
    return render_view(pictures, draw_parameters(6, 24, 24, how, seeded(1)), 16, how, seeded)


def test_x__both_views_are_the_same_bits(tiny_config, images):
    both = two_views(tiny_config(augment={"view": "x", "right": {"view": "x"}}), images)
    assert torch.equal(both[0], both[1])
    assert len({picture.numpy().tobytes() for picture in both[0]}) == 16  # and each is its own image


def test_fda__without_any_transform_is_x(tiny_config, images):
    plain = two_views(tiny_config(augment={"view": "x", "right": {"view": "x"}}), images)
    none = {"view": "fda", "fourier": NEVER, "right": {"view": "x"}}
    assert torch.equal(two_views(tiny_config(augment=none), images), plain)
    some = {"view": "fda", "fourier": {"mask": 1.0}, "right": {"view": "x"}}
    changed = two_views(tiny_config(augment=some), images)
    assert torch.equal(changed[1], plain[1]) and (changed[0] - plain[0]).abs().amax((1, 2, 3)).min() > 0.05


def test_x__at_its_own_size_is_the_stored_image(images):
    pictures = torch.from_numpy(images[:3])
    assert_close(centre_view(pictures, 24) * 255, pictures.permute(0, 3, 1, 2).float(), atol=1e-4, rtol=0)


def test_when__after_is_the_chain_on_the_finished_view(images):
    drawn = draw_parameters(6, 24, 24, AugmentConfig(), seeded(1))
    finished = apply_views(torch.from_numpy(images[:6]), drawn, 16)
    after = FourierConfig(**{**vars(ALWAYS), "when": "after"})
    expected = fourier_chain(after, seeded())(finished)
    assert torch.equal(rendered(images, fourier=after), expected)
    assert (rendered(images, fourier=ALWAYS) - expected).abs().max() > 0.05


def test_recipes__frequency_images_of_what_they_name(images):
    plain = centre_view(torch.from_numpy(images[:6]), 16)
    assert torch.equal(rendered(images, view="f"), to_frequency_image(plain))
    expected = to_frequency_image(rendered(images), scale="linear")
    assert torch.equal(rendered(images, view="f_of_image", frequency_scale="linear"), expected)
    mask = FourierConfig(**{**NEVER, "mask": 1.0})
    spectra = torch.fft.rfft2(plain)
    generator = seeded()
    torch.rand(6, generator=generator)  # the amplitudes' coin
    torch.rand(0, 3, 16, 9, generator=generator)
    torch.rand(6, generator=generator)  # the phases'
    torch.rand(6, generator=generator)  # the masks'
    masked = spectra * RandomFrequencyMask(generator=generator).response(6, 3, 16, 16, CPU)
    frequency_view = rendered(images, view="fda_f", fourier=mask)
    assert torch.equal(frequency_view, spectra_as_images(masked, 16))
    assert (frequency_view - rendered(images, view="f")).abs().max() > 0.1


def test_right__has_its_own_set_and_leaves_the_left_alone(tiny_config, images):
    both = two_views(tiny_config(augment={"blur": 1.0}), images)
    separate = two_views(tiny_config(augment={"blur": 1.0, "right": {"blur": 0.0, "solarize": 1.0}}), images)
    assert torch.equal(separate[0], both[0]) and (separate[1] - both[1]).abs().amax((1, 2, 3)).min() > 0.01


def test_right__fourier_draws_for_itself(tiny_config, images):
    always = {name: 1.0 for name in NEVER}
    settings = {"view": "fda", "fourier": always, "right": {"view": "fda", "fourier": {}}}
    config = tiny_config(augment=settings)
    left, right = two_views(config, images)
    assert config.augment.right.fourier == config.augment.fourier
    assert (left - right).abs().amax((1, 2, 3)).min() > 0.05


def test_right__is_completed_from_the_left_and_kept(tiny_config):
    config = tiny_config(augment={"blur": 0.9, "fourier": {"phase": 0.3}, "right": {"solarize": 0.2}})
    right = config.augment.right
    assert (right.blur, right.solarize, right.fourier, right.recipe) == (0.9, 0.2, None, "image")
    assert config.augment.recipe == "both" and config.augment.solarize == 0.0
    assert from_dict(to_dict(config)) == config


def test_solarized__by_hand(rng):
    view = torch.tensor([0.0, 0.49, 0.5, 0.8, 1.0]).expand(2, 3, 1, 5)
    views = solarized(view, torch.tensor([0.5, torch.inf]))
    assert_close(views[0, 0, 0], torch.tensor([0.0, 0.49, 0.5, 0.2, 0.0]))
    assert torch.equal(views[1], view[1])
    pictures = torch.from_numpy(rng.integers(0, 256, (2, 24, 24, 3), dtype=np.uint8))
    expected = augment(pictures, 16, AugmentConfig(), seeded())
    expected = torch.where(expected >= 0.5, 1 - expected, expected)
    assert torch.equal(augment(pictures, 16, AugmentConfig(solarize=1.0), seeded()), expected)


def test_solarize__does_not_move_the_other_draws():
    generators = seeded(), seeded()
    with_it, without = (
        draw_parameters(500, 24, 24, AugmentConfig(solarize=share), generator)
        for share, generator in zip((0.2, 0.0), generators, strict=True)
    )
    assert with_it.solarize is not None
    assert torch.equal(with_it.box, without.box) and torch.equal(with_it.colour, without.colour)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    assert 0.14 < with_it.solarize.isfinite().float().mean() < 0.26
    following = torch.rand(500, generator=generators[0])  # the next view's boxes
    same = ((following < 0.2) == with_it.solarize.isfinite()).float().mean()
    assert same < 0.8  # 0.68 if independent, 1 if the same draws were used twice


def test_batches__a_right_view_needs_a_second_view(tiny_config, images):
    config = tiny_config(augment={"right": {"fourier": {}}})
    with pytest.raises(SettingsError, match=r"\[augment.right\]"):
        Batches(config, images, (1, 0), CPU, ([0.5] * 3, [0.25] * 3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augment": {"solarize": 1.5}}, "augment.solarize = 1.5 must lie between 0 and 1"),
        ({"augment": {"right": {"blur": -0.1}}}, "augment.right.blur = -0.1 must lie between 0 and 1"),
        ({"augment": {"right": {"right": {}}}}, "one table too many"),
        ({"augment": {"view": "boths"}}, "augment.view = 'boths' is unknown. Did you mean 'both'"),
        ({"augment": {"view": "x", "fourier": {}}}, r"'x' has no Fourier.*leave out \[augment.fourier\]"),
        ({"augment": {"fourier": {"when": "later"}}}, "fourier.when = 'later' must be before or after"),
        ({"augment": {"frequency_scale": "lin"}}, "frequency_scale = 'lin' must be log or linear"),
        ({"augment": {"view": "f"}}, "only augment.right.view can be one"),
        ({"augment": {"right": {"view": "f"}}}, "set objective.dual = true"),
        ({"objective": {"dual": True}}, "set augment.right.view to one of f, fda_f, f_of_image"),
        ({"objective": {"cross_only": True}}, "set objective.dual = true as well"),
    ],
    ids=str,
)
def test_config__one_clear_line(tiny_config, settings, message):
    with pytest.raises(SettingsError, match=message) as caught:
        tiny_config(**settings)
    assert "\n" not in str(caught.value)
