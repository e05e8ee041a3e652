"""What a dry run says as JSON: what the view New study shows."""

from __future__ import annotations

import base64
import io
import json

from PIL import Image

from tests.command_line import QUICK, SMALL, photos


def planned(run, tmp_path, *words: object) -> dict:
    images = photos(tmp_path / "photos", {"cat": 6, "dog": 3})
    said = run(
        "analyze", tmp_path / "study", "--images", images, *SMALL, *QUICK, "--dry-run", "--json", *words
    )
    assert said.code == 0, said.err
    assert not (tmp_path / "study").exists()
    return json.loads(said.out)


def test_samples__ids_always_thumbnails_on_request(run, tmp_path):
    found = planned(run, tmp_path)
    assert [one["label"] for one in found["samples"]] == ["cat", "cat", "dog"]
    assert not any("thumbnail" in one for one in found["samples"])
    assert found["images"]["smallest_class"] == 3
    assert (found["masks"], found["captions"], found["clip"]) == (None, None, None)


def test_samples__thumbnails_are_pictures(run, tmp_path):
    found = planned(run, tmp_path, "--samples", 5)
    assert len(found["samples"]) == 5
    for one in found["samples"]:
        head, _, data = one["thumbnail"].partition(",")
        assert head == "data:image/jpeg;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (12, 10)


def test_masks_and_captions__are_counted(run, tmp_path):
    photos(tmp_path / "masks" / "core", {"cat": 2})
    (tmp_path / "bank.txt").write_text("a red car\na blue car\na red car\n")
    words = ("--masks", tmp_path / "masks", "--captions", tmp_path / "bank.txt", "--clip", "ViT-B-32@openai")
    found = planned(run, tmp_path, *words)
    assert found["masks"]["n_core"] == 2 and found["masks"]["n_images"] == 9
    assert found["captions"]["n_captions"] == 2 and found["captions"]["first"][0] == "a red car"
    assert found["clip"] == {"name": "ViT-B-32@openai", "here": False}


def test_wrong_masks_and_captions__one_line(run, tmp_path):
    images = photos(tmp_path / "photos", {"cat": 6})
    start = ("analyze", tmp_path / "study", "--images", images, *SMALL, *QUICK, "--dry-run")
    assert "captions" in run(*start, "--captions", tmp_path / "none.txt").error
    assert "none" in run(*start, "--masks", tmp_path / "none").error
    assert "no weights" in run(*start, "--clip", f"ViT-B-32@{tmp_path}/none.pt").error
