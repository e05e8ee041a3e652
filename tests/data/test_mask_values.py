"""Which values of mask files are the mask: decided where it is plain, asked where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from core.data.mask_source import MaskSource, read_mask
from core.data.mask_values import voc_colour
from core.data.masks import open_masks, reopen_masks
from core.errors import MaskError, UnreadableImage
from tests.data.mask_files import NamedImages, put_masks
from tests.data.pictures import encoded

SIDE = 24
NAMES = [f"{number}.jpg" for number in range(6)]
YY, XX = np.mgrid[:SIDE, :SIDE]
OBJECT, OTHER = (YY > 6) & (YY < 16) & (XX > 6) & (XX < 16), (YY < 4) & (XX < 9)


def opened(root: Path | str, option: str = "") -> MaskSource:
    masks = open_masks(masks=f"{root}{option}", source=NamedImages(NAMES))
    assert masks is not None
    return masks


def put(root: Path, pixels: object, n: int = len(NAMES)) -> Path:
    return put_masks(root, {f"core/{number}.png": pixels for number in range(n)})


def levels(*shapes: tuple[int, np.ndarray]) -> np.ndarray:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    for value, shape in shapes:
        pixels[shape] = value
    return pixels


def colours(*shapes: tuple[tuple[int, int, int], np.ndarray]) -> np.ndarray:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    for value, shape in shapes:
        pixels[shape] = value
    return pixels


def asked(root: Path, option: str = "") -> str:
    with pytest.raises(MaskError) as raised:
        opened(root, option)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("value", [1, 7, 128, 255])
def test_black_and_one_value__is_the_mask(tmp_path, value):
    masks = opened(put(tmp_path, levels((value, OBJECT))))
    assert_array_equal(masks.read("0.jpg", "core"), OBJECT)


def test_black_and_one_value__a_file_with_another_value_is_not_read(tmp_path):
    root = put(tmp_path, levels((1, OBJECT)))
    masks = opened(root)
    Image.fromarray(levels((1, OBJECT), (2, OTHER))).save(root / "core" / "3.png")
    with pytest.raises(UnreadableImage, match="value 2"):
        reopen_masks(masks.describe(), NamedImages(NAMES)).read("3.jpg", "core")
    assert_array_equal(opened(root, "?value=1").read("3.jpg", "core"), OBJECT)


def test_class_numbers__are_asked(tmp_path):
    root = put(tmp_path, levels((1, OBJECT), (2, OTHER)))
    message = asked(root)
    assert "1 (14.1%)" in message and "2 (6.2%)" in message and "3 levels" in message
    assert_array_equal(opened(root, "?value=1").read("0.jpg", "core"), OBJECT)
    assert_array_equal(opened(root, "?value=2").read("0.jpg", "core"), OTHER)
    assert_array_equal(opened(root, "?value=1+2").read("0.jpg", "core"), OBJECT | OTHER)
    assert_array_equal(opened(root, "?value=any&ignore=2").read("0.jpg", "core"), OBJECT)


def test_class_numbers__255_beside_them_is_ignored(tmp_path):
    masks = opened(put(tmp_path, levels((1, OBJECT), (255, OTHER))))
    assert_array_equal(masks.read("0.jpg", "core"), OBJECT)
    (note,) = [note for note in masks.report["notes"] if getattr(note, "kind", "") == "ignored"]
    assert note.value == pytest.approx(OTHER.mean())


def test_reading__is_kept_for_workers_and_old_studies(tmp_path):
    root = put(tmp_path, levels((1, OBJECT), (255, OTHER)))
    masks = opened(root)
    again = reopen_masks(masks.describe(), NamedImages(NAMES))
    assert_array_equal(again.read("0.jpg", "core"), OBJECT)
    assert again.fingerprint() == masks.fingerprint()
    old = reopen_masks({"kind": "folder", "root": str(root)}, NamedImages(NAMES))
    assert old.read("0.jpg", "core")[OTHER].all()  # as it was computed


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_three_levels__far_apart_are_asked(tmp_path, ending):
    """A trimap: unknown parts are 128."""
    whole = levels((255, OBJECT), (128, OTHER)).repeat(8, 0).repeat(8, 1)
    root = put_masks(tmp_path, {f"core/{number}.{ending}": whole for number in range(3)})
    assert "3 levels" in asked(root)
    mask = opened(root, "?value=255").read("0.jpg", "core")
    assert np.abs(mask - OBJECT.repeat(8, 0).repeat(8, 1)).mean() < 0.01


def test_soft_masks__stay_soft(tmp_path):
    distance = np.hypot(YY - 12, XX - 12)
    heat = np.clip(255 * np.exp(-((distance / 8) ** 2)), 0, 255).astype(np.uint8)
    edge = np.clip(255 * (9 - distance), 0, 255).astype(np.uint8)
    masks = opened(put_masks(tmp_path, {"core/0.png": heat, "core/1.png": edge}))
    np.testing.assert_allclose(masks.read("0.jpg", "core"), heat / 255, atol=1e-6)
    np.testing.assert_allclose(masks.read("1.jpg", "core"), edge / 255, atol=1e-6)


def test_colours__are_asked(tmp_path):
    """ImageNet-S: red and green are the number of a class."""
    root = put(tmp_path, colours(((3, 1, 0), OBJECT), ((7, 1, 0), OTHER)))
    message = asked(root)
    assert "3,1,0 (14.1%)" in message and "?value=3,1,0" in message
    assert_array_equal(opened(root, "?value=3,1,0").read("0.jpg", "core"), OBJECT)
    assert_array_equal(opened(root, "?value=7,1,0+3,1,0").read("0.jpg", "core"), OBJECT | OTHER)


def test_colours__a_ground_that_is_not_black_is_asked(tmp_path):
    pixels = colours(((255, 0, 0), OBJECT))
    pixels[~OBJECT] = (0, 0, 128)
    root = put(tmp_path, pixels)
    assert "2 colours" in asked(root)
    assert_array_equal(opened(root, "?value=255,0,0").read("0.jpg", "core"), OBJECT)


def test_colours__one_on_black_is_the_mask(tmp_path):
    masks = opened(put(tmp_path, colours(((0, 200, 0), OBJECT))))
    assert_array_equal(masks.read("0.jpg", "core") > 0, OBJECT)


def test_palette_of_voc__numbers_of_classes_and_the_border(tmp_path):
    picture = Image.fromarray(levels((8, OBJECT), (15, OTHER), (255, XX == 20)), "P")
    picture.putpalette([part for number in range(256) for part in voc_colour(number)])
    root = put(tmp_path, encoded(picture))
    assert "8 (14.1%)" in asked(root)
    assert_array_equal(opened(root, "?value=8").read("0.jpg", "core"), OBJECT)
    assert_array_equal(opened(root, "?value=15").read("0.jpg", "core"), OTHER)


def test_masks_that_cover_everything__are_asked(tmp_path):
    inverted = np.where(OTHER & (YY > 1), 0, 255).astype(np.uint8)
    root = put(tmp_path, inverted)
    assert f"{len(NAMES)} of {len(NAMES)} core masks" in asked(root)
    assert_array_equal(opened(root, "?value=0").read("0.jpg", "core"), OTHER & (YY > 1))
    assert_array_equal(opened(root, "?value=any").read("0.jpg", "core"), inverted > 0)


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_masks_that_cover_the_frame__are_asked(tmp_path, ending):
    """The object is black; in the .gif by a palette that begins with white."""
    picture = Image.fromarray(np.where(OBJECT, 1, 0).astype(np.uint8), "P")
    picture.putpalette([255, 255, 255, 0, 0, 0])
    whole = encoded(picture, "GIF") if ending == "gif" else levels((255, ~OBJECT))
    root = put_masks(tmp_path, {f"core/{number}.{ending}": whole for number in range(len(NAMES))})
    assert "?value=0" in asked(root) and f"{1 - OBJECT.mean():.0%}" in asked(root)
    assert_array_equal(opened(root, "?value=0").read("0.jpg", "core"), OBJECT)
    assert_array_equal(opened(root, "?value=any").read("0.jpg", "core"), ~OBJECT)


def test_masks_that_cover_the_frame__are_taken_where_it_is_what_comes_with_the_object(tmp_path):
    spurious = {f"spurious/{number}.png": levels((255, ~OBJECT)) for number in range(len(NAMES))}
    assert_array_equal(opened(put_masks(tmp_path, spurious)).read("0.jpg", "spurious"), ~OBJECT)


def test_masks_of_which_no_file_holds_exact_levels(tmp_path):
    """All are .jpg, or all are the opacity of a cut-out."""
    jpeg = levels((255, OBJECT)).repeat(8, 0).repeat(8, 1)
    photos = opened(put_masks(tmp_path / "a", {"core/0.jpg": jpeg}))
    assert_array_equal(photos.read("0.jpg", "core") > 0.5, jpeg > 0)
    cut_out = np.dstack([colours(((9, 80, 7), YY >= 0)), levels((255, OBJECT))])
    cut_outs = opened(put_masks(tmp_path / "b", {"core/0.png": cut_out}))
    assert_array_equal(cut_outs.read("0.jpg", "core"), OBJECT)


def test_numbers_of_instances__of_16_bits_are_asked(tmp_path):
    numbers = np.where(OBJECT, 26001, 0).astype(np.uint16)
    numbers[:2, :2] = 24000
    root = put(tmp_path, encoded(Image.fromarray(numbers)))
    assert "26001 (17.4%)" in asked(root) or "3 levels" in asked(root)
    assert_array_equal(opened(root, "?value=26001").read("0.jpg", "core"), OBJECT)


def test_booleans_by_tifffile__are_the_stored_bits(tmp_path):
    """It stores 1 for True, and calls 0 white."""
    picture = Image.fromarray(OBJECT)
    for software, expected in (("tifffile.py", OBJECT), ("other", ~OBJECT)):
        data = encoded(Image.fromarray(~OBJECT), "TIFF", tiffinfo={305: software})
        at = data.index(b"\x06\x01\x03\x00\x01\x00\x00\x00\x01")
        data = data[: at + 8] + b"\0" + data[at + 9 :]
        (tmp_path / "m.tif").write_bytes(data)
        with Image.open(tmp_path / "m.tif") as opened_again:
            assert opened_again.tag_v2[262] == 0 and picture.mode == "1"  # pyright: ignore
        assert_array_equal(read_mask(tmp_path / "m.tif"), ~expected)


@pytest.mark.parametrize("option", ["?value=x", "?value=1,2", "?ignore=3", "?colour=1", "?value="])
def test_options__that_are_none(tmp_path, option):
    root = put(tmp_path, levels((1, OBJECT)))
    assert "value" in asked(root, option)
