from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.data.images import open_images
from core.data.mask_source import MaskSource, read_mask
from core.data.masks import open_masks, reopen_masks
from core.data.source import ImageSource
from core.errors import MaskError, UnreadableImage
from tests.data.mask_files import NamedImages, mask_bytes, put_masks, soft
from tests.data.pictures import class_folder, deep_png, encoded, make_folder, make_tar, picture

PETS = ["train/cat/1.jpg", "train/dog/1.jpg", "train/dog/2.jpg", "val/dog/1.jpg"]

EDGE = np.array([[0, 80, 170, 255]] * 4, np.uint8).cumsum(0).clip(0, 255).astype(np.uint8)  # a soft edge


def opened(root: Path, images: list[str] | ImageSource = PETS) -> MaskSource:
    source = images if isinstance(images, ImageSource) else NamedImages(images)
    masks = open_masks(masks=root, source=source)
    assert masks is not None
    return masks


def table(masks: MaskSource) -> list[tuple[str, str]]:
    return list(masks.table.itertuples(index=False, name=None))


def error(root: Path, images: list[str] | ImageSource = PETS) -> str:
    with pytest.raises(MaskError) as raised:
        opened(root, images)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_folder__masks_of_images(tmp_path):
    root = put_masks(
        tmp_path / "masks",
        {"core/train/dog/1.png": 255, "core/train/cat/1.JPG": 51, "spurious/val/dog/1.bmp": EDGE}
        | {"spurious/train/dog/1.tif": 0},
    )
    masks = opened(root)
    assert masks.kind == "folder" and masks.features is None and masks.keywords == {}
    assert table(masks) == [
        ("train/cat/1.jpg", "core"),
        ("train/dog/1.jpg", "core"),
        ("train/dog/1.jpg", "spurious"),
        ("val/dog/1.jpg", "spurious"),
    ]
    assert_array_equal(masks.read("train/dog/1.jpg", "core"), np.ones((4, 4), np.float32))
    assert_allclose(masks.read("train/cat/1.jpg", "core"), 0.2)
    assert_allclose(masks.read("val/dog/1.jpg", "spurious"), EDGE / 255)
    assert masks.frame("val/dog/1.jpg", "spurious") == "image"
    assert not masks.read("train/dog/1.jpg", "spurious").any()  # all black, which is for the metric to say


def test_folder__report(tmp_path):
    root = put_masks(
        tmp_path / "masks",
        {"core/train/dog/1.png": 1, "core/train/dog/2.png": 1, "spurious/train/dog/1.png": 1}
        | {"core/train/wolf/9.png": 1, "core/readme.txt": b"x"},
    )
    report = opened(root).report
    counts = {"kind": "folder", "n_images": 4, "n_matched": 2, "n_core": 2, "n_spurious": 1, "n_both": 1}
    assert counts.items() <= report.items()
    assert report["n_masks"] == 4 and report["n_unmatched_masks"] == 1
    assert report["unmatched_masks"] == ["core/train/wolf/9.png"]
    assert report["notes"] == [
        "2 of 4 images have a mask, be it empty (2 core, 1 spurious, 1 both)",
        "1 mask without an image: core/train/wolf/9.png",
        "1 file ignored as not an image: .txt 1",
    ]


def test_folder__one_kind_alone_and_other_spelling(tmp_path):
    masks = opened(put_masks(tmp_path / "masks", {"Core/train/dog/1.png": 255}))
    assert table(masks) == [("train/dog/1.jpg", "core")]
    assert masks.read("train/dog/1.jpg", "core").all()
    assert "no spurious/ folder: no spurious masks" in masks.report["notes"]


def test_folder__names_that_fit_several_images_are_told(tmp_path):
    masks = opened(put_masks(tmp_path / "masks", {"core/dog/1.png": 9, "core/dog/2.png": 9}))
    assert table(masks) == [("train/dog/2.jpg", "core")]
    assert (
        "1 mask not used, ambiguous between several masks or images: core/dog/1.png" in masks.report["notes"]
    )
    assert masks.report["n_unmatched_masks"] == 1


def test_folder__missing_mask_and_unknown_image(tmp_path):
    masks = opened(put_masks(tmp_path / "masks", {"core/train/dog/1.png": 9}))
    for image_id, kind in (("train/dog/1.jpg", "spurious"), ("train/dog/2.jpg", "core"), ("else", "core")):
        with pytest.raises(UnreadableImage, match=f"this image has no {kind} mask"):
            masks.read(image_id, kind)


def test_folder__a_mask_that_cannot_be_read_or_went_away(tmp_path):
    root = put_masks(tmp_path / "masks", {"core/train/dog/1.png": b"no png", "core/train/dog/2.png": 9})
    masks = opened(root)
    with pytest.raises(UnreadableImage, match="image"):
        masks.read("train/dog/1.jpg", "core")
    (root / "core/train/dog/2.png").unlink()
    with pytest.raises(UnreadableImage, match="found"):
        masks.read("train/dog/2.jpg", "core")


# Every kind of image source


def test_folder__of_a_folder_of_photos(tmp_path):
    photos = class_folder(tmp_path / "photos", {"dog": 6, "cat": 6})
    source = open_images(photos)
    root = put_masks(tmp_path / "masks", {"core/dog/3.jpg": 255, "spurious/cat/0.png": 255})
    assert table(opened(root, source)) == [("cat/0.png", "spurious"), ("dog/3.png", "core")]


def test_folder__of_a_table(tmp_path):
    make_folder(tmp_path, ["img/a.png", "img/b.png"])
    (tmp_path / "list.csv").write_text("image_id,path\n1,img/a.png\n2,img/b.png\n")
    root = put_masks(tmp_path / "masks", {"core/b.png": 255, "spurious/1.png": 255})
    assert table(opened(root, open_images(tmp_path / "list.csv"))) == [("1", "spurious"), ("2", "core")]


def test_folder__of_shards(tmp_path):
    for shard in range(2):
        members = {f"{key}.png": picture(key) for key in range(2)}
        make_tar(tmp_path / f"shards/s{shard}.tar", members)
    root = put_masks(tmp_path / "masks", {"core/s1/0.png": 255})
    masks = opened(root, open_images(tmp_path / "shards"))
    assert table(masks) == [("s1/0", "core")] and masks.read("s1/0", "core").all()


def test_folder__comes_before_planted_masks(tmp_path):
    source = open_images("glyphworld?train=2&val=0&seed=3")
    root = put_masks(tmp_path / "masks", {"core/3/1.png": 255})
    assert table(opened(root, source)) == [("3/1", "core")]


def test_folder__names_that_are_not_utf8(tmp_path):
    photos = tmp_path / "photos"
    make_folder(photos, ["a/1.png", "b/1.png"])
    core = tmp_path / "masks/core/a"
    core.mkdir(parents=True)
    for folder, content in ((photos / "a", picture()), (core, mask_bytes(soft(255)))):
        try:
            Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).write_bytes(content)
        except OSError:
            pytest.skip("this file system takes no such name")
    masks = opened(tmp_path / "masks", open_images(photos))
    assert table(masks) == [("a/\\xff.png", "core")]
    assert masks.read("a/\\xff.png", "core").all() and len(masks.fingerprint()) == 64


# Reopened, changed


def test_folder__reopened_reads_without_listing(tmp_path):
    source = NamedImages(PETS)
    root = put_masks(tmp_path / "masks", {"core/train/dog/1.png": 255, "spurious/cat/1.png": EDGE})
    masks = opened(root, source)
    again = pickle.loads(pickle.dumps(reopen_masks(masks.describe(), source)))
    assert_array_equal(again.read("train/dog/1.jpg", "core"), masks.read("train/dog/1.jpg", "core"))
    assert "listing" not in again.__dict__
    assert_allclose(again.read("train/cat/1.jpg", "spurious"), EDGE / 255)  # by its other name: listed
    assert again.report == masks.report and again.fingerprint() == masks.fingerprint()


def test_folder__reopened_guesses_no_more_than_listed(tmp_path):
    root = put_masks(
        tmp_path / "masks", {"core/train/dog/1.png": 9, "core/train/dog/1.bmp": 9, "core/1.png": 9}
    )
    put_masks(root, {"core/train/cat/1.png": 9})
    again = reopen_masks({"kind": "folder", "root": str(root)}, NamedImages(PETS))
    with pytest.raises(UnreadableImage, match="mask"):
        again.read("train/dog/1.jpg", "core")
    assert table(again) == [("train/cat/1.jpg", "core")]


def test_folder__a_path_out_of_the_masks_is_not_followed(tmp_path):
    put_masks(tmp_path, {"secret/1.png": 255, "masks/core/dog/1.png": 255})
    source = NamedImages(["../../secret/1.jpg", "dog/1.jpg"])
    again = reopen_masks({"kind": "folder", "root": str(tmp_path / "masks")}, source)
    with pytest.raises(UnreadableImage, match="mask"):
        again.read("../../secret/1.jpg", "core")


def test_folder__fingerprint_follows_masks_not_strangers(tmp_path):
    root = put_masks(tmp_path / "masks", {"core/train/dog/1.png": 255})
    before = opened(root).fingerprint()
    put_masks(root, {"core/stranger/1.png": 255})
    assert opened(root).fingerprint() == before
    put_masks(root, {"core/train/dog/1.png": np.zeros((9, 9))})
    changed = opened(root).fingerprint()
    put_masks(root, {"spurious/train/dog/1.png": 3})
    assert len({before, changed, opened(root).fingerprint()}) == 3


# Bad input


def test_folder__matches_nothing(tmp_path):
    root = put_masks(tmp_path / "masks", {"core/wolf/1.png": 9, "spurious/wolf/1.png": 9})
    message = error(root)
    assert "2" in message and "4" in message and "images" in message
    assert "'core/train/cat/1.png'" in message and "'core/wolf/1.png'" in message
    assert str(root) in message


def test_folder__fits_only_several(tmp_path):
    assert "1 name would match several" in error(put_masks(tmp_path / "masks", {"core/dog/1.png": 9}))


def test_folder__layouts_that_are_not_masks(tmp_path):
    assert "no such folder" in error(tmp_path / "maskz")
    put_masks(tmp_path, {"masks/object/dog/1.png": 9, "file.png": 9})
    assert "it contains: object/" in error(tmp_path / "masks")
    assert "is a file" in error(tmp_path / "file.png")
    (tmp_path / "masks/core").mkdir()
    assert "no mask images" in error(tmp_path / "masks")
    put_masks(tmp_path, {"masks/core/dog/1.npy": b"x"})
    assert ".npy 1" in error(tmp_path / "masks")
    assert "Give its parent folder" in error(put_masks(tmp_path / "deep/core", {"dog/1.png": 1}))
    (tmp_path / "empty").mkdir()
    assert "it contains: nothing" in error(tmp_path / "empty")


def test_folder__without_core_whose_names_match_nothing(tmp_path):
    message = error(put_masks(tmp_path / "masks", {"wolf/1.png": 9, "wolf/2.png": 9}))
    assert "none of its 2 masks" in message and "'wolf/1.png'" in message and "it contains: wolf/" in message


def test_folder__missing_names_the_near_one(tmp_path):
    (tmp_path / "masks").mkdir()
    assert "'masks'" in error(tmp_path / "mask")


def test_folder__salient_imagenet_given_as_masks(tmp_path):
    (tmp_path / "wordnet_dict.py").write_text("{}")
    assert "--salient-imagenet" in error(tmp_path)


# What a file means


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "jpg"])
def test_read_mask__gray_and_rgb_are_alike(tmp_path, ending):
    levels = np.repeat(np.array([[0, 64, 128, 255]], np.uint8), 4, axis=0).repeat(8, 0).repeat(8, 1)
    for name, pixels in (("gray", levels), ("rgb", np.stack([levels] * 3, axis=2))):
        options = {"quality": 95} if ending == "jpg" else {}
        (tmp_path / name).write_bytes(mask_bytes(pixels, f"m.{ending}", **options))
        mask = read_mask(tmp_path / name)
        assert mask.shape == (32, 32) and mask.dtype == np.float32
        assert_allclose(mask, levels / 255, atol=0.02 if ending == "jpg" else 1e-7)


def test_read_mask__any_colour_on_black(tmp_path):
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 0], pixels[1, 1] = (255, 0, 0), (0, 0, 128)
    (tmp_path / "m.png").write_bytes(mask_bytes(pixels))
    assert_allclose(read_mask(tmp_path / "m.png"), [[1, 0], [0, 128 / 255]])


@pytest.mark.parametrize(
    ("value", "kind"), [(1, np.uint16), (255, np.uint16), (65535, np.uint16), (1, np.int32)]
)
def test_read_mask__values_of_deep_files(tmp_path, value, kind):
    Image.fromarray(np.array([[value, 0], [0, value]], kind)).save(tmp_path / "m.tif")
    assert_allclose(read_mask(tmp_path / "m.tif"), [[1, 0], [0, 1]])


def test_read_mask__one_dark_colour_of_a_palette_is_full(tmp_path):
    """As the class aeroplane of PASCAL VOC, (128, 0, 0)."""
    picture = Image.fromarray(np.array([[1, 0], [0, 1]], np.uint8), "P")
    picture.putpalette([0, 0, 0, 128, 0, 0])
    picture.save(tmp_path / "m.png")
    assert_allclose(read_mask(tmp_path / "m.png"), [[1, 0], [0, 1]])


def test_read_mask__transparency_is_the_mask(tmp_path):
    opacity = np.array([[0, 255], [51, 0]], np.uint8)
    cut_out = np.dstack([np.full((2, 2, 3), 20, np.uint8), opacity])
    (tmp_path / "cut.png").write_bytes(mask_bytes(cut_out))
    assert_allclose(read_mask(tmp_path / "cut.png"), opacity / 255)
    opaque = np.dstack([np.full((2, 2, 3), 20, np.uint8), np.full((2, 2), 255, np.uint8)])
    (tmp_path / "opaque.png").write_bytes(mask_bytes(opaque))
    assert_allclose(read_mask(tmp_path / "opaque.png"), np.full((2, 2), 20 / 255))


def test_read_mask__zeros_and_ones(tmp_path):
    (tmp_path / "m.png").write_bytes(mask_bytes([[0, 1], [1, 0]]))
    assert_array_equal(read_mask(tmp_path / "m.png"), [[0, 1], [1, 0]])
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    (tmp_path / "p.png").write_bytes(encoded(palette))
    assert_array_equal(read_mask(tmp_path / "p.png"), [[0, 1]])
    bits = Image.fromarray(np.array([[False, True]]))
    (tmp_path / "b.png").write_bytes(encoded(bits))
    assert_array_equal(read_mask(tmp_path / "b.png"), [[0, 1]])
    # what is nearly black in a JPEG is the coder's noise
    (tmp_path / "m.jpg").write_bytes(mask_bytes(soft(1, (8, 8)), "m.jpg", quality=100))
    assert_allclose(read_mask(tmp_path / "m.jpg"), np.full((8, 8), 1 / 255))


def test_read_mask__16_bits(tmp_path):
    (tmp_path / "m.png").write_bytes(deep_png(np.array([[[0], [65535]]])))
    assert_array_equal(read_mask(tmp_path / "m.png"), [[0, 1]])


def test_read_mask__black_and_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((8, 16), np.uint8)
    (tmp_path / "m.jpg").write_bytes(encoded(Image.fromarray(pixels), "JPEG", exif=exif))
    mask = read_mask(tmp_path / "m.jpg")
    assert mask.shape == (16, 8) and not mask.any()


def test_by_address__as_on_disk(server):
    files = {"core/train/cat/1.png": EDGE, "core/val/dog/1.png": EDGE.T, "spurious/train/dog/2.png": 255}
    near = opened(put_masks(server.root / "masks", files))
    server.delay, server.broken, server.cut = 0.01, 2, 2  # slow, failing and half-sent answers
    far = open_masks(masks=f"{server.url}/masks", source=NamedImages(PETS))
    assert far is not None and table(far) == table(near) and far.report == near.report
    again = reopen_masks(far.describe(), NamedImages(PETS))
    for image_id, mask in table(near):
        assert_array_equal(again.read(image_id, mask), near.read(image_id, mask))
    assert again.fingerprint() == far.fingerprint()
    for place, match in (("nothing", "cannot list .*no such object"), ("coco.json", "only a folder with")):
        with pytest.raises(MaskError, match=match):
            open_masks(masks=f"{server.url}/{place}", source=NamedImages(PETS))
