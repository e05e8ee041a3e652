"""Lists, JSON tables and outlines as data sets are downloaded, made here in small in the same form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.data.images import open_images
from core.errors import ImageSourceError
from tests.data.pictures import make_folder
from tests.data.test_columns import labels, record, said, same_again
from tests.data.test_folder import rows

NAMES = [f"{number}.png" for number in range(6)]


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def as_json(path: Path, tree: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


def test_pets__names_without_extension_and_several_fields(tmp_path):
    make_folder(tmp_path / "images", ["Abyssinian_1.jpg", "Abyssinian_2.jpg", "beagle_1.jpg"])
    lines = ("#Image CLASS-ID SPECIES BREED ID", "Abyssinian_1 1 1 1", "Abyssinian_2 1 1 1", "beagle_1 5 2 3")
    source = open_images(text(tmp_path / "annotations/list.txt", *lines))
    assert labels(source) == ["1", "1", "5"] and said(source, "further_fields").n == 3
    assert source.extras is not None and source.extras["4"].tolist() == [1, 1, 3]
    assert source.read(2).size == (6, 5) and same_again(source)
    assert labels(open_images(f"{tmp_path}/annotations/list.txt?label=3&root={tmp_path}/images")) == [
        "1",
        "1",
        "2",
    ]


def test_voc__lists_of_names(tmp_path):
    make_folder(tmp_path / "VOC2012/JPEGImages", ["2008_1.jpg", "2008_2.jpg", "2008_3.jpg"])
    path = text(tmp_path / "VOC2012/ImageSets/Main/cat_train.txt", "2008_1 -1", "2008_2  1", "2008_3 -1")
    source = open_images(path)
    assert labels(source) == ["-1", "1", "-1"] and source.read(0).size == (6, 5)
    assert len(open_images(text(path.with_name("train.txt"), "2008_1", "2008_3"))) == 2


def test_aircraft_and_food_101(tmp_path):
    make_folder(tmp_path / "data/images", ["1025794.jpg", "1340192.jpg"])
    source = open_images(
        text(tmp_path / "data/images_variant_train.txt", "1025794 707-320", "1340192 DC-9 30")
    )
    assert labels(source) == ["707-320", "DC-9 30"]
    make_folder(tmp_path / "food/images", ["apple_pie/1.jpg", "apple_pie/2.jpg", "ramen/1.jpg"])
    source = open_images(text(tmp_path / "food/meta/train.txt", "apple_pie/1", "apple_pie/2", "ramen/1"))
    assert labels(source) == ["apple_pie", "apple_pie", "ramen"] and said(source, "folder_labels")
    tree = {"apple_pie": ["apple_pie/1", "apple_pie/2"], "ramen": ["ramen/1"]}
    assert labels(
        open_images(f"{as_json(tmp_path / 'food/meta/train.json', tree)}?root={tmp_path}/food/images")
    ) == [*("apple_pie", "apple_pie", "ramen")]


def test_list__label_and_box(tmp_path):
    make_folder(tmp_path, NAMES[:3])
    source = open_images(
        text(tmp_path / "t.txt", "0.png dog 1 2 30 40", "1.png cat 1 2 3 4", "2.png dog 0 0 5 5")
    )
    assert labels(source) == ["dog", "cat", "dog"] and source.extras is not None
    boxes = open_images(
        text(tmp_path / "y.txt", "0.png 0,0,9,9,1 0,0,2,2,0", "1.png 0,0,1,1,0", "2.png 1,1,2,2,1")
    )
    assert labels(boxes) == ["1", "0", "1"] and said(boxes, "boxes_of_lines").n == 3


def test_celeba__attributes_and_partition(tmp_path):
    make_folder(tmp_path / "img_align_celeba", [f"00000{n}.jpg" for n in range(1, 5)])
    lines = [f"00000{n}.jpg {1 if n % 2 else -1:2d}  1" for n in range(1, 5)]
    path = text(tmp_path / "list_attr_celeba.txt", "4", "Bald Young ", *lines)
    source = open_images(path)
    assert labels(source) == [None] * 4 and "Bald" in said(source, "taken").why
    bald = open_images(f"{path}?label=Bald")
    assert labels(bald) == ["1", "-1", "1", "-1"] and bald.read(3).size == (6, 5) and same_again(bald)
    split = text(tmp_path / "list_eval_partition.txt", *(f"00000{n}.jpg {n % 3}" for n in range(1, 5)))
    assert open_images(split).split_given


def test_coop__split_of_a_data_set(tmp_path):
    make_folder(tmp_path / "images", NAMES)
    lists = {split: [[name, n % 2, "cat" if n % 2 else "dog"] for n, name in enumerate(NAMES[at : at + 2])]
             for split, at in (("train", 0), ("val", 2), ("test", 4))}  # fmt: skip
    source = open_images(as_json(tmp_path / "split_zhou.json", lists))
    assert [row[1:] for row in rows(source)] == [
        *(("train", "dog"), ("train", "cat"), ("val", "dog"), ("val", "cat"))
    ]
    assert source.read(0).size == (6, 5) and same_again(source)


@pytest.mark.parametrize(
    "tree",
    [
        [
            {"image": "0.png", "label": "cat", "key": 2**60 + 1},
            {"image": "1.png", "label": "dog", "key": None},
        ],
        {"image": {"0": "0.png", "1": "1.png"}, "label": {"0": "cat", "1": "dog"}},
        {"image": ["0.png", "1.png"], "label": ["cat", "dog"]},
        {"columns": ["image", "label"], "index": [0, 1], "data": [["0.png", "cat"], ["1.png", "dog"]]},
        {"schema": {}, "data": [{"image": "0.png", "label": "cat"}, {"image": "1.png", "label": "dog"}]},
        {"0.png": "cat", "1.png": "dog"},
        {"0.png": {"label": "cat"}, "1.png": {"label": "dog"}},
        {"0.png": ["cat"], "1.png": ["dog"]},
        {"labels": [["0.png", "cat"], ["1.png", "dog"]]},
        {
            "metainfo": {"classes": ["dog", "cat"]},
            "data_list": [{"img_path": "0.png", "gt_label": 1}, {"img_path": "1.png", "gt_label": 0}],
        },
    ],
    ids=["records", "pandas", "columns", "split", "table", "names", "objects", "lists", "pairs", "openmmlab"],
)
def test_json__tables(tmp_path, tree):
    make_folder(tmp_path, NAMES[:2])
    source = open_images(as_json(tmp_path / "t.json", tree))
    assert [(row[0], row[2]) for row in rows(source)] == [("0.png", "cat"), ("1.png", "dog")]
    assert source.read(1).size == (6, 5) and same_again(source)
    if isinstance(tree, list) and source.extras is not None:
        assert source.extras["key"].tolist()[0] == str(2**60 + 1)


def test_im2rec__the_image_is_the_last_field(tmp_path):
    make_folder(tmp_path, [f"{label}/{n}.png" for label in ("cat", "dog") for n in range(4)])
    lines = [
        f"{4 * k + n}\t{k}.000000\t{label}/{n}.png"
        for k, label in enumerate(("cat", "dog"))
        for n in range(4)
    ]
    path = text(tmp_path / "train.txt", *lines)
    assert "?label=2" in said(open_images(path), "taken").why
    source = open_images(f"{path}?label=2")
    assert labels(source) == ["0"] * 4 + ["1"] * 4 and source.read(1).size == (6, 5) and same_again(source)


def test_sun397__folders_below_letters(tmp_path):
    names = ["a/abbey/1.png", "t/theater/indoor/1.png", "c/church/indoor/1.png"]
    make_folder(tmp_path, names)
    source = open_images(text(tmp_path / "Training_01.txt", *(f"/{name}" for name in names)))
    assert labels(source) == ["abbey", "theater/indoor", "church/indoor"]


def test_labelme__the_files_of_a_folder(tmp_path):
    make_folder(tmp_path, NAMES[:2])
    for n, (small, large) in enumerate((("cat", "dog"), ("dog", "cat"))):
        shapes = [{"label": small, "points": [[0, 0], [1, 1]], "shape_type": "rectangle"},
                  {"label": large, "points": [[0, 0], [4, 0], [4, 4]], "shape_type": "polygon"}]  # fmt: skip
        as_json(
            tmp_path / f"{n}.json",
            {"shapes": shapes, "imagePath": f"{n}.png", "imageData": None, "flags": {}},
        )
    source = open_images(tmp_path / "0.json")
    assert [(row[0], row[2]) for row in rows(source)] == [("0.png", "dog"), ("1.png", "cat")]


@pytest.mark.parametrize("is_project", [False, True])
def test_via__regions_and_attributes_of_files(tmp_path, is_project):
    make_folder(tmp_path, NAMES[:2])
    rectangle = {"name": "rect", "x": 0, "y": 0, "width": 2, "height": 2}
    polygon = {"name": "polygon", "all_points_x": [0, 4, 4], "all_points_y": [0, 0, 4]}
    regions = [{"shape_attributes": rectangle, "region_attributes": {"class": "cat"}},
               {"shape_attributes": polygon, "region_attributes": {"class": "dog"}}]  # fmt: skip
    images = {
        "0.png7": {"filename": "0.png", "size": 7, "regions": regions, "file_attributes": {}},
        "1.png7": {"filename": "1.png", "size": 7, "regions": {}, "file_attributes": {"class": "ape"}},
    }
    tree = {"_via_settings": {}, "_via_img_metadata": images} if is_project else images
    assert labels(open_images(as_json(tmp_path / "via.json", tree))) == ["dog", "ape"]


def test_visual_genome__objects(tmp_path):
    make_folder(tmp_path, ["VG_100K/1.jpg", "VG_100K_2/2.jpg"])
    objects = [{"names": ["tree"], "x": 0, "y": 0, "w": 3, "h": 3}, {"names": ["car"], "w": 9, "h": 9}]
    tree = [{"image_id": 1, "objects": objects}, {"image_id": 2, "objects": objects[:1]}]
    source = open_images(as_json(tmp_path / "objects.json", tree))
    assert labels(source) == ["car", "tree"] and source.read(1).size == (6, 5)


def coco(annotations: list[dict[str, Any]], **image: Any) -> dict[str, Any]:
    images = [{"id": n, "file_name": name, **image} for n, name in enumerate(NAMES[:3])]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }


def crowd(image: Any, category: Any, size: float, is_crowd: int = 1) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": [0, 0, size, size], "iscrowd": is_crowd}


def test_coco__crowds_of_datumaro_are_single_objects(tmp_path):
    make_folder(tmp_path, NAMES[:3])
    tree = coco([crowd(0, 1, 9), crowd(1, 1, 9), crowd(2, 1, 9), crowd(0, 2, 1, 0)])
    source = open_images(as_json(tmp_path / "c.json", tree))
    assert labels(source) == ["cat"] * 3 and said(source, "crowds_counted").n == 3
    many = [crowd(0, 2, 1, 0) for _ in range(30)]
    source = open_images(as_json(tmp_path / "c.json", coco([*many, crowd(0, 1, 9), crowd(1, 1, 9)])))
    assert labels(source) == ["dog", "cat", None]
    assert said(source, "crowds_larger").n == 1 and said(source, "crowds_alone").n == 1


def test_coco__ids_as_text_and_numbers_and_addresses_of_lvis(tmp_path):
    make_folder(tmp_path / "train2017", NAMES[:3])
    tree = coco([crowd("0", "2", 3, 0), crowd(1.0, 1, 3, 0)])
    for image in tree["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/train2017/{image.pop('file_name')}"
    source = open_images(as_json(tmp_path / "lvis.json", tree))
    assert labels(source) == ["dog", "cat", None] and source.read(0).size == (6, 5)


def test_coco__captions_are_a_column(tmp_path):
    make_folder(tmp_path, NAMES[:3])
    captions = [{"image_id": n % 2, "id": n, "caption": f"a cat {n}"} for n in range(4)]
    source = open_images(as_json(tmp_path / "captions.json", coco(captions)))
    assert source.extras is not None and source.extras["caption"].tolist()[:2] == ["a cat 0", "a cat 1"]
    assert said(source, "captions").n == 4 and record(source, "taken") is None


def chosen(**controls: list[str]) -> dict[str, Any]:
    results = [
        {"type": "choices", "from_name": name, "value": {"choices": each}} for name, each in controls.items()
    ]
    return {"result": results}


def test_label_studio__two_controls_and_several_choices(tmp_path):
    make_folder(tmp_path, NAMES[:2])
    tasks = [
        {"data": {"image": "0.png"}, "annotations": [chosen(animal=["cat", "dog"], mood=["calm"])]},
        {"data": {"image": "1.png"}, "annotations": [chosen(mood=["wild"], animal=["dog"])]},
    ]
    source = open_images(as_json(tmp_path / "ls.json", tasks))
    assert labels(source) == ["cat", "dog"] and said(source, "several_controls").names == ("mood",)
    assert said(source, "several_choices").n == 1
    mood = open_images(f"{tmp_path}/ls.json?label=mood")
    assert labels(mood) == ["calm", "wild"] and record(mood, "several_controls") is None and same_again(mood)
    with pytest.raises(ImageSourceError, match="'moods'.*'mood'"):
        open_images(f"{tmp_path}/ls.json?label=moods")
    minimal = [{"image": name, "animal": {"choices": ["cat"]}, "annotator": 1, "id": 3} for name in NAMES[:2]]
    assert labels(open_images(as_json(tmp_path / "min.json", minimal))) == ["cat", "cat"]
    minimal = [{"image": name, "animal": "ape", "annotation_id": 1, "created_at": "x"} for name in NAMES[:2]]
    assert labels(open_images(as_json(tmp_path / "min.json", minimal))) == ["ape", "ape"]


@pytest.mark.parametrize("prefix", ["", "12345678-"])
def test_label_studio__uploads_below_a_root(tmp_path, prefix):
    make_folder(tmp_path / "far/deep", [f"{prefix}a.png"])
    tasks = [{"data": {"image": "/data/upload/1/12345678-a.png"}, "annotations": [chosen(c=["cat"])]}]
    path = as_json(tmp_path / "near/ls.json", tasks)
    source = open_images(f"{path}?root={tmp_path}/far")
    assert labels(source) == ["cat"] and source.read(0).size == (6, 5) and same_again(source)


def test_label_studio__coco_of_the_converter(tmp_path):
    make_folder(tmp_path, ["a.png", "b.png"])
    names = {0: "images/dc45bed2__a.png", 1: "images/67155647__b.png"}
    images = [{"id": number, "file_name": name, "width": 6, "height": 5} for number, name in names.items()]
    boxes = [{"id": n, "image_id": n, "category_id": n, "bbox": [0, 0, 2, 2]} for n in names]
    categories = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    tree = {"images": images, "annotations": boxes, "categories": categories}
    source = open_images(f"{as_json(tmp_path / 'out/result.json', tree)}?root={tmp_path}")
    assert labels(source) == ["cat", "dog"] and source.read(1).size == (6, 5) and same_again(source)


def test_createml(tmp_path):
    make_folder(tmp_path, NAMES[:2])
    boxes = [
        {"label": name, "coordinates": {"x": 2, "y": 2, "width": width, "height": 3}}
        for name, width in {"cat": 1, "dog": 4}.items()
    ]
    tree = [{"image": NAMES[0], "annotations": boxes}, {"image": NAMES[1], "annotations": boxes[:1]}]
    source = open_images(as_json(tmp_path / "_annotations.createml.json", tree))
    assert labels(source) == ["dog", "cat"] and same_again(source)


def test_cub__lists_that_share_the_ids_of_images(tmp_path):
    names = ["001.Albatross/A_1.jpg", "001.Albatross/A_2.jpg", "002.Crow/C_1.jpg"]
    make_folder(tmp_path / "images", names)
    text(tmp_path / "images.txt", *(f"{n} {name}" for n, name in enumerate(names, 1)))
    text(tmp_path / "image_class_labels.txt", "3 2", "1 1", "2 1")
    text(tmp_path / "classes.txt", "1 001.Albatross", "2 002.Crow")
    split = text(tmp_path / "train_test_split.txt", "1 1", "2 0", "3 1")
    source = open_images(tmp_path / "images.txt")
    assert [row[1:] for row in rows(source)] == [
        *(("train", "001.Albatross"), ("val", "001.Albatross"), ("train", "002.Crow"))
    ]
    assert source.read(2).size == (6, 5) and same_again(source) and len(said(source, "joined").names) == 4
    assert rows(open_images(split)) == rows(source)
    text(tmp_path / "image_class_labels.txt", "3 2", "1 1", "1 2")
    with pytest.raises(ImageSourceError, match="'1' in line 3"):
        open_images(tmp_path / "images.txt")


def test_datumaro__its_own_form(tmp_path):
    make_folder(tmp_path / "images/train", NAMES[:2])
    outline = {"type": "polygon", "label_id": 1, "points": [0, 0, 4, 0, 4, 4], "group": 0}
    box = {"type": "bbox", "label_id": 0, "bbox": [0, 0, 2, 2], "group": 0}
    items = [
        {"id": "0", "annotations": [{"type": "label", "label_id": 0}], "image": {"path": "0.png"}},
        {"id": "1", "annotations": [box, outline], "image": {"path": "1.png"}},
    ]
    tree = {"categories": {"label": {"labels": [{"name": "cat"}, {"name": "dog"}]}}, "items": items}
    source = open_images(as_json(tmp_path / "annotations/train.json", tree))
    assert labels(source) == ["cat", "dog"] and source.read(1).size == (6, 5) and same_again(source)


def test_lines_of_json_in_a_file_called_json(tmp_path):
    make_folder(tmp_path, NAMES[:2])
    lines = ('{"image": "0.png", "label": "cat"}', '{"image": "1.png", "label": "dog"}')
    assert labels(open_images(text(tmp_path / "t.json", *lines))) == ["cat", "dog"]
