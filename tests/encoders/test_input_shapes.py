"""Maps of transformers: patch 14 and 16, other sizes than the network's own, inputs that are not square."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image
from pytorch_grad_cam import GradCAM

from core.analysis.gradcam import gradcam_maps
from core.encoders.encoder import Encoder
from core.encoders.layers import as_map, token_grid
from core.encoders.registry import load_encoder
from core.encoders.transform import Transform
from core.errors import EncoderError, SettingsError
from core.study.heatmaps import combine
from tests.encoders.transformers import SHAPES, transformer

pytestmark = pytest.mark.usefixtures("one_thread")

# name -> (input height and width, rows and columns of patches)
INPUTS = {"dinov2": ((56, 84), (4, 6)), "dinov3": ((96, 64), (6, 4)), "siglip2": ((64, 96), (4, 6))}


def made(name: str, size: tuple[int, int], **options) -> Encoder:
    model = transformer(name, img_size=size, **options)
    return Encoder(model, Transform(resize=None, input_size=size), arch="test")


def pixels_of(encoder: Encoder, n: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, *encoder.transform.sides, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    ("size", "grid"), [((224, 224), (16, 16)), ((64, 96), (4, 6)), ((518, 224), (37, 16))]
)
def test_token_grid__of_whole_patches(size, grid):
    assert token_grid(grid[0] * grid[1], size) == grid


def test_token_grid__partial_patches_and_impossible_numbers():
    assert token_grid(4 * 6, (70, 100)) == (4, 6)  # patch 16, the rest dropped
    assert token_grid(5 * 7, (70, 100)) == (5, 7)  # padded
    assert token_grid(15, (64, 64)) is None and token_grid(0, (64, 64)) is None


@pytest.mark.parametrize(("size", "grid"), [((224, 112), (7, 4)), ((100, 60), (6, 3)), ((64, 64), (2, 2))])
def test_as_map__channels_last_also_with_partial_patches(size, grid):
    """Swin of 224 x 112 pixels: the last map of 7 x 3.5 patches is padded to 7 x 4."""
    model = torch.nn.Identity()
    for shape in ((1, *grid, 48), (1, 48, *grid)):
        assert as_map(torch.zeros(shape), "norm", model, "vit", size).shape == (1, 48, *grid)


@pytest.mark.parametrize("square", [True, False], ids=["square", "not square"])
@pytest.mark.parametrize("name", INPUTS)
def test_heatmaps__are_the_librarys(name, square):
    (height, width), (rows, columns) = INPUTS[name]
    side = min(height, width)
    size, grid = ((side, side), (4, 4)) if square else ((height, width), (rows, columns))
    encoder = made(name, size)
    pixels, n_prefix = pixels_of(encoder), 0 if name == "siglip2" else 5

    def reshape(tokens):
        return tokens[:, n_prefix:].reshape(len(tokens), *grid, -1).permute(0, 3, 1, 2)

    maps = gradcam_maps(encoder, pixels, np.array([0, 9]))
    assert maps.shape == (2, 2, *grid)
    for position, feature in enumerate((0, 9)):
        with GradCAM(encoder.model, [encoder.target_module], reshape_transform=reshape) as cam:
            cam.compute_input_gradient = True
            targets: Any = [lambda raw, j=feature: raw[j]] * 2
            expected = cam(encoder.normalise(pixels), targets)
        for image in range(2):
            combined = combine(
                maps[image, position : position + 1].numpy(), np.ones(1), "mean", encoder.transform.sides
            )
            assert combined.shape == size
            assert_allclose(combined, expected[image], atol=1e-4)


@pytest.mark.parametrize("name", INPUTS)
def test_maps__lie_where_the_patch_is(name):
    """One token, changed after the last block's norm, changes the map at its row and column only."""
    encoder = made(name, INPUTS[name][0])
    pixels, n_prefix = pixels_of(encoder, 1), 0 if name == "siglip2" else 5
    before = encoder.represent_with_map(pixels)[1]
    row, column, columns = 2, 3, INPUTS[name][1][1]

    def change(_module, _inputs, output):
        output = output.clone()
        output[:, n_prefix + row * columns + column] += 1
        return output

    handle = encoder.target_module.register_forward_hook(change)
    after = encoder.represent_with_map(pixels)[1]
    handle.remove()
    changed = (after - before).abs().sum((0, 1)) > 0
    assert changed.nonzero().tolist() == [[row, column]]


@pytest.mark.parametrize("name", ["dinov2", "siglip2"])
def test_position_embeddings__interpolated_for_another_size(name):
    """`dynamic_img_size` of timm: weights made for 4 x 4 patches see 6 x 6."""
    patch = 14 if name == "dinov2" else 16
    model: Any = transformer(name, dynamic_img_size=True)
    encoder = Encoder(model, Transform(resize=None, input_size=6 * patch), arch="test", tokens="mean")
    pixels = pixels_of(encoder)
    maps = gradcam_maps(encoder, pixels, np.array([3]))
    assert maps.shape == (2, 1, 6, 6) and maps.amax() > 0
    with torch.no_grad():
        tokens = model.forward_features(encoder.normalise(pixels))
    expected = tokens[:, 0 if name == "siglip2" else 5 :].mean(1)
    assert_allclose(encoder.represent(pixels), expected, rtol=1e-4, atol=1e-5)


def test_spec__of_an_input_that_is_not_square():
    arch = SHAPES["dinov2"][0]
    encoder = load_encoder(f"timm:{arch}?img_size=(56,84)&embed_dim=32&depth=2&num_heads=2")
    assert encoder.transform.sides == (56, 84) and encoder.represent_with_map(pixels_of(encoder))[1].shape[
        2:
    ] == (4, 6)
    image = Image.new("RGB", (300, 100), "red")
    assert encoder.transform.pixels(image).shape == (56, 84, 3)
    with pytest.raises(EncoderError, match="process.*56.*56"):
        load_encoder(f"timm:{arch}?img_size=(56,84)&embed_dim=32&depth=2&num_heads=2", input_size=56)


@pytest.mark.parametrize("size", [(300, 100), (100, 300), (84, 56), (85, 56), (640, 427)], ids=str)
@pytest.mark.parametrize("resize", [None, 64])
def test_transform__covers_the_view_and_its_box_is_what_it_shows(size, resize):
    """A gradient along each axis, read back through the box."""
    transform = Transform(resize=resize, input_size=(56, 84))
    width, height = size
    ramp_x, ramp_y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    image = Image.fromarray(np.stack([ramp_x, ramp_y, 0 * ramp_x], 2).astype(np.uint8))
    seen = transform.pixels(image).astype(float)
    left, top, right, bottom = transform.box(width, height)
    assert seen.shape == (56, 84, 3) and left > -1 and top > -1 and right < width + 1 and bottom < height + 1
    x = left + (np.arange(84) + 0.5) / 84 * (right - left)
    y = top + (np.arange(56) + 0.5) / 56 * (bottom - top)
    assert_allclose(seen[28, 4:-4, 0], (x / width * 255)[4:-4], atol=4)
    assert_allclose(seen[4:-4, 42, 1], (y / height * 255)[4:-4], atol=4)
    assert (right - left) / (bottom - top) == pytest.approx(84 / 56, rel=0.03)


def test_transform__a_pair_of_equal_sides_is_the_square():
    assert Transform(input_size=(64, 64)) == Transform(input_size=64)
    pair = Transform(resize=None, input_size=(56, 84), crop="squash")
    assert Transform.from_dict(pair.to_dict()) == pair and pair.to_dict()["input_size"] == [56, 84]
    assert pair.pixels(Image.new("RGB", (20, 20))).shape == (56, 84, 3)
    for wrong in ((1, 2, 3), (0, 4), (4.5, 4), "ab"):
        with pytest.raises(SettingsError, match="input"):
            Transform(input_size=wrong)  # pyright: ignore[reportArgumentType]
