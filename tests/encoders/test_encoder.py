"""What an Encoder promises: numbers, layers, maps, hooks, fingerprints, devices."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import nn
from torch.testing import assert_close

from core.common.device import resolve_device
from core.encoders.encoder import Encoder
from core.encoders.layers import capture
from core.encoders.transform import Transform
from core.errors import EncoderError, SettingsError, ShapeError
from tests.encoders.planted import narrow_resnet, reference, some_pixels

TRANSFORM = Transform(resize=72, input_size=64)
TOLERANCE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


def encoder_of(model, **options):
    return Encoder(model, options.pop("transform", TRANSFORM), arch="test", **options)


def n_hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_representations_are_those_of_torchvisions_transforms(rng):
    model = narrow_resnet()
    pixels = some_pixels(64)
    normalise = torchvision.transforms.Compose(
        [torchvision.transforms.ToTensor(), torchvision.transforms.Normalize(TRANSFORM.mean, TRANSFORM.std)]
    )
    encoder = encoder_of(model)
    x = torch.stack([torch.as_tensor(normalise(image.numpy())) for image in pixels])
    assert_close(encoder.normalise(pixels), x, rtol=1e-5, atol=1e-6)
    assert_close(encoder.represent(pixels), model(x), **TOLERANCE)
    assert encoder.normalise(pixels).is_contiguous(memory_format=torch.channels_last)


def test_what_is_found_about_a_resnet():
    encoder = encoder_of(narrow_resnet())
    assert (encoder.family, encoder.n_features, encoder.target_layer) == ("cnn", 64, "layer4.0")
    assert encoder.pools_globally and encoder.nonnegative and not encoder.early
    assert encoder.target_module is encoder.base.get_submodule("layer4.0")
    assert not any(p.requires_grad for p in encoder.model.parameters()) and not encoder.model.training


def test_the_map_averages_to_the_representation():
    encoder = encoder_of(narrow_resnet())
    raw, maps = encoder.represent_with_map(some_pixels(64))
    assert maps.shape == (3, 64, 2, 2)
    assert_close(maps.mean((2, 3)), raw)
    assert_close(raw, encoder.represent(some_pixels(64)))


def test_max_pooling_is_seen():
    model = narrow_resnet()
    model.set_submodule("avgpool", nn.AdaptiveMaxPool2d(1))
    encoder = encoder_of(model)
    assert not encoder.pools_globally and encoder.nonnegative
    assert encoder.target_layer == "layer4.0"
    raw, maps = encoder.represent_with_map(some_pixels(64))
    assert_close(maps.amax((2, 3)), raw)


def test_max_pooling_is_seen_where_the_last_map_is_one_pixel():
    model = narrow_resnet()
    model.set_submodule("avgpool", nn.AdaptiveMaxPool2d(1))
    assert not encoder_of(model, transform=Transform(resize=None, input_size=32)).pools_globally


def test_a_missing_relu_is_seen():
    model = narrow_resnet()
    head = nn.Sequential(nn.BatchNorm2d(64), nn.Conv2d(64, 64, 1), nn.AdaptiveAvgPool2d(1))
    model.set_submodule("avgpool", head)
    encoder = encoder_of(model)
    assert not encoder.nonnegative
    assert encoder.target_layer == "avgpool.1" and encoder.pools_globally
    assert any("negative entries" in line for line in encoder.assumptions)


@pytest.mark.parametrize(
    "layer", ["layer2", "layer2.1", "layer3.0.conv1", "layer1.0.bn2", "layer2.1.relu", "conv1"]
)
def test_an_inner_layer_is_averaged_after_relu(layer):
    """The twin stops the network by hand, before later in-place operations overwrite the layer's output."""
    model, pixels = narrow_resnet(), some_pixels(64)
    encoder = encoder_of(model, layer=layer)
    outputs = []
    handle = model.get_submodule(layer).register_forward_hook(lambda m, i, o: outputs.append(o.clone()))
    reference(model, pixels, TRANSFORM.mean, TRANSFORM.std)
    handle.remove()
    expected = outputs[-1].clamp(min=0)
    raw, maps = encoder.represent_with_map(pixels)
    assert_close(maps, expected, **TOLERANCE)
    assert_close(raw, expected.mean((2, 3)), **TOLERANCE)
    assert_close(encoder.represent(pixels), raw)
    assert encoder.early and encoder.pools_globally and encoder.nonnegative
    assert encoder.n_features == expected.shape[1] and encoder.target_layer == layer
    assert any(layer in line for line in encoder.assumptions)


@pytest.mark.parametrize("layer", ["layer4", "layer4.0", "layer4.0.relu"])
def test_other_names_of_the_last_stage_are_the_plain_encoder(layer):
    encoder, plain = encoder_of(narrow_resnet(), layer=layer), encoder_of(narrow_resnet())
    assert not encoder.early and encoder.pools_globally
    assert_close(encoder.represent(some_pixels(64)), plain.represent(some_pixels(64)))


def test_layers_that_cannot_be_used():
    with pytest.raises(EncoderError, match="'lyaer3'.*'layer3'"):
        encoder_of(narrow_resnet(), layer="lyaer3")
    with pytest.raises(EncoderError, match=r"'fc'.*shape.*\(2.*64\)"):
        encoder_of(narrow_resnet(), layer="fc")


def test_hooks_are_removed_also_after_errors():
    model, pixels = narrow_resnet(), some_pixels(64)
    encoder = encoder_of(model)
    encoder.represent_with_map(pixels)
    inner = encoder_of(model, layer="layer2")
    inner.represent(pixels)
    with pytest.raises(EncoderError):
        encoder_of(model, layer="fc")
    with pytest.raises(ShapeError):
        encoder.represent_with_map(pixels[:, :32])
    with pytest.raises(ZeroDivisionError), capture(model.get_submodule("layer1")):
        raise ZeroDivisionError
    assert n_hooks(model) == 0

    model.set_submodule("layer3", nn.Linear(3, 3))
    for wrong in (encoder, inner):
        with pytest.raises(RuntimeError):
            wrong.represent_with_map(pixels)
    assert n_hooks(model) == 0


@pytest.mark.parametrize(
    "pixels",
    [
        torch.zeros(2, 64, 64, 3),
        torch.zeros(2, 3, 64, 64, dtype=torch.uint8),
        torch.zeros(64, 64, 3, dtype=torch.uint8),
    ],
    ids=["float", "channels first", "one image"],
)
def test_other_pixels_are_refused(pixels):
    with pytest.raises(ShapeError, match=r"64.*64.*3\).*uint8"):
        encoder_of(narrow_resnet()).represent(pixels)


def test_models_that_give_no_vectors():
    with pytest.raises(EncoderError, match="returns"):
        encoder_of(nn.Conv2d(3, 4, 3))
    with pytest.raises(EncoderError, match="process.*64.*64"):
        encoder_of(nn.Sequential(nn.Flatten(), nn.Linear(10, 10)))
    with pytest.raises(EncoderError, match="returns"):
        encoder_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 10)))


def test_the_fingerprint_follows_weights_transform_and_layer():
    def fingerprint(seed=0, arch="a", transform: Transform = TRANSFORM, **options: Any):
        return Encoder(narrow_resnet(seed), transform, arch=arch, **options).fingerprint

    first = fingerprint()
    assert first == fingerprint(spec="a@somewhere/else.ckpt", assumptions=["another"])
    others = [
        fingerprint(seed=1),
        fingerprint(arch="b"),
        fingerprint(layer="layer2"),
        fingerprint(transform=Transform(resize=72, input_size=64, std=(0.228, 0.224, 0.225))),
    ]
    assert len({first, *others}) == 5


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda")
    with pytest.raises(SettingsError, match="'banana'"):
        resolve_device("banana")
    with pytest.raises(SettingsError, match="'cuda:99'"):
        resolve_device("cuda:99")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_cuda_without_cuda():
    with pytest.raises(SettingsError, match="--device"):
        encoder_of(narrow_resnet(), device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_mixed_precision_on_cuda_is_close_and_single():
    pixels = some_pixels(64)
    on_cpu, on_gpu = encoder_of(narrow_resnet()), encoder_of(narrow_resnet(), device="cuda")
    raw = on_gpu.represent(pixels)
    assert raw.dtype == torch.float32 and raw.device.type == "cuda"
    assert_close(raw.cpu(), on_cpu.represent(pixels), rtol=5e-2, atol=5e-2)  # bfloat16 has 8 bits of mantissa


def test_weights_that_are_no_numbers_are_one_clear_line():
    model = torchvision.models.resnet18(num_classes=3)
    with torch.no_grad():
        model.layer2[0].conv1.weight[0, 0] = torch.nan  # pyright: ignore
    with pytest.raises(EncoderError, match="'layer2.0.conv1.weight'"):
        encoder_of(model)
