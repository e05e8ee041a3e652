"""Masks of panoptic annotations: segments by the ids that colours of pictures stand for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.images import open_images
from core.data.masks import open_masks, reopen_masks
from core.errors import MaskError, UnreadableImage
from tests.data.mask_files import NamedImages
from tests.data.pictures import make_folder

SIZE = (8, 6)
CATEGORIES = [{"id": 1, "name": "cat", "isthing": 1}, {"id": 2, "name": "dog", "isthing": 1}]
CATEGORIES += [{"id": 9, "name": "grass", "isthing": 0}]
CAT, DOG, GRASS = 70_000, 300, 5  # ids of segments: three channels, two, one


def ids(number: int) -> np.ndarray:
    """A large dog, a smaller cat and grass, the largest, which lie elsewhere in each picture."""
    held = np.full(SIZE[::-1], GRASS)
    held[number : number + 2, 1:4] = DOG
    held[4, 5:7] = CAT
    return held


def panoptic(root: Path, names: list[str], files: dict[int, str] | None = None) -> Path:
    """panoptic.json beside panoptic/, and the pictures that it is of."""
    (root / "panoptic").mkdir(parents=True)
    images, annotations = [], []
    for number, name in enumerate(names):
        held = ids(number)
        colours = np.stack([held % 256, held // 256 % 256, held // 65536], axis=2).astype(np.uint8)
        Image.fromarray(colours).save(root / "panoptic" / f"{number}.png")
        segments = [
            {"id": one, "category_id": category, "area": int((held == one).sum())}
            for one, category in ((GRASS, 9), (DOG, 2), (CAT, 1))
        ]
        images.append({"id": f"n{number}", "file_name": name, "width": SIZE[0], "height": SIZE[1]})
        file = (files or {}).get(number, f"{number}.png")
        annotations.append({"image_id": f"n{number}", "file_name": file, "segments_info": segments})
    tree = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    (root / "panoptic.json").write_text(json.dumps(tree))
    return root / "panoptic.json"


def opened(root: Path, spec: Path, images: list[str]) -> Any:
    make_folder(root, images)
    masks = open_masks(masks=spec, source=open_images(root))
    assert masks is not None
    return masks


def test_segments__of_the_own_class_else_of_the_largest_object(tmp_path):
    spec = panoptic(tmp_path / "masks", ["0.png", "1.png"])
    masks = opened(tmp_path / "images", spec, ["cat/0.png", "owl/1.png"])
    np.testing.assert_array_equal(masks.read("cat/0.png", "core") > 0, ids(0) == CAT)
    np.testing.assert_array_equal(masks.read("owl/1.png", "core") > 0, ids(1) == DOG)
    kinds = [getattr(note, "kind", "") for note in masks.report["notes"]]
    assert "segments" in kinds and "other_class" in kinds
    again = reopen_masks(masks.describe(), masks.source)
    assert again.fingerprint() == masks.fingerprint()


def test_segments__that_changed_change_the_fingerprint(tmp_path):
    spec = panoptic(tmp_path / "masks", ["0.png"])
    masks = opened(tmp_path / "images", spec, ["cat/0.png"])
    before = masks.fingerprint()
    Image.new("RGB", SIZE).save(tmp_path / "masks" / "panoptic" / "0.png")
    assert masks.fingerprint() != before


@pytest.mark.parametrize("file", ["../outside.png", "missing.png", "smaller.png"])
def test_pictures_of_ids__that_cannot_be_taken(tmp_path, file):
    spec = panoptic(tmp_path / "masks", ["0.png"], {0: file})
    Image.new("RGB", SIZE).save(tmp_path / "masks" / "outside.png")
    Image.new("RGB", (3, 3)).save(tmp_path / "masks" / "panoptic" / "smaller.png")
    masks = opened(tmp_path / "images", spec, ["cat/0.png"])
    with pytest.raises(UnreadableImage):
        masks.read("cat/0.png", "core")


def test_folder_of_ids__names_the_file_beside(tmp_path):
    spec = panoptic(tmp_path / "masks", ["0.png", "1.png"])
    make_folder(tmp_path / "images", ["cat/0.png", "dog/1.png"])
    with pytest.raises(MaskError) as raised:
        open_masks(masks=spec.with_suffix(""), source=open_images(tmp_path / "images"))
    assert str(spec) in str(raised.value)


def test_cityscapes__names_of_pictures_that_are_not_there(tmp_path):
    """cityscapesscripts writes a_gtFine_leftImg8bit.png for a_leftImg8bit.png."""
    spec = panoptic(tmp_path / "masks", ["a_gtFine_leftImg8bit.png"])
    masks = opened(tmp_path / "images", spec, ["lindau/a_leftImg8bit.png"])
    assert (masks.read("lindau/a_leftImg8bit.png", "core") > 0).sum() == (ids(0) == DOG).sum()


def test_cityscapes__label_pictures_of_one_kind(tmp_path):
    names = [f"val/lindau/{letter}_leftImg8bit.png" for letter in "ab"]
    for number, name in enumerate(names):
        place = tmp_path / "gtFine" / name.replace("_leftImg8bit.png", "_gtFine")
        place.parent.mkdir(parents=True, exist_ok=True)
        labels = np.where(ids(number) == DOG, 26, 7).astype(np.uint8)
        for kind, held in (("labelIds", labels), ("labelTrainIds", labels // 2), ("color", 255 - labels)):
            Image.fromarray(held).save(f"{place}_{kind}.png")
    masks = open_masks(masks=f"{tmp_path / 'gtFine'}?value=26", source=NamedImages(names))
    assert masks is not None and masks.report["n_masks"] == 2
    for number, name in enumerate(names):
        np.testing.assert_array_equal(masks.read(name, "core") > 0, ids(number) == DOG)
