from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from core.data.images import open_images
from core.data.masks import open_masks, reopen_masks
from core.errors import MaskError, UnreadableImage
from tests.data.pictures import make_folder

SQUARE = [[1, 1, 3, 1, 3, 3, 1, 3]]  # of an image of 6 x 5
NAMES = ["a.png", "b.png", "c.png", "d.png"]


def annotation(image: int, category: int, box: list[Any], **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, **more}


def coco(*annotations: dict[str, Any], **size: Any) -> dict[str, Any]:
    images = [
        {"id": at, "file_name": name, **({"width": 6, "height": 5} | size)} for at, name in enumerate(NAMES)
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    return {"images": images, "categories": categories, "annotations": list(annotations)}


def write(folder: Path, tree: Any) -> Path:
    make_folder(folder, NAMES)
    path = folder / "instances.json"
    path.write_text(json.dumps(tree))
    return path


def opened(path: Path) -> Any:
    masks = open_masks(masks=path, source=open_images(path))
    assert masks is not None
    return masks


def region(x: slice, y: slice) -> np.ndarray:
    expected = np.zeros((5, 6), np.float32)
    expected[y, x] = 1
    return expected


def test_core_masks_cover_the_images_own_class(tmp_path):
    path = write(
        tmp_path,
        coco(
            annotation(0, 1, [0, 0, 4, 4], segmentation=SQUARE),
            annotation(0, 1, [5, 0, 1, 5]),  # a second cat, as a box
            annotation(0, 2, [0, 0, 1, 1]),  # no cat
            annotation(1, 2, [2, 1, 3, 2]),
            annotation(1, 2, [2, 1, 0.4, 0.4]),  # less than a pixel
        ),
    )
    masks = opened(path)
    assert list(masks.table.itertuples(index=False, name=None)) == [("a.png", "core"), ("b.png", "core")]
    assert_array_equal(
        masks.read("a.png", "core"),
        np.maximum(region(slice(1, 3), slice(1, 3)), region(slice(5, 6), slice(0, 5))),
    )
    assert_array_equal(masks.read("b.png", "core"), region(slice(2, 5), slice(1, 3)))
    assert masks.report["n_core"] == 2 and masks.report["n_spurious"] == 0
    with pytest.raises(UnreadableImage, match="mask"):
        masks.read("c.png", "core")
    again = reopen_masks(masks.describe(), open_images(path))
    assert again.fingerprint() == masks.fingerprint()


def test_run_lengths_as_numbers_and_as_text(tmp_path):
    """Columns 2 and 3 of an image of 6 x 5: ten zeros, ten ones, ten zeros; 10 is written as a colon."""
    numbers = {"size": [5, 6], "counts": [10, 10, 10]}
    text = {"size": [5, 6], "counts": ":::"}
    tree = coco(
        annotation(0, 1, [2, 0, 2, 5], segmentation=numbers, iscrowd=1),
        annotation(1, 1, [2, 0, 2, 5], segmentation=text),
    )
    masks = opened(write(tmp_path, tree))
    for name in ("a.png", "b.png"):
        assert_array_equal(masks.read(name, "core"), region(slice(2, 4), slice(0, 5)))


def test_a_run_is_as_long_as_a_large_image_needs(tmp_path):
    counts = [1_100_000, 90_000, 10_000]
    one = annotation(0, 1, [0, 0, 2, 2], segmentation={"size": [1000, 1200], "counts": counts})
    mask = opened(write(tmp_path, coco(one, width=1200, height=1000))).read("a.png", "core")
    assert mask.sum() == 90_000 and mask[:, 1100:1190].all()


def test_outlines_of_other_kinds_are_none(tmp_path):
    box = [1, 1, 2, 2]
    tree = coco(
        annotation(0, 1, box, segmentation=5),
        annotation(1, 1, box, segmentation="abcd"),
        annotation(2, 1, box, segmentation={"counts": 7, "size": [5, 6]}),
    )
    masks = opened(write(tmp_path, tree))
    for name in ("a.png", "b.png"):
        assert_array_equal(masks.read(name, "core"), region(slice(1, 3), slice(1, 3)))
    with pytest.raises(UnreadableImage, match="run-length code"):
        masks.read("c.png", "core")


def test_hostile_outlines_lose_only_themselves(tmp_path):
    odd = [["x", 1], [1e400, 0, 1, 1, 2, 2], [1e300, 0, 1e300, 9, 0, 9]]
    tree = coco(
        annotation(0, 1, [0, 0, 2, 2], segmentation=odd),
        annotation(1, 1, [0, 0, 2, 2], segmentation={"counts": [10**9, -5], "size": [5, 6]}),
        annotation(2, 1, [0, 0, 2, 2], segmentation={"counts": "~~~~~~~~~~~~", "size": [5, 6]}),
        annotation(3, 1, ["a", None, {}, 2]),
    )  # fmt: skip
    masks = opened(write(tmp_path, tree))
    assert masks.read("a.png", "core").shape == (5, 6)
    for name in ("b.png", "c.png"):
        with pytest.raises(UnreadableImage, match="run-length code"):
            masks.read(name, "core")
    assert not masks.read("d.png", "core").any()


def test_a_size_that_no_image_has_is_refused(tmp_path):
    masks = opened(write(tmp_path, coco(annotation(0, 1, [0, 0, 2, 2]), width=10**6, height=10**6)))
    with pytest.raises(UnreadableImage, match="too large"):
        masks.read("a.png", "core")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot read masks from"),
        ("[]", "has no 'images' and 'annotations'. Give a .json of COCO"),
        ('{"images": [], "annotations": []}', "none of the 0 images"),
    ],
)
def test_what_are_no_masks(tmp_path, text, message):
    source = open_images(write(tmp_path, coco()))
    (tmp_path / "masks.json").write_text(text)
    with pytest.raises(MaskError, match=message):
        open_masks(masks=tmp_path / "masks.json", source=source)


def test_a_category_in_another_spelling_is_the_image_s_own_class(tmp_path):
    tree = coco(
        annotation(0, 1, [0, 0, 2, 2]), annotation(0, 2, [0, 0, 6, 5]), annotation(1, 2, [0, 0, 6, 5])
    )
    tree["categories"] = [{"id": 1, "name": "Hot Dog"}, {"id": 2, "name": "Dog"}]
    path = write(tmp_path, tree)
    (tmp_path / "labels.csv").write_text("path,label\na.png,hot_dog\nb.png,cat\nc.png,dog\n")
    masks = open_masks(masks=path, source=open_images(tmp_path / "labels.csv"))
    assert masks is not None
    assert_array_equal(masks.read("a.png", "core"), region(slice(0, 2), slice(0, 2)))
    (other,) = [note for note in masks.report["notes"] if getattr(note, "kind", "") == "other_class"]
    assert (other.n, other.of) == (1, 2)


def test_two_categories_of_one_name_are_two_classes(tmp_path):
    tree = coco(annotation(0, 1, [0, 0, 2, 2]), annotation(1, 2, [0, 0, 6, 5]))
    tree["categories"] = [{"id": 1, "name": "crane"}, {"id": 2, "name": "crane"}]
    source = open_images(path := write(tmp_path, tree))
    assert source.table["label"].tolist()[:2] == ["crane (1)", "crane (2)"]
    assert "id_behind" in [getattr(note, "kind", "") for note in source.notes]
    assert_array_equal(opened(path).read("b.png", "core"), region(slice(0, 6), slice(0, 5)))


def kinds(masks: Any) -> dict[str, tuple[int | None, int | None]]:
    notes = (note for note in masks.report["notes"] if hasattr(note, "kind"))
    return {note.kind: (note.n, note.of) for note in notes}


def test_outlines_as_numbers_and_as_points(tmp_path):
    """One flat list, and pairs of x and y, as some tools write them: the same square of two by two pixels."""
    points = [[1, 1], [3, 1], [3, 3], [1, 3]]
    tree = coco(
        annotation(0, 1, [0, 0, 6, 5], segmentation=SQUARE[0]),
        annotation(1, 1, [0, 0, 6, 5], segmentation=points),
        annotation(2, 1, [0, 0, 6, 5], segmentation=[points]),
        annotation(3, 1, [0, 0, 2, 2], segmentation=[{"x": 1, "y": 1}]),
    )
    masks = opened(write(tmp_path, tree))
    for name in NAMES[:3]:
        assert_array_equal(masks.read(name, "core"), region(slice(1, 3), slice(1, 3)))
    assert_array_equal(masks.read("d.png", "core"), region(slice(0, 2), slice(0, 2)))
    assert kinds(masks)["unknown_outline"] == (1, 4)


def test_outlines_as_parts_of_the_sides(tmp_path):
    scaled = [[x / side for x, side in zip(SQUARE[0], [6, 5] * 4, strict=True)]]
    masks = opened(write(tmp_path, coco(annotation(0, 1, [0.1, 0.1, 0.5, 0.5], segmentation=scaled))))
    assert "scaled" in kinds(masks)
    assert_array_equal(masks.read("a.png", "core"), region(slice(1, 3), slice(1, 3)))


@pytest.mark.parametrize("size", [{"width": 6.0, "height": "5"}, {"width": None, "height": None}])
def test_sizes_as_other_tools_write_them(tmp_path, size):
    """By value; where none is stated, the picture's own."""
    path = write(tmp_path, coco(annotation(0, 1, [0, 0, 4, 4], segmentation=SQUARE), **size))
    Image.new("RGB", (6, 5)).save(tmp_path / "a.png")
    assert_array_equal(opened(path).read("a.png", "core"), region(slice(1, 3), slice(1, 3)))


def test_names_with_the_prefix_of_an_upload(tmp_path):
    tree = coco(annotation(0, 1, [2, 1, 3, 2]))
    for at, image in enumerate(tree["images"]):
        image["file_name"] = f"images/{at:08x}__{image['file_name']}"
    masks = opened(write(tmp_path, tree))
    assert_array_equal(masks.read("a.png", "core"), region(slice(2, 5), slice(1, 3)))


def test_ids_as_text(tmp_path):
    path = write(tmp_path, coco(annotation(0, 1, [0, 0, 4, 4], segmentation=SQUARE)))
    source = open_images(path)
    text = path.read_text().replace('"image_id": 0', '"image_id": "0"')
    (tmp_path / "text.json").write_text(text)
    masks = open_masks(masks=tmp_path / "text.json", source=source)
    assert masks is not None
    assert_array_equal(masks.read("a.png", "core"), region(slice(1, 3), slice(1, 3)))


def test_an_outline_without_end_is_refused(tmp_path):
    zigzag = [number for step in range(40_000) for number in (step % 2 * 1e6, step % 3 * 1e6)]
    one = annotation(0, 1, [0, 0, 9, 9], segmentation=[zigzag])
    masks = opened(write(tmp_path, coco(one, width=2000, height=2000)))
    with pytest.raises(UnreadableImage, match="too long"):
        masks.read("a.png", "core")
