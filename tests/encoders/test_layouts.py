"""Every layout that is recognised: saved as its library saves it, loaded, and the same numbers come out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from core.encoders.registry import load_encoder
from core.encoders.transform import IMAGENET_MEAN, IMAGENET_STD
from core.errors import CheckpointError
from tests.encoders.planted import (
    LAYOUTS,
    head,
    lightning,
    linear,
    narrow_resnet,
    numbered,
    reference,
    some_pixels,
    under,
)

SIZE = 64
# channels_last and NCHW convolutions add up in different orders
TOLERANCE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


def save(tmp_path, file, name="last.ckpt"):
    torch.save(file, tmp_path / name)
    return str(tmp_path / name)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_representation_of_the_original(name, tmp_path):
    make, layout = LAYOUTS[name]
    model, other = narrow_resnet(0), narrow_resnet(1)
    filename = "resnet50-1x.pth" if layout == "SimCLR (tonylins)" else "last.ckpt"
    path = save(tmp_path, make(dict(model.state_dict()), dict(other.state_dict())), filename)

    encoder = load_encoder(path, input_size=SIZE)

    assert encoder.report.layout == layout
    assert encoder.report.matched == len(model.state_dict())
    assert encoder.report.missing == encoder.report.unexpected == ()
    pixels, transform = some_pixels(SIZE), encoder.transform
    expected = reference(model, pixels, transform.mean, transform.std)
    assert_close(encoder.represent(pixels), expected, **TOLERANCE)
    assert encoder.pools_globally and encoder.nonnegative and encoder.target_layer == "layer4.0"


TWO_COPIES = (
    "moco", "moco v3", "solo-learn", "solo-learn old", "dino full", "lightly momentum", "yaox12 byol model",
    "lucidrains byol", "openselfsup byol", "pycontrast", "timm ema", "lightning ema",
)  # fmt: skip


@pytest.mark.parametrize("name", TWO_COPIES)
def test_the_other_copy_is_loaded_when_asked_for(name, tmp_path):
    make, _ = LAYOUTS[name]
    other = narrow_resnet(1)
    path = save(tmp_path, make(dict(narrow_resnet(0).state_dict()), dict(other.state_dict())))
    branch = "student" if name in ("dino full", "timm ema", "lightning ema") else "teacher"

    encoder = load_encoder(f"{path}?branch={branch}", input_size=SIZE)

    pixels = some_pixels(SIZE)
    assert_close(
        encoder.represent(pixels), reference(other, pixels, IMAGENET_MEAN, IMAGENET_STD), **TOLERANCE
    )


def test_the_report_counts_what_was_left_out(tmp_path):
    state = dict(narrow_resnet(0).state_dict())
    encoder = load_encoder(save(tmp_path, LAYOUTS["moco"][0](state, state)), input_size=SIZE)
    report = encoder.report
    assert report.prefix == "module.encoder_q."
    n_copy = len(state) + 4
    assert report.dropped == {
        "module.encoder_k": n_copy,
        "module.queue": 1,
        "module.queue_ptr": 1,
        "module.encoder_q.fc": 4,
    }


def test_pixel_statistics_follow_the_layout(tmp_path):
    state = dict(narrow_resnet(0).state_dict())
    swav = load_encoder(save(tmp_path, LAYOUTS["swav"][0](state, state)), input_size=SIZE)
    assert swav.transform.mean == (0.485, 0.456, 0.406) and swav.transform.std == (0.228, 0.224, 0.225)
    simclr = load_encoder(
        save(tmp_path, {"state_dict": state | linear("fc.")}, "resnet50-1x.pth"), input_size=SIZE
    )
    assert simclr.transform.mean == (0.0, 0.0, 0.0) and simclr.transform.std == (1.0, 1.0, 1.0)
    assert any("without mean and std" in line for line in simclr.assumptions)
    plain = load_encoder(save(tmp_path, state), input_size=SIZE)
    assert plain.transform.std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("make", "padding"),
    [
        (lambda s: lightning(under("backbone.", s) | linear("classifier.", 10)), 2),
        (lambda s: {"state_dict": under("module.encoder_q.", s | head("fc."))}, 1),
        (lambda s: s, 1),
    ],
    ids=["solo-learn", "moco", "plain"],
)
def test_a_3x3_first_convolution_means_a_cifar_stem(make, padding, tmp_path):
    model = narrow_resnet(0, cifar_padding=padding)
    encoder = load_encoder(save(tmp_path, make(dict(model.state_dict()))))
    transform = encoder.transform
    assert (transform.input_size, transform.resize) == (32, None)
    assert transform.mean == (0.4914, 0.4822, 0.4465) and transform.std == (0.2470, 0.2435, 0.2616)
    pixels = some_pixels(32)
    assert_close(
        encoder.represent(pixels), reference(model, pixels, transform.mean, transform.std), **TOLERANCE
    )
    assert any(f"CIFAR stem (stride 1, padding {padding}" in line for line in encoder.assumptions)


def test_a_cifar_stem_can_be_told_another_size_and_statistics(tmp_path):
    path = save(tmp_path, dict(narrow_resnet(0, cifar_padding=1).state_dict()))
    transform = load_encoder(path, input_size=64, mean=(0.5,) * 3, std=(0.25,) * 3).transform
    assert (transform.input_size, transform.resize, transform.mean, transform.std) == (
        64,
        None,
        (0.5,) * 3,
        (0.25,) * 3,
    )


def test_lightlys_own_resnet_has_no_relu_in_its_sequential_stem(tmp_path):
    model = narrow_resnet(0, cifar_padding=1)
    # The children of lightly's ResNetGenerator are conv1, bn1, layer1 …
    model.set_submodule("relu", torch.nn.Identity())
    state = {key.replace("downsample", "shortcut"): value for key, value in model.state_dict().items()}
    encoder = load_encoder(save(tmp_path, lightning(under("backbone.", numbered(state, layer1=2)))))
    pixels, transform = some_pixels(32), encoder.transform
    assert_close(
        encoder.represent(pixels), reference(model, pixels, transform.mean, transform.std), **TOLERANCE
    )
    assert any("no ReLU" in line for line in encoder.assumptions)


def test_several_encoders_of_equal_rank_need_a_choice(tmp_path):
    model, other = narrow_resnet(0), narrow_resnet(1)
    path = save(
        tmp_path, under("left.", dict(model.state_dict())) | under("right.", dict(other.state_dict()))
    )
    with pytest.raises(CheckpointError, match=r"\?prefix="):
        load_encoder(path)
    pixels = some_pixels(SIZE)
    right = load_encoder(f"{path}?prefix=right.", input_size=SIZE)
    assert_close(right.represent(pixels), reference(other, pixels, IMAGENET_MEAN, IMAGENET_STD), **TOLERANCE)
    with pytest.raises(CheckpointError, match="'middle'"):
        load_encoder(f"{path}?prefix=middle")


def test_no_known_layout_says_what_the_keys_are(tmp_path):
    with pytest.raises(CheckpointError, match="encoder"):
        load_encoder(save(tmp_path, {"alpha": torch.ones(3), "beta": torch.ones(2)}))
    with pytest.raises(CheckpointError, match="weights"):
        load_encoder(save(tmp_path, {"epoch": 3}))
