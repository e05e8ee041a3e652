"""Products in bfloat16: near those in float32, with float32 after the map; refused where it is imitated."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from core.encoders.encoder import Encoder
from core.encoders.fast_inference import check_precision, multiplies_bfloat16, working_dtype
from core.encoders.head import Head, HeadPart
from core.encoders.transform import Transform
from core.errors import SettingsError
from tests.encoders.planted import narrow_resnet, some_pixels

TRANSFORM = Transform(resize=72, input_size=64)
CPU = torch.device("cpu")


@pytest.fixture
def encoder() -> Encoder:
    made = Encoder(narrow_resnet(), TRANSFORM, arch="narrow")
    made.fold()
    made.precision = "bfloat16"
    return made


@pytest.mark.parametrize(
    "precision, expected",
    [
        ("auto", torch.float32),
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("mixed", torch.bfloat16),
    ],
)
def test_the_type_of_products_on_a_processor(precision, expected):
    assert working_dtype(precision, CPU) == expected


@pytest.mark.parametrize("instruction", ["avx512_bf16", "amx_bf16", "sve_bf16", None])
def test_bfloat16_is_refused_without_an_instruction_for_it(instruction, monkeypatch):
    capabilities = {"architecture": "any", "avx2": True, "avx512_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities | {str(instruction): True})
    assert multiplies_bfloat16() == (instruction is not None)
    for precision in ("auto", "float32"):
        check_precision(precision, CPU)
    for precision in ("bfloat16", "mixed"):
        check_precision(precision, torch.device("cuda"))
        if instruction is not None:
            check_precision(precision, CPU)
            continue
        with pytest.raises(SettingsError, match=f"--precision {precision}.*avx512_bf16.*Leave"):
            check_precision(precision, CPU)


def test_products_are_of_rounded_numbers_with_sums_in_float32():
    """By hand: a network of one 1 x 1 convolution, whose representation is the mean of its map."""
    convolution = nn.Conv2d(3, 5, 1, bias=False)
    encoder = Encoder(
        nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten()), TRANSFORM, arch="1x1"
    )
    encoder.precision = "bfloat16"
    pixels = some_pixels(64)
    x = encoder.normalise(pixels).bfloat16().float()
    sums = torch.einsum("oc,bchw->bohw", convolution.weight[:, :, 0, 0].bfloat16().float(), x)
    raw, maps = encoder.represent_with_map(pixels)
    assert_close(maps, sums.bfloat16().float(), rtol=2**-7, atol=1e-6)  # one step of its last place
    assert (maps == sums.bfloat16().float()).float().mean() > 0.99
    assert_close(raw, maps.mean((2, 3)), rtol=1e-6, atol=1e-6)


def test_it_is_near_float32_and_the_mean_of_its_map_exactly(encoder):
    pixels = some_pixels(64)
    raw, maps = encoder.represent_with_map(pixels)
    assert raw.dtype == maps.dtype == torch.float32
    assert_close(raw, maps.mean((2, 3)), rtol=1e-6, atol=1e-6)
    encoder.precision = "float32"
    full = encoder.represent(pixels)
    assert 0 < (raw - full).norm() < 2e-2 * full.norm()
    assert not encoder.target_module._forward_hooks


def test_logits_are_in_float32_of_what_the_classifier_reads(encoder):
    linear = nn.Linear(encoder.n_features, 7).requires_grad_(False)
    head, pixels = Head((HeadPart(linear),), 7), some_pixels(64)
    raw, logits = encoder.represent_with_logits(pixels, head)
    assert_close(logits, linear(raw), rtol=1e-6, atol=1e-6)
    both = encoder.represent_with_both(pixels, head)
    assert_close(both[0], raw, rtol=0, atol=0)
    assert_close(both[2], logits, rtol=0, atol=0)
