"""Projects of Supervisely: labels of objects and of tags, data sets as splits."""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.data.images import open_images, reopen_images
from tests.data.pictures import make_folder
from tests.data.test_folder import rows


def bitmap(name: str, width: int, height: int) -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("1", (width, height), 1).save(file, "PNG")
    data = base64.b64encode(zlib.compress(file.getvalue())).decode()
    return {"classTitle": name, "geometryType": "bitmap", "bitmap": {"origin": [1, 2], "data": data}}


def rectangle(name: str, side: int) -> dict[str, Any]:
    points = {"exterior": [[1, 1], [1 + side, 1 + side]], "interior": []}
    return {"classTitle": name, "geometryType": "rectangle", "points": points}


def project(root: Path, annotations: dict[str, dict[str, Any]]) -> Path:
    """Pictures DATASET/NAME with their annotations."""
    files: dict[str, bytes] = {"meta.json": json.dumps({"classes": [], "tags": []}).encode()}
    for name, annotation in annotations.items():
        data_set, _, file = name.rpartition("/")
        files[f"{data_set}/ann/{file}.json"] = json.dumps({"tags": [], "objects": []} | annotation).encode()
    make_folder(root, [f"{name.rpartition('/')[0]}/img/{name.rpartition('/')[2]}" for name in annotations])
    return Path(make_folder(root, files))


@pytest.mark.parametrize("spec", ["", "meta.json"])
def test_labels__of_the_largest_object_or_the_only_tag(tmp_path, spec):
    root = project(
        tmp_path,
        {
            "ds0/a.png": {"objects": [bitmap("small", 3, 3), rectangle("large", 9)]},
            "ds0/b.png": {"objects": [bitmap("large", 30, 40), rectangle("small", 9)]},
            "ds0/c.png": {"tags": [{"name": "tagged"}]},
            "ds0/d.png": {"tags": [{"name": "one"}, {"name": "two"}]},
            "ds0/e.png": {"objects": [bitmap("kept", 3, 3) | {"bitmap": {"data": "no picture"}}]},
        },
    )
    source = open_images(root / spec)
    held = {path.rpartition("/")[2]: label for path, _, label in rows(source)}
    assert held | {"d.png": None} == {
        "a.png": "large", "b.png": "large", "c.png": "tagged", "d.png": None, "e.png": "kept"
    }  # fmt: skip
    assert source.table["label"].isna().sum() == 1 and source.read(0).size
    again = reopen_images(source.describe())
    assert again.table.equals(source.table) and again.fingerprint() == source.fingerprint()


def test_label__by_the_value_of_a_tag(tmp_path):
    tags = [{"name": "kind", "value": "owl"}, {"name": "seen", "value": 3}]
    root = project(tmp_path, {"ds0/a.png": {"tags": tags}, "ds0/b.png": {}})
    source = open_images(f"{root}/meta.json?label=kind")
    assert source.table["label"].fillna("").tolist() == ["owl", ""]


def test_data_sets__are_splits_or_a_column(tmp_path):
    named = {
        f"{name}/{n}.png": {"objects": [rectangle("cat", 3)]} for name in ("train", "val") for n in (0, 1)
    }
    source = open_images(project(tmp_path / "named", named))
    assert source.split_given and list(source.table["split"]) == ["train", "train", "val", "val"]
    others = {
        f"{name}/{n}.png": {"objects": [rectangle("cat", 3)]} for name in ("roof", "road") for n in (0, 1)
    }
    source = open_images(project(tmp_path / "others", others))
    assert not source.split_given and source.extras is not None
    assert list(source.extras["data_set"]) == ["road", "road", "roof", "roof"]
