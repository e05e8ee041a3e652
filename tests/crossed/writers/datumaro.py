"""Data sets that datumaro exports (CVAT's forms among them), as it imports them again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datumaro as dm
import numpy as np
from datumaro.components.annotation import Bbox, Caption, Label, Mask, Polygon
from datumaro.components.media import Image

from tests.crossed.data_kit import Picture, WrittenData, drawn, outlined

NAMES = ("cat", "dog", "owl")
N = {"train": 6, "val": 3}


def outline(number: int) -> list[float]:
    left, top = 2 + number % 9, 3 + number % 7
    return [left, top, left + 21, top, left + 21, top + 18, left, top + 18]


def annotations(kinds: Sequence[str], number: int) -> list[Any]:
    label = number % 3
    left, top = outline(number)[:2]
    made = {
        "label": Label(label),
        "box": Bbox(left, top, 21, 18, label=label, id=number, group=number),
        "polygon": Polygon(outline(number), label=label, id=number, group=number),
        "mask": Mask(outlined(number), label=label, id=number, group=number),
        "caption": Caption(f"A picture with the number {number}, in colours"),
    }
    return [made[kind] for kind in kinds]


def data_set(kinds: Sequence[str], splits: Sequence[str] = ("train", "val"), below: str = "") -> dm.Dataset:
    items = []
    for at, split in enumerate(splits):
        for number in range(20 * at, 20 * at + N.get(split, 6)):
            picture = Image.from_numpy(np.asarray(drawn(number))[..., ::-1].copy(), ext=".png")
            name = f"{below}{split[:2]}_{number:03d}"
            items.append(
                dm.DatasetItem(name, subset=split, media=picture, annotations=annotations(kinds, number))
            )
    return dm.Dataset.from_iterable(items, categories=list(NAMES), media_type=Image)


def back(data: dm.Dataset) -> list[Picture]:
    """Pixels, the class of the first annotation that has one, and the union of the shapes."""
    categories = data.categories().get(dm.AnnotationType.label)
    pictures = []
    for item in data:
        labels = [one.label for one in item.annotations if getattr(one, "label", None) is not None]
        label = categories[labels[0]].name if labels and categories else None
        pixels = item.media.data[..., :3][..., ::-1].astype(np.uint8)
        texts = [one.caption for one in item.annotations if isinstance(one, Caption)]
        pictures.append(
            Picture(
                pixels,
                label,
                item.subset if item.subset != "default" else "",
                text=texts[0] if texts else "",
                mask=shape_of(item, pixels.shape[:2]),
            )
        )
    return pictures


def shape_of(item: Any, size: tuple[int, int]) -> np.ndarray | None:
    masks = [np.asarray(one.image) > 0 for one in item.annotations if isinstance(one, Mask)]
    if not masks:
        return None
    return np.logical_or.reduce([one for one in masks if one.shape == size])


def exported(
    folder: Path,
    form: str,
    kinds: Sequence[str] = ("label",),
    *,
    spec: str = "",
    splits: Sequence[str] = ("train", "val"),
    masks: str = "",
    reads: str = "",
    labels: bool = True,
    told: bool = True,
    options: dict[str, Any] | None = None,
    below: str = "",
    how: dict[str, Any] | None = None,
    **written: Any,
) -> WrittenData:
    """Export as a form.

    Args:
        kinds: of the annotations. spec: below the export's folder. reads: the form to import it as.
        labels: whether the form holds labels at all. told: whether it holds splits where the spec looks.
    """
    root = folder / "data"
    whole = data_set(kinds, splits, below)
    whole.export(str(root), form, save_media=True, **(how or {}))
    pictures = back(_imported(root, reads or form, whole))
    for picture in pictures:
        picture.label = picture.label if labels else ""
        picture.split = picture.split if told and len(splits) > 1 else ""
        picture.text = ""
    placed = {name: f"{{folder}}/data/{one}" for name, one in (options or {}).items()}
    more = {"masks": f"{{folder}}/data/{masks}"} if masks else {}
    if written.pop("captions", ""):
        items = sorted(dm.Dataset.import_from(str(root), reads or form), key=lambda item: item.id)
        texts = [one.annotations[0].caption for one in items]
        return WrittenData(captions=f"{{folder}}/data/{spec}", texts=texts)
    if then := written.pop("then", ""):
        written["then"] = (f"{{folder}}/data/{then}", {})
    return WrittenData(spec=f"{{folder}}/data/{spec}", options=placed, pictures=pictures, **more, **written)


def _imported(root: Path, form: str, whole: dm.Dataset) -> dm.Dataset:
    """What datumaro imports; what it exported, where it cannot import that or imports no pictures."""
    try:
        found = dm.Dataset.import_from(str(root), form)
        seen = all(item.media is not None and item.media.data is not None for item in found)
        return found if seen and len(found) == len(whole) else whole
    except Exception:
        return whole


ONE = ("train",)
COCO_TRAIN = "annotations/instances_train.json"
CASES = {
    ("export", "imagenet"): partial(exported, form="imagenet", splits=ONE),
    ("export", "imagenet_with_subset_dirs"): partial(exported, form="imagenet_with_subset_dirs"),
    ("export", "imagenet_txt"): partial(exported, form="imagenet_txt", splits=ONE, spec="train.txt"),
    ("export", "imagenet_txt, train and val"): partial(
        exported, form="imagenet_txt", spec="train.txt", options={"val": "val.txt"}
    ),
    ("export", "image_dir"): partial(exported, form="image_dir", kinds=(), splits=ONE, labels=False),
    ("export", "image_zip"): partial(
        exported, form="image_zip", kinds=(), splits=ONE, labels=False, refused=True
    ),
    ("export", "coco_instances, polygons"): partial(
        exported, form="coco_instances", kinds=("polygon",), splits=ONE, spec=COCO_TRAIN
    ),
    ("export", "coco_instances, boxes"): partial(
        exported, form="coco_instances", kinds=("box",), splits=ONE, spec=COCO_TRAIN
    ),
    ("export", "coco_instances, masks"): partial(
        exported, form="coco_instances", kinds=("mask",), splits=ONE, spec=COCO_TRAIN, masks=COCO_TRAIN
    ),
    ("export", "coco_instances, masks, crop_covered"): partial(
        exported,
        form="coco_instances",
        kinds=("mask",),
        splits=ONE,
        spec=COCO_TRAIN,
        masks=COCO_TRAIN,
        how={"crop_covered": True},
    ),
    ("export", "coco_instances, masks as polygons"): partial(
        exported,
        form="coco_instances",
        kinds=("mask",),
        splits=ONE,
        spec=COCO_TRAIN,
        how={"segmentation_mode": "polygons"},
    ),
    ("export", "coco_instances, masks as masks"): partial(
        exported,
        form="coco_instances",
        kinds=("polygon",),
        splits=ONE,
        spec=COCO_TRAIN,
        masks=COCO_TRAIN,
        how={"segmentation_mode": "mask"},
    ),
    ("export", "coco_instances, train and val"): partial(
        exported,
        form="coco_instances",
        kinds=("polygon",),
        spec=COCO_TRAIN,
        options={"val": "annotations/instances_val.json"},
    ),
    ("export", "coco_instances, images in folders"): partial(
        exported, form="coco_instances", kinds=("polygon",), splits=ONE, spec=COCO_TRAIN, below="deep/er/"
    ),
    ("export", "coco_labels"): partial(
        exported, form="coco_labels", splits=ONE, spec="annotations/labels_train.json"
    ),
    ("export", "coco_captions"): partial(
        exported,
        form="coco_captions",
        kinds=("caption",),
        splits=ONE,
        spec="annotations/captions_train.json",
        captions="yes",
    ),
    ("export", "coco_image_info"): partial(
        exported,
        form="coco_image_info",
        kinds=(),
        splits=ONE,
        spec="annotations/image_info_train.json",
        labels=False,
    ),
    ("export", "coco_panoptic"): partial(
        exported,
        form="coco_panoptic",
        kinds=("mask",),
        splits=ONE,
        spec="annotations/panoptic_train.json",
        may_lack=True,
    ),
    ("export", "coco_stuff"): partial(
        exported, form="coco_stuff", kinds=("mask",), splits=ONE, spec="annotations/stuff_train.json"
    ),
    ("export", "voc_classification, its folder"): partial(
        exported, form="voc_classification", may_lack=True, told=False
    ),
    ("export", "voc_detection, its folder"): partial(
        exported, form="voc_detection", kinds=("box",), may_lack=True, told=False
    ),
    ("export", "voc_segmentation, its folder"): partial(
        exported, form="voc_segmentation", kinds=("mask",), may_lack=True, told=False
    ),
    ("export", "voc_segmentation, JPEGImages/"): partial(
        exported, form="voc_segmentation", kinds=("mask",), spec="JPEGImages", splits=ONE, may_lack=True
    ),
    ("export", "yolo"): partial(exported, form="yolo", kinds=("box",), may_lack=True, told=False),
    ("export", "yolo, obj_train_data/"): partial(
        exported, form="yolo", kinds=("box",), splits=ONE, spec="obj_train_data", may_lack=True
    ),
    ("export", "yolo_ultralytics"): partial(exported, form="yolo_ultralytics", kinds=("box",), may_lack=True),
    ("export", "yolo_ultralytics, images/"): partial(
        exported, form="yolo_ultralytics", kinds=("box",), spec="images", may_lack=True
    ),
    ("export", "cvat, its folder"): partial(exported, form="cvat", kinds=("box",), splits=ONE, may_lack=True),
    ("export", "cvat, train.xml"): partial(
        exported, form="cvat", kinds=("box",), splits=ONE, spec="train.xml", refused=True
    ),
    ("export", "datumaro"): partial(
        exported,
        form="datumaro",
        splits=ONE,
        spec="annotations/train.json",
        then="images/train",
        may_lack=True,
    ),
    ("export", "datumaro, its folder"): partial(exported, form="datumaro", may_lack=True),
    ("export", "datumaro_binary, its folder"): partial(exported, form="datumaro_binary", may_lack=True),
    ("export", "arrow"): partial(exported, form="arrow", splits=ONE, refused=True),
    ("export", "label_me, its folder"): partial(
        exported, form="label_me", kinds=("polygon",), splits=ONE, may_lack=True
    ),
    ("export", "camvid, its folder"): partial(
        exported, form="camvid", kinds=("mask",), splits=ONE, may_lack=True
    ),
    ("export", "kitti_detection, its folder"): partial(
        exported, form="kitti_detection", kinds=("box",), splits=ONE, may_lack=True
    ),
    ("export", "kitti_segmentation, its folder"): partial(
        exported, form="kitti_segmentation", kinds=("mask",), splits=ONE, may_lack=True
    ),
    ("export", "mnist"): partial(exported, form="mnist", splits=ONE, refused=True),
    ("export", "mnist_csv"): partial(
        exported, form="mnist_csv", splits=ONE, spec="mnist_train.csv", refused=True
    ),
    ("export", "cifar"): partial(exported, form="cifar", splits=ONE, refused=True),
    ("export", "lfw, its folder"): partial(exported, form="lfw", splits=ONE),
    ("export", "vgg_face2, its folder"): partial(exported, form="vgg_face2"),
    ("export", "market1501, its folder"): partial(exported, form="market1501", splits=ONE, may_lack=True),
    ("export", "open_images, its folder"): partial(
        exported, form="open_images", splits=("train", "validation"), may_lack=True
    ),
    ("export", "mvtec_classification, its folder"): partial(
        exported, form="mvtec_classification", splits=("train", "test"), may_lack=True
    ),
    ("export", "mvtec_segmentation, its folder"): partial(
        exported, form="mvtec_segmentation", kinds=("mask",), splits=("train", "test"), may_lack=True
    ),
    ("export", "wider_face, its folder"): partial(exported, form="wider_face", kinds=("box",), may_lack=True),
    ("export", "segment_anything, its folder"): partial(
        exported, form="segment_anything", kinds=("mask",), splits=ONE, labels=False
    ),
    ("export", "cityscapes, imgsFine/leftImg8bit"): partial(
        exported,
        form="cityscapes",
        kinds=("mask",),
        splits=ONE,
        spec="imgsFine/leftImg8bit/train",
        labels=False,
    ),
    ("export", "icdar_word_recognition, its folder"): partial(
        exported, form="icdar_word_recognition", kinds=("caption",), splits=ONE, labels=False
    ),
}
