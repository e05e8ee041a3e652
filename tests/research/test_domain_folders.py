"""PACS-like folders: labels, domains, splits, and folders that are something else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.data.images import open_images, reopen_images
from core.errors import ImageSourceError


def fill(root, names, n=5):
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(n):
            pixels = np.full((4, 4, 3), number, np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")


def test_source__has_the_class_as_label_and_the_domain_as_column(tmp_path):
    fill(tmp_path, ["photo/dog", "photo/cat", "sketch/dog", "sketch/cat", "cartoon/dog"])
    source = open_images(f"domains?root={tmp_path}&domains=photo,sketch")
    assert (
        source.extras is not None and len(source.table) == 20 and set(source.table["label"]) == {"dog", "cat"}
    )
    assert set(source.extras["domain"]) == {"photo", "sketch"}
    val = pd.Series(source.table["split"] == "val")
    n_val: Any = val.groupby([source.extras["domain"], source.table["label"]]).sum()
    assert n_val.eq(1).all()
    row = int(np.flatnonzero(source.table["image_id"] == "sketch/cat/3.png")[0])
    assert np.asarray(source.read(row)).max() == 3
    again = reopen_images(source.describe())
    assert again.table.equals(source.table) and again.fingerprint() == source.fingerprint()
    everything = open_images(f"domains?root={tmp_path}")
    assert len(everything.table) == 25 and everything.fingerprint() != source.fingerprint()


def test_source__keeps_a_split_that_is_given(tmp_path):
    fill(tmp_path, ["train/photo/dog", "train/sketch/dog", "val/photo/dog"], n=2)
    source = open_images(f"domains?root={tmp_path}")
    assert list(source.table["split"]) == ["train"] * 4 + ["val"] * 2
    assert source.extras is not None
    assert list(source.extras["domain"]) == ["photo"] * 2 + ["sketch"] * 2 + ["photo"] * 2
    assert set(source.table["label"]) == {"dog"} and source.split_given


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("root=ROOT&domains=photos", "no domain 'photos' in .* Did you mean 'photo'"),
        ("root=ROOT/photo", "is not laid out as DOMAIN/CLASS/IMAGE"),
        ("folder=ROOT", "no option 'folder'"),
        ("domains=photo", "names no folder"),
    ],
)
def test_spec__that_cannot_be_opened_is_one_line(tmp_path, query, message):
    fill(tmp_path, ["photo/dog", "sketch/dog"])
    with pytest.raises(ImageSourceError, match=message) as caught:
        open_images(f"domains?{query}".replace("ROOT", str(tmp_path)))
    assert "\n" not in str(caught.value)
