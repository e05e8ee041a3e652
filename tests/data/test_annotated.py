from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from numpy.testing import assert_array_equal

from core.data import annotated
from core.data.decode import decode
from core.data.images import open_images, reopen_images
from core.errors import ImageSourceError, UnreadableImage
from tests.data.pictures import make_folder
from tests.data.test_folder import rows

THREE = ["a.png", "b.png", "sub/c.png"]


def as_json(path: Path, tree: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


def box(image: int, category: int, width: float, height: float, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": [0, 0, width, height], **more}


def coco(names: list[str] = THREE) -> dict[str, Any]:
    images = [{"id": 10 + at, "file_name": name, "width": 6, "height": 5} for at, name in enumerate(names)]
    categories = [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog"}]
    boxes = [box(10, 1, 2, 2, segmentation=[[0, 0, 1, 1]]), box(10, 7, 3, 2), box(11, 1, 9, 9, iscrowd=1)]
    return {"images": images, "categories": categories, "annotations": [*boxes, box(11, 1, 1, 1)]}


def labels(source: Any) -> list[str | None]:
    return [row[2] for row in rows(source)]


def test_coco__label_is_the_class_of_the_largest_box(tmp_path):
    make_folder(tmp_path / "train2017", THREE)
    path = as_json(tmp_path / "annotations/instances_train2017.json", coco())
    source = open_images(path)
    assert source.kind == "annotated" and labels(source) == ["dog", "cat", None]
    assert source.extras is not None and source.extras["n_boxes"].tolist() == [2, 1, 0]
    expected = "the label is the class of the largest box; 1 image with boxes of several classes"
    assert expected in source.notes and "1 image without label" in source.notes
    assert_array_equal(source.read(2), decode(tmp_path / "train2017/sub/c.png"))
    again = reopen_images(source.describe())
    assert again.fingerprint() == source.fingerprint() and again.read_id("b.png").size == (6, 5)


def test_coco__two_files_are_train_and_val(tmp_path):
    make_folder(tmp_path / "train", THREE)
    make_folder(tmp_path / "valid", ["d.png"])
    train = as_json(tmp_path / "train/_annotations.coco.json", coco())
    val = as_json(tmp_path / "valid/_annotations.coco.json", coco(["d.png"]))
    source = open_images(train, val=val)
    assert source.table["split"].tolist() == ["train"] * 3 + ["val"]
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png"])
def test_paths_outside_the_folder_are_skipped_with_their_reason(tmp_path, name):
    make_folder(tmp_path, ["secret.png", "photos/a.png"])
    source = open_images(as_json(tmp_path / "photos/coco.json", coco(["a.png", name])))
    assert any(note.startswith("1 image outside '") for note in source.notes)
    with pytest.raises(UnreadableImage, match="'.*photos'"):
        source.read(1)
    assert source.read(0).size == (6, 5)
    table = tmp_path / "t.csv"
    table.write_text(f"path\na.png\n{name}\n")
    confined = open_images(f"{table}?root={tmp_path}/photos")
    with pytest.raises(UnreadableImage, match="leaves"):
        confined.read(1)


def test_root__of_tables_and_exports(tmp_path):
    make_folder(tmp_path / "far", THREE)
    (tmp_path / "t.csv").write_text(f"path,label\na.png,x\n{tmp_path}/far/sub/c.png,y\n")
    source = open_images(f"{tmp_path}/t.csv?root={tmp_path}/far")
    assert [source.read(row).size for row in (0, 1)] == [(6, 5)] * 2
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()
    path = as_json(tmp_path / "coco.json", coco())
    assert open_images(f"{path}?root={tmp_path}/far").read(2).size == (6, 5)
    with pytest.raises(ImageSourceError, match="'.*fra'.*'far'"):
        open_images(f"{path}?root={tmp_path}/fra")
    with pytest.raises(ImageSourceError, match="'rot'"):
        open_images(f"{path}?rot=x")


def test_fiftyone__samples_with_classes_tags_and_boxes(tmp_path):
    make_folder(tmp_path / "data", ["a.png", "b.png"])
    cat = {"_cls": "Classification", "label": "cat"}
    detections = [
        {"label": "bee", "bounding_box": [0, 0, 0.1, 0.1]},
        {"label": "ape", "bounding_box": [0, 0, 1, 1]},
    ]
    samples = [
        {"filepath": "data/a.png", "tags": ["train"], "ground_truth": cat, "weather": "rain", "seen": 1},
        {
            "filepath": "data/b.png",
            "tags": ["x", "Validation"],
            "objects": {"_cls": "Detections"},
            "seen": "often",
        },
    ]
    samples[1]["objects"]["detections"] = detections  # pyright: ignore[reportArgumentType, reportIndexIssue]
    as_json(tmp_path / "samples.json", {"samples": samples})
    source = open_images(tmp_path)
    assert rows(source) == [("data/a.png", "train", "cat"), ("data/b.png", "val", None)]
    assert source.extras is not None and source.extras["weather"].fillna("").tolist() == ["rain", ""]
    assert source.extras["seen"].tolist() == ["1", "often"]  # of two kinds, which no file can hold
    assert "labels are 'ground_truth'; for objects write ?label=objects" in source.notes
    boxes = open_images(f"{tmp_path}?label=objects")
    assert labels(boxes) == [None, "ape"] and boxes.read(1).size == (6, 5)
    with pytest.raises(ImageSourceError, match="'object'.*'objects'"):
        open_images(f"{tmp_path}?label=object")


@pytest.mark.parametrize("odd", [1.5, True, "x", {"a": 1}, [[1]], [{"label": [1], "bounding_box": 2}]])
def test_fiftyone__values_of_other_kinds_are_no_labels(tmp_path, odd):
    make_folder(tmp_path / "data", ["a.png"])
    boxes = {"_cls": "Detections", "detections": odd}
    samples = [{"filepath": "data/a.png", "tags": odd, "boxes": boxes}]
    source = open_images(as_json(tmp_path / "samples.json", {"samples": samples}))
    assert labels(source) == [None]


def test_json__whole_numbers_beside_a_missing_one_stay_whole(tmp_path):
    make_folder(tmp_path / "data", ["a.png", "b.png"])
    samples = [{"filepath": f"data/{name}.png", "key": key} for name, key in (("a", 2**53 + 1), ("b", None))]
    source = open_images(as_json(tmp_path / "samples.json", {"samples": samples}))
    assert source.extras is not None and source.extras["key"].tolist()[0] == str(2**53 + 1)


@pytest.mark.parametrize("values", [[1, 0, 9], ["b", "a", ""], [{"label": "b"}, {"label": "a"}, None]])
def test_fiftyone__labels(tmp_path, values):
    make_folder(tmp_path / "data", [*THREE, "left.png"])
    keys = ["a", "b", "sub/c"]
    tree = {"classes": ["a", "b"], "labels": dict(zip(keys, values, strict=True))}
    as_json(tmp_path / "labels.json", tree)
    source = open_images(tmp_path)
    assert [(row[0], row[2]) for row in rows(source)] == [("a.png", "b"), ("b.png", "a"), ("sub/c.png", None)]
    assert "1 image of data/ that labels.json does not name ignored" in source.notes


def test_fiftyone__labels_of_boxes(tmp_path):
    make_folder(tmp_path / "data", THREE)
    boxes = [{"label": 1, "bounding_box": [0, 0, 0.2, 0.2]}, {"label": 0, "bounding_box": [0, 0, 0.5, 0.4]}]
    values = [boxes, [{"label": "b", "bounding_box": "?"}], []]
    tree = {"classes": ["a", "b"], "labels": dict(zip(["a", "b", "sub/c"], values, strict=True))}
    as_json(tmp_path / "labels.json", tree)
    source = open_images(tmp_path)
    assert labels(source) == ["a", "b", None] and any("largest" in note for note in source.notes)


def choice(name: str, **more: Any) -> dict[str, Any]:
    return {"result": [{"type": "choices", "from_name": "c", "value": {"choices": [name]}}], **more}


def test_label_studio__choices_boxes_and_references(tmp_path):
    make_folder(tmp_path, ["images/12345678-a.png", "b.png", "pets/c d.png", "e.png"])
    boxes = [
        {"type": "rectanglelabels", "value": {"rectanglelabels": [name], "width": side, "height": side}}
        for name, side in (("ape", 5), ("bee", 9))
    ]
    tasks = [
        {"data": {"image": "/data/upload/1/12345678-a.png"}, "annotations": [choice("cat")]},
        {"data": {"image": "/data/upload/1/abcdef01-b.png"},
         "annotations": [choice("no", was_cancelled=True), choice("dog"), choice("cat")]},
        {"data": {"image": "/data/local-files/?d=pets/c%20d.png"}, "annotations": [{"result": boxes}]},
        {"data": {"image": "s3://bucket/x/e.png"}, "annotations": []},
    ]  # fmt: skip
    source = open_images(as_json(tmp_path / "export.json", tasks))
    assert labels(source) == ["cat", "dog", "bee", None]
    assert [source.read(row).size for row in range(4)] == [(6, 5)] * 4
    assert "1 image with answers that differ: the first is the label" in source.notes
    minimal = [
        {"image": "b.png", "choice": "dog", "id": 1},
        {"image": "e.png", "choice": {"choices": ["x", "y"]}},
    ]
    assert labels(open_images(as_json(tmp_path / "min.json", minimal))) == ["dog", "x"]


def test_json__what_is_no_known_form(tmp_path):
    make_folder(tmp_path, ["a.png"])
    cases: list[tuple[Any, str]] = [
        ({"a": 1}, "is none of the known JSON files"),
        ([1, 2], "is none of the known JSON files"),
        ([], "lists no images"),
        ({"images": [], "annotations": []}, "lists no images"),
        ({"images": 3, "annotations": []}, "looks like COCO, but 'images' is no list of objects"),
        ({"images": [{"id": 1}], "annotations": []}, "looks like COCO, but an image has no file_name"),
        ({"samples": [{}]}, "looks like FiftyOne's samples.json, but a sample has no filepath"),
        ({"labels": 3, "classes": []}, "looks like FiftyOne's labels.json"),
        ([{"data": {"text": "hello"}}], "looks like Label Studio, but a task names no image file"),
    ]
    for tree, message in cases:
        with pytest.raises(ImageSourceError, match=message) as caught:
            open_images(as_json(tmp_path / "x.json", tree))
        assert "\n" not in str(caught.value)


def test_json__hostile_values_lose_only_themselves(tmp_path):
    make_folder(tmp_path, ["a.png"])
    tree = coco(["a.png", "\ud800.png", "x\0y.png", "n" * 5000 + ".png"])
    tree["categories"] += [{"id": [1], "name": "x"}, {"id": 9, "name": {"a": 1}}]
    odd: Any = [{"image_id": [1]}, box(10, 9, 1, 1), box(10, 1, 10**400, -1), {"image_id": 10, "bbox": "x"}]
    tree["annotations"] += [*odd, {"image_id": 10, "category_id": 7, "area": float("nan")}]
    source = open_images(as_json(tmp_path / "x.json", tree))
    assert labels(source)[0] == "dog" and source.read(0).size == (6, 5)
    for row in (1, 2, 3):
        with pytest.raises(UnreadableImage):
            source.read(row)


def test_json__size_is_looked_at_before_reading(tmp_path, monkeypatch):
    path = as_json(tmp_path / "x.json", coco())
    monkeypatch.setattr(annotated, "MOST_BYTES", 100)
    with pytest.raises(ImageSourceError, match="'.*x.json'.*0.*0"):
        open_images(path)
    path.write_text("[" * 200_000)
    monkeypatch.undo()
    with pytest.raises(ImageSourceError, match="'.*x.json'"):
        open_images(path)


def test_json__an_image_that_is_listed_twice(tmp_path):
    make_folder(tmp_path, ["a.png"])
    source = open_images(as_json(tmp_path / "x.json", coco(["a.png", "a.png"])))
    assert labels(source) == ["dog"] and "1 further entry of the same images left out" in source.notes
