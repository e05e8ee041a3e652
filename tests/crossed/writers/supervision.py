"""Data sets that supervision writes, as it reads them again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import supervision as sv

from tests.crossed.data_kit import Picture, WrittenData, drawn, outlined, rgb, save_all

NAMES = ["cat", "dog", "hot dog"]


def detections(number: int, masks: bool) -> sv.Detections:
    left, top = 2 + number % 9, 3 + number % 7
    shape = {"mask": outlined(number)[None].astype(bool)} if masks else {}
    box = np.array([[left, top, left + 21, top + 18]], float)
    return sv.Detections(xyxy=box, class_id=np.array([number % 3]), **shape)


def data_set(root: Path, masks: bool = True, n: int = 6, first: int = 0) -> sv.DetectionDataset:
    places = [root / "source" / f"p{number:03d}.png" for number in range(first, first + n)]
    save_all(places, first)
    held = {str(place): detections(first + at, masks) for at, place in enumerate(places)}
    return sv.DetectionDataset(classes=NAMES, images=[str(one) for one in places], annotations=held)


def said(data: sv.DetectionDataset, split: str = "", labels: bool = True) -> list[Picture]:
    """What supervision reads of each picture: the class and mask of its only detection."""
    pictures = []
    for path, image, found in data:
        label = data.classes[int(found.class_id[0])] if labels else ""
        mask = None if found.mask is None else np.asarray(found.mask[0])
        pictures.append(Picture(rgb(image[..., ::-1]), label, split, Path(path).name, mask=mask))
    return pictures


def coco(folder: Path, *, masks: bool, read: bool = True, **how: Any) -> WrittenData:
    data_set(folder, masks).as_coco(str(folder / "images"), str(folder / "coco.json"), **how)
    back = sv.DetectionDataset.from_coco(str(folder / "images"), str(folder / "coco.json"), force_masks=masks)
    spec = "{folder}/coco.json"
    return WrittenData(
        spec=spec,
        pictures=said(back),
        masks=spec if masks and read else "",
        excused="core masks: the outlines",  # supervision draws them as OpenCV does, a rim larger than COCO
    )


def yolo(folder: Path, spec: str, *, splits: bool = False) -> WrittenData:
    pictures = []
    for at, split in enumerate(("train", "valid") if splits else ("",)):
        base = folder / "data" / split
        images, labels, yaml = (str(base / name) for name in ("images", "labels", "data.yaml"))
        data_set(folder / f"of{split}", True, first=10 * at).as_yolo(images, labels, yaml)
        pictures += said(sv.DetectionDataset.from_yolo(images, labels, yaml), split)
    return WrittenData(spec=spec, pictures=pictures, may_lack=True)


def voc(folder: Path, spec: str, **written: Any) -> WrittenData:
    images, annotations = str(folder / "data" / "images"), str(folder / "data" / "annotations")
    data_set(folder).as_pascal_voc(images, annotations)
    back = sv.DetectionDataset.from_pascal_voc(images, annotations)
    return WrittenData(spec=spec, pictures=said(back), **written)


def createml(folder: Path, **written: Any) -> WrittenData:
    data_set(folder, False).as_createml(
        str(folder / "data"), str(folder / "data" / "_annotations.createml.json")
    )
    back = sv.DetectionDataset.from_createml(
        str(folder / "data"), str(folder / "data" / "_annotations.createml.json")
    )
    return WrittenData(pictures=said(back), **written)


def labelme(folder: Path, spec: str, **written: Any) -> WrittenData:
    data_set(folder).as_labelme(str(folder / "data"), str(folder / "data"))
    back = sv.DetectionDataset.from_labelme(str(folder / "data"), str(folder / "data"))
    return WrittenData(spec=spec, pictures=said(back), **written)


def folders(folder: Path, *, splits: bool = False) -> WrittenData:
    pictures = []
    for at, split in enumerate(("train", "test") if splits else ("",)):
        places = [folder / "source" / f"{split}{number}.png" for number in range(6)]
        save_all(places, 10 * at)
        classes = {str(one): sv.Classifications(class_id=np.array([n % 3])) for n, one in enumerate(places)}
        data = sv.ClassificationDataset(
            classes=NAMES, images=[str(one) for one in places], annotations=classes
        )
        data.as_folder_structure(str(folder / "data" / split))
        back = sv.ClassificationDataset.from_folder_structure(str(folder / "data" / split))
        for path, image, found in back:
            label = back.classes[int(found.class_id[0])]
            pictures.append(Picture(rgb(image[..., ::-1]), label, split, Path(path).name))
    return WrittenData(spec="{folder}/data", pictures=pictures)


def csv_sink(folder: Path) -> WrittenData:
    """CSVSink: a row a detection, with the picture's name beside."""
    save_all([folder / "data" / f"p{number}.png" for number in range(6)])
    with sv.CSVSink(str(folder / "data" / "detections.csv")) as sink:
        for number in range(6):
            found = detections(number, False)
            found.data["class_name"] = np.array([NAMES[number % 3]])
            sink.append(found, {"file_name": f"p{number}.png"})
    pictures = [Picture(rgb(drawn(number)), NAMES[number % 3]) for number in range(6)]
    return WrittenData(
        spec="{folder}/data/detections.csv",
        pictures=pictures,
        then=("{folder}/data/detections.csv?label=class_name", {}),
    )


def several_boxes(folder: Path) -> WrittenData:
    """CSVSink with two or three rows a picture; the class of the largest box is the picture's."""
    save_all([folder / "data" / f"p{number}.png" for number in range(6)])
    with sv.CSVSink(str(folder / "data" / "detections.csv")) as sink:
        for number in range(6):
            sizes = np.roll([4, 20, 9][: 2 + number % 2], number)
            boxes = np.array([[3, 2, 3 + size, 2 + size] for size in sizes], float)
            numbers = (np.arange(len(sizes)) + number) % 3
            names = {"class_name": np.array([NAMES[one] for one in numbers])}
            detected = sv.Detections(xyxy=boxes, class_id=numbers, data=names)
            sink.append(detected, {"file_name": f"p{number}.png"})
    back = pd.read_csv(folder / "data" / "detections.csv")
    back["area"] = (back["x_max"] - back["x_min"]) * (back["y_max"] - back["y_min"])
    largest = back.loc[back.groupby("file_name")["area"].idxmax()].set_index("file_name")["class_name"]
    pictures = [Picture(rgb(drawn(number)), largest[f"p{number}.png"]) for number in range(6)]
    return WrittenData(spec="{folder}/data/detections.csv", pictures=pictures)


CASES = {
    ("as_coco", "masks"): partial(coco, masks=True),
    ("as_coco", "boxes"): partial(coco, masks=False),
    ("as_coco", "masks, approximation_percentage=0.5"): partial(
        coco, masks=True, approximation_percentage=0.5
    ),
    ("as_yolo", "its folder"): partial(yolo, spec="{folder}/data"),
    ("as_yolo", "images/"): partial(yolo, spec="{folder}/data/images"),
    ("as_yolo", "train/ and valid/"): partial(yolo, spec="{folder}/data", splits=True),
    ("as_pascal_voc", "its folder"): partial(voc, spec="{folder}/data", may_lack=True),
    ("as_pascal_voc", "images/"): partial(voc, spec="{folder}/data/images", may_lack=True),
    ("as_pascal_voc", "annotations/"): partial(voc, spec="{folder}/data/annotations", refused=True),
    ("as_createml", "_annotations.createml.json"): partial(
        createml, spec="{folder}/data/_annotations.createml.json"
    ),
    ("as_createml", "its folder"): partial(createml, spec="{folder}/data", may_lack=True),
    ("as_labelme", "its folder"): partial(labelme, spec="{folder}/data", may_lack=True),
    ("as_labelme", "one of its files"): partial(labelme, spec="{folder}/data/p000.json"),  # loaded by folder
    ("as_folder_structure", "class folders"): folders,
    ("as_folder_structure", "train/ and test/"): partial(folders, splits=True),
    ("CSVSink", "class_name, file_name"): csv_sink,
    ("CSVSink", "several boxes a picture"): several_boxes,
}
