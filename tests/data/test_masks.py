from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.data.glyphworld import GlyphworldSource
from core.data.images import open_images, reopen_images
from core.data.masks import in_encoder_frame, open_masks, reopen_masks
from core.encoders.transform import Transform
from core.errors import ImageSourceError, MaskError, SettingsError, ShapeError, UnreadableImage
from tests import reference
from tests.data.mask_files import NamedImages
from tests.data.pictures import class_folder

EIGHT_BITS = 1.01 / 255  # a picture is rounded once on each axis, half a level each
TRANSFORMS = [
    Transform(),
    Transform(resize=None, input_size=96),
    Transform(resize=48, input_size=48),
    Transform(resize=30, input_size=64),  # a black margin
    Transform(resize=None, input_size=64, crop="squash"),
]
SIZES = [(300, 200), (200, 301), (96, 96), (61, 47), (20, 600)]


def names(transform: Transform) -> str:
    return f"{transform.resize}-{transform.input_size}-{transform.crop}"


def painted(mask: np.ndarray, transform: Transform) -> np.ndarray:
    """What the encoder would see of the mask, were it the picture."""
    picture = Image.fromarray(np.round(255 * mask).astype(np.uint8)).convert("RGB")
    return transform.pixels(picture)[:, :, 0] / 255


# Into the encoder's frame


def test_in_encoder_frame__by_hand():
    mask = np.zeros((4, 8), np.float32)
    mask[1:3, 4:6] = 1
    frame = in_encoder_frame(mask, "image", Transform(resize=4, input_size=4), (8, 4))
    # 8 x 4 has its middle four columns 2..5 in the crop
    assert_array_equal(frame, [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]])
    assert frame.dtype == np.float32


def test_in_encoder_frame__down_by_two_by_hand():
    mask = np.array([[0, 0, 1, 1]] * 4, np.float32)
    frame = in_encoder_frame(mask, "image", Transform(resize=2, input_size=2), (4, 4))
    # a triangle of 4 pixels: weights 0.25, 0.75, 0.75, 0.25 at most; at the edge 0.75, 0.75, 0.25 of 1.75
    assert_allclose(frame, [[1 / 7, 6 / 7]] * 2, atol=1e-6)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("transform", TRANSFORMS, ids=names)
def test_in_encoder_frame__is_what_the_encoder_sees_of_the_mask_as_a_picture(rng, size, transform):
    mask = np.round(255 * rng.random(size[::-1])) / 255
    seen = painted(mask, transform)
    assert_allclose(in_encoder_frame(mask, "image", transform, size), seen, atol=EIGHT_BITS)
    assert seen.std() > 0.02


@pytest.mark.parametrize("transform", TRANSFORMS, ids=names)
def test_in_encoder_frame__a_box_stays_on_the_same_pixels(transform):
    width, height = 400, 240
    picture = np.zeros((height, width), np.float32)
    picture[60:180, 160:280] = 1
    seen = painted(picture, transform) >= 0.5
    for factor in (0.25, 0.5, 2, 3):  # a mask smaller or larger than its image covers the same place
        shape = int(height * factor), int(width * factor)
        mask = np.zeros(shape, np.float32)
        mask[round(60 * factor) : round(180 * factor), round(160 * factor) : round(280 * factor)] = 1
        frame = in_encoder_frame(mask, "image", transform, (width, height)) >= 0.5
        assert frame.sum() > 100
        assert (frame ^ seen).sum() <= 0.05 * seen.sum()


@pytest.mark.parametrize("frame", ["image", "crop"])
def test_in_encoder_frame__matches_loop(rng, frame):
    transform, image_size = Transform(resize=20, input_size=16), (45, 30)
    mask = rng.random((12, 12) if frame == "crop" else (15, 36)).astype(np.float32)
    left, top, right, bottom = transform.box(*image_size)
    # Resize 256 and CenterCrop 224 of 45 x 30: 384 x 256, from (80, 16) to (304, 240), back by 30 / 256
    covered = (0, 0, 45, 30) if frame == "image" else tuple(v * 30 / 256 for v in (80, 16, 304, 240))
    per_x = mask.shape[1] / (covered[2] - covered[0])
    per_y = mask.shape[0] / (covered[3] - covered[1])
    x = (left - covered[0]) * per_x, (right - covered[0]) * per_x
    y = (top - covered[1]) * per_y, (bottom - covered[1]) * per_y
    rows = [reference.resample_axis(list(map(float, row)), *x, 16) for row in mask]
    expected = np.transpose([reference.resample_axis(list(column), *y, 16) for column in np.transpose(rows)])
    framed = in_encoder_frame(mask, frame, transform, image_size)
    # beyond the mask's edge by less than a pixel, the edge is repeated rather than left out
    inner = (slice(2, -2), slice(2, -2)) if frame == "crop" else ...
    assert_allclose(framed[inner], expected[inner], atol=1e-5)


def test_in_encoder_frame__a_crop_in_the_encoders_own_geometry_is_only_resized(rng):
    mask = rng.random((224, 224)).astype(np.float32)
    for size in ((500, 375), (224, 224), (60, 90)):
        assert_allclose(in_encoder_frame(mask, "crop", Transform(), size), mask, atol=1e-6)
    half = in_encoder_frame(mask, "crop", Transform(resize=128, input_size=112), (512, 512))
    expected = np.asarray(Image.fromarray(mask).resize((112, 112), Image.Resampling.BILINEAR))
    assert_allclose(half, expected, atol=1e-5)


def test_in_encoder_frame__a_crop_is_not_cropped_again():
    mask = np.zeros((224, 224), np.float32)
    mask[:, :20] = 1  # at the crop's left edge: cropped once more, or taken for the whole image, it would go
    frame = in_encoder_frame(mask, "crop", Transform(), (500, 400))
    assert_array_equal(frame, mask)
    assert in_encoder_frame(mask, "image", Transform(), (500, 400)).sum() < 0.01 * mask.sum()


def test_in_encoder_frame__a_crop_in_an_encoder_that_sees_all():
    squash = Transform(resize=None, input_size=128, crop="squash")
    # 512 x 256 is resized to 512 x 256, its crop is 144..368 by 16..240: 36..92 by 8..120 after the squash
    frame = in_encoder_frame(np.ones((224, 224), np.float32), "crop", squash, (512, 256))
    expected = np.zeros((128, 128))
    expected[8:120, 36:92] = 1
    assert_array_equal(frame, expected)


def test_in_encoder_frame__a_crop_and_the_image_it_was_cut_from_agree(rng):
    coarse = Image.fromarray(rng.random((15, 20)).astype(np.float32))
    whole = np.clip(np.asarray(coarse.resize((400, 300), Image.Resampling.BICUBIC)), 0, 1)
    crop = in_encoder_frame(whole, "image", Transform(256, 224), (400, 300))
    for transform in (Transform(64, 56), Transform(None, 32), Transform(60, 48)):
        from_whole = in_encoder_frame(whole, "image", transform, (400, 300))
        from_crop = in_encoder_frame(crop, "crop", transform, (400, 300))
        left, top, right, bottom = transform.box(400, 300)
        inside = slice(5, -5)
        assert_allclose(from_crop[inside, inside], from_whole[inside, inside], atol=0.02)
        assert right - left > 200 and bottom - top > 200


@pytest.mark.parametrize("frame", ["image", "crop"])
def test_in_encoder_frame__stays_between_0_and_1(rng, frame):
    for _ in range(20):
        width, height = (int(side) for side in rng.integers(1, 90, 2))
        mask = (rng.random(rng.integers(1, 70, 2)) > 0.5).astype(np.float32)
        resized, side = int(rng.integers(8, 60)), int(rng.integers(8, 60))
        transform = Transform(resized, side)
        framed = in_encoder_frame(mask, frame, transform, (width, height))
        assert framed.shape == (side, side)
        assert framed.min() >= 0 and framed.max() <= 1
        full = in_encoder_frame(np.ones_like(mask), frame, transform, (width, height))
        assert (framed <= full + 1e-6).all()
        if frame == "image" and side <= resized:
            assert full.min() == 1


def test_in_encoder_frame__a_black_mask_stays_black():
    assert not in_encoder_frame(np.zeros((10, 20)), "image", Transform(), (20, 10)).any()


def test_in_encoder_frame__what_is_no_mask():
    with pytest.raises(ShapeError, match=r"\(4.*4.*3\)"):
        in_encoder_frame(np.zeros((4, 4, 3)), "image", Transform(), (4, 4))
    with pytest.raises(ShapeError, match="got"):
        in_encoder_frame(np.zeros((0, 4)), "image", Transform(), (4, 4))
    with pytest.raises(SettingsError, match="not 'whole'"):
        in_encoder_frame(np.zeros((4, 4)), "whole", Transform(), (4, 4))


# Planted masks


def glyphs(**options: Any) -> GlyphworldSource:
    return GlyphworldSource(**{"train": 3, "val": 2, "seed": 4, **options})


def test_planted__exact_and_found_by_id():
    source = glyphs()
    masks = open_masks(source=source)
    assert masks is not None and masks.kind == "planted"
    for row, image_id in enumerate(source.table["image_id"]):
        scene = source.scene(row)
        for kind, exact in (("core", scene.core_mask), ("spurious", scene.spurious_mask)):
            mask = masks.read(image_id, kind)
            assert mask.dtype == np.float32 and mask.max() <= 1
            assert_array_equal(np.round(255 * mask), exact)
            assert masks.frame(image_id, kind) == "image"
    assert exact.any()


def test_planted__table_and_report():
    masks = open_masks(source=glyphs())
    assert masks is not None and masks.features is None and masks.keywords == {}
    assert masks.table["image_id"].tolist() == [
        f"4/{i}" for i in (0, 1, 2, 10_000_000, 10_000_001) for _ in "cs"
    ]
    assert masks.table["mask"].tolist() == ["core", "spurious"] * 5
    counts = {"n_images": 5, "n_matched": 5, "n_core": 5, "n_spurious": 5, "n_both": 5, "n_masks": 10}
    assert counts.items() <= masks.report.items()
    with pytest.raises(UnreadableImage, match="mask"):
        masks.read("4/99", "core")
    with pytest.raises(UnreadableImage, match="other"):
        masks.read("4/0", "other")


def test_planted__reopened_and_sent_to_a_worker():
    source = glyphs()
    masks = open_masks(source=source)
    assert masks is not None
    again = reopen_masks(masks.describe(), reopen_images(source.describe()))
    sent = pickle.loads(pickle.dumps(masks))
    for other in (again, sent):
        assert_array_equal(other.read("4/10000001", "core"), masks.read("4/10000001", "core"))
        assert other.fingerprint() == masks.fingerprint()
    assert open_masks(source=glyphs(seed=5)).fingerprint() != masks.fingerprint()  # pyright: ignore


def test_planted__of_two_worlds():
    first, second = "glyphworld?train=3&val=0&seed=1", "glyphworld?train=2&val=0&seed=2"
    source = open_images(first, val=second)
    masks = open_masks(source=source)
    assert masks is not None and len(masks.table) == 10
    assert_array_equal(np.round(255 * masks.read("2/1", "core")), glyphs(seed=2).core_mask(1))
    assert_array_equal(np.round(255 * masks.read("1/2", "core")), glyphs(seed=1).core_mask(2))


# The options


def test_open_masks__none_given_and_none_planted(tmp_path):
    assert open_masks(source=open_images(class_folder(tmp_path, {"dog": 5}))) is None
    photos = open_images("glyphworld?train=2&val=0", val=tmp_path)
    assert open_masks(source=photos) is None  # only one half is planted


def test_open_masks__options_that_exclude_each_other(tmp_path):
    with pytest.raises(SettingsError, match="them"):
        open_masks(masks=tmp_path, salient_imagenet=tmp_path, source=NamedImages(["a"]))
    with pytest.raises(SettingsError, match="--salient-imagenet"):
        open_masks(masks=tmp_path, annotations=tmp_path, source=NamedImages(["a"]))


def test_reopen_masks__unknown_kind():
    with pytest.raises(MaskError, match="'painted'"):
        reopen_masks({"kind": "painted"}, NamedImages(["a"]))


def test_reopen_masks__lists_nothing_until_asked(tmp_path):
    gone = reopen_masks({"kind": "folder", "root": str(tmp_path / "gone")}, NamedImages(["a"]))
    with pytest.raises((MaskError, ImageSourceError), match="folder"):
        _ = gone.report


def test_open_masks__a_table_is_refused_as_what_it_is(tmp_path):
    (tmp_path / "train.csv").write_text("ImageId,EncodedPixels\n0.png,1 3 9 2\n")
    with pytest.raises(MaskError, match="run lengths"):
        open_masks(masks=tmp_path / "train.csv", source=open_images(class_folder(tmp_path / "x", {"a": 2})))
