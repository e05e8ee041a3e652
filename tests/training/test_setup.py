"""What the sidecar of a trained encoder tells about its images, and what it keeps to itself."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.images import open_images
from core.research.domains_images import tinted_spec
from core.training.setup import describe_source


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("somewhere") / "photos"
    for name in ("train/cat/a.png", "val/cat/b.png"):
        (root / name).parent.mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(root / name)
    (root / "list.csv").write_text("path,split\ntrain/cat/a.png,train\nval/cat/b.png,val\n")
    return root


@pytest.mark.parametrize(
    "images",
    [str, lambda root: str(root / "list.csv"), lambda root: tinted_spec(str(root), colours="red,green")],
    ids=["folder", "table", "nested"],
)
def test_describe_source__keeps_the_machines_folders_to_itself(folder, images):
    source = open_images(images(folder))
    assert str(folder.parent) in json.dumps(source.describe())  # a study reads its images again
    described = describe_source(source)
    assert str(folder.parent) not in json.dumps(described)
    assert "photos" in json.dumps(described) or "list.csv" in json.dumps(described)
    assert described["kind"] == source.kind and described["fingerprint"] == source.fingerprint()


def test_describe_source__tells_a_world_whole():
    source: Any = open_images("glyphworld?train=4&val=2")
    described = describe_source(source)
    assert described["spec"] == source.describe()["spec"] and described["world"]["size"] == source.world.size
