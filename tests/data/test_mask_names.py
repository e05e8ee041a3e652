"""Masks as data sets name them, beside pictures or in folders of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from core.data.mask_match import match_files
from core.data.masks import open_masks, reopen_masks
from tests.data.mask_files import NamedImages, put_masks

LEFT, RIGHT = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
LEFT[2:5, 1:3] = RIGHT[3:6, 5:7] = 255


def matched(
    images: Sequence[str], masks: Sequence[str], groups: Sequence[str] | None = None
) -> dict[str, list[str]]:
    found = match_files(images, masks, images, groups)
    return {images[row]: [masks[mask] for mask in of_row] for row, of_row in found.of_image.items()}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("test/bent/000.png", "bent/000_mask.png"),  # MVTec
        ("test/bent/000.png", "ground_truth/bent/000_mask.png"),
        ("COVID/images/COVID-1.png", "COVID/masks/COVID-1.png"),  # COVID-19 radiography
        ("JPEGImages/2007_000032.jpg", "SegmentationObject/2007_000032.png"),  # PASCAL VOC
        ("ISIC_0001.jpg", "ISIC_0001_segmentation.png"),  # ISIC
        ("img/1.jpg", "gt/1.png"),
        ("a/1.jpg", "a/mask_1.png"),
        ("a/1.jpg", "a/1_matte.png"),
    ],
)
def test_names_of_data_sets(image, mask):
    assert matched([image, "other/9.png"], [mask]) == {image: [mask]}


def test_several_masks_of_one_image__as_in_busi():
    images = ["benign/benign (1).png", "benign/benign (2).png"]
    masks = ["benign/benign (1)_mask.png", "benign/benign (1)_mask_1.png", "benign/benign (2)_mask.png"]
    assert matched(images, masks) == {images[0]: masks[:2], images[1]: masks[2:]}


def test_one_mask_of_all_copies_of_a_photograph():
    """ImageNet-C: the mask is named as the clean picture."""
    images = ["fog/1/n01/X.JPEG", "fog/3/n01/X.JPEG", "fog/1/n02/X.JPEG"]
    groups = ["n01/X", "n01/X", "n02/X"]
    masks = ["n01/X.png", "n02/X.png"]
    assert matched(images, masks, groups) == {
        images[0]: masks[:1],
        images[1]: masks[:1],
        images[2]: masks[1:],
    }
    assert matched(images, masks) == {images[2]: masks[1:]}
    assert matched(images[:2], masks, ["a", "b"]) == {}


def put(root: Path, names: dict[str, np.ndarray]) -> Path:
    return put_masks(root, names)


def test_folder_without_core__is_all_core_and_masks_of_an_image_are_joined(tmp_path):
    root = put(
        tmp_path, {"b/1_mask.png": LEFT, "b/1_mask_1.png": RIGHT, "b/2_mask.png": LEFT, "b/1.png": LEFT | 255}
    )
    source = NamedImages(["b/1.png", "b/2.png"])
    masks = open_masks(masks=root, source=source)
    assert masks is not None and masks.report["n_core"] == 2
    assert_array_equal(masks.read("b/1.png", "core"), (LEFT | RIGHT) > 0)
    assert_array_equal(reopen_masks(masks.describe(), source).read("b/2.png", "core"), LEFT > 0)
    (note,) = [note for note in masks.report["notes"] if getattr(note, "kind", "") == "all_core"]
    assert (note.n, note.of) == (2, 3)


def test_copies_by_the_column_of_the_source(tmp_path):
    root = put(tmp_path, {"n01/X.png": LEFT})
    source = NamedImages(["fog/1/n01/X.JPEG", "fog/3/n01/X.JPEG"])
    source.listing.extras, source.listing.group = pd.DataFrame({"photo": ["X", "X"]}), "photo"
    masks = open_masks(masks=root, source=source)
    assert masks is not None and masks.report["n_core"] == 2
