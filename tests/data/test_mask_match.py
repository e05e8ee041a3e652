from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.mask_match import match_names
from tests import reference


def pairs(images: list[str], masks: list[str], paths: list[str] | None = None) -> dict[str, str]:
    matches = match_names(images, masks, paths)
    return {images[row]: masks[mask] for row, mask in matches.mask_of.items()}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("dog/1.jpg", "dog/1.jpg"),
        ("dog/1.jpg", "dog/1.png"),
        ("train/dog/1.JPEG", "train/dog/1.PNG"),
        ("dog/1.jpg", "dog/1.jpg.png"),
        ("dog/1.2.jpg", "dog/1.2.png"),
        ("shard-000/key", "shard-000/key.png"),
        ("0/10000000", "0/10000000.png"),
        ("train/000017", "train/000017.png"),
        ("1.jpg", "1.png"),
        ("train/dog/1.jpg", "dog/1.png"),
        ("dog/1.jpg", "val/dog/1.png"),
        ("validation/dog/1.jpg", "val/dog/1.png"),
        ("/data/photos/train/dog/1.jpg", "dog/1.png"),
        ("../photos/dog/1.jpg", "dog/1.png"),
        ("./dog/1.jpg", "dog/1.png"),
        ("dog/1.jpg", "1.png"),
        ("1.jpg", "dog/1.png"),
        ("train/dog/1.jpg", "train/1.png"),
    ],
)
def test_match_names__one_of_each(image, mask):
    assert pairs([image, "other/2.jpg"], [mask, "more/3.png"]) == {image: mask}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("dog/1.jpg", "cat/1.png"),
        ("dog/1.jpg", "dog/11.png"),
        ("dog/1.jpg", "og/1.png"),
        ("dog/1.jpg", "dog/1.5.png"),
        ("train/dog/1.jpg", "val/dog/1.png"),
        ("train/dog/1.jpg", "test/1.png"),
    ],
)
def test_match_names__not_alike(image, mask):
    assert pairs([image], [mask]) == {}


def test_match_names__the_nearer_name_wins():
    images = ["train/dog/1.jpg", "val/dog/1.jpg"]
    assert pairs(images, ["val/dog/1.png"]) == {"val/dog/1.jpg": "val/dog/1.png"}
    assert pairs(images, ["val/dog/1.png", "dog/1.png"]) == {"val/dog/1.jpg": "val/dog/1.png"}
    assert pairs(["a.jpg", "a.png"], ["a.png"]) == {"a.png": "a.png"}
    assert pairs(["x/1.jpg"], ["x/1.jpg", "x/1.png"]) == {"x/1.jpg": "x/1.jpg"}


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["a.jpg", "a.tif"], ["a.png"]),
        (["a.jpg"], ["a.png", "a.bmp"]),
        (["train/dog/1.jpg", "val/dog/1.jpg"], ["dog/1.png"]),
        (["dog/1.jpg"], ["train/dog/1.png", "val/dog/1.png"]),
        (["dog/1.jpg", "cat/1.jpg"], ["1.png"]),
    ],
)
def test_match_names__what_fits_several_is_not_guessed(images, masks):
    matches = match_names(images, masks)
    assert matches.mask_of == {} and matches.ambiguous == set(range(len(masks)))


def test_match_names__paths_settle_what_ids_do_not():
    ids, paths = ["17", "18"], ["photos/dog/1.jpg", "photos/cat/1.jpg"]
    assert pairs(ids, ["cat/1.png", "dog/1.png"]) == {}
    assert pairs(ids, ["cat/1.png", "dog/1.png"], paths) == {"17": "dog/1.png", "18": "cat/1.png"}
    assert pairs(ids, ["17.png", "cat/1.png"], paths) == {"17": "17.png", "18": "cat/1.png"}


SPLITS, FOLDERS = ("", "train/", "val/", "validation/"), ("", "dog/", "cat/", "dog/puppy/")


def names(*endings: str) -> st.SearchStrategy[list[str]]:
    parts = (SPLITS, FOLDERS, "0123456", endings)
    name = st.tuples(*map(st.sampled_from, parts)).map("".join)
    return st.lists(name, min_size=5, max_size=15, unique=True)


@pytest.mark.slow
@given(images=names(".jpg", ".png"), masks=names(".png"))
def test_match_names__matches_loop(images, masks):
    matched = pairs(images, masks)
    assert matched == reference.match_names(images, masks)
    assert pairs(images[::-1], masks[::-1]) == matched
    for image, mask in matched.items():
        assert image.rpartition("/")[2].partition(".")[0] == mask.rpartition("/")[2].partition(".")[0]


@pytest.mark.slow
def test_match_names__many_names_in_seconds():
    images = [f"train/n{n % 1000:08d}/n{n % 1000:08d}_{n}.JPEG" for n in range(60_000)]
    masks = [image.removeprefix("train/").replace(".JPEG", ".png") for image in images[::6]]
    start = time.process_time()
    matches = match_names(images, [*masks, "n99999999/stray.png"], images)
    assert time.process_time() - start < 15  # takes 0.2 s; comparing all with all takes minutes
    assert np.array_equal(sorted(matches.mask_of), np.arange(0, 60_000, 6))
