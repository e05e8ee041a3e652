"""Data sets that FiftyOne's exporters write, as its importers read them. Neither needs its database."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ["FIFTYONE_DO_NOT_TRACK"] = "1"

import fiftyone as fo
import fiftyone.utils.bdd as bdd
import fiftyone.utils.coco as coco
import fiftyone.utils.cvat as cvat
import fiftyone.utils.data as foud
import fiftyone.utils.kitti as kitti
import fiftyone.utils.voc as voc
import fiftyone.utils.yolo as yolo
import numpy as np

from tests.crossed.data_kit import Picture, WrittenData, outlined, rgb, save_all

NAMES = ["cat", "dog", "hot dog"]
Label = Callable[[int], Any]


def classification(number: int) -> Any:
    return fo.Classification(label=NAMES[number % 3], confidence=0.5)


def some_missing(number: int) -> Any:
    return None if number == 2 else classification(number)


def boxes(number: int, masks: bool = False, several: bool = False) -> Any:
    left, top = 2 + number % 9, 3 + number % 7
    held = outlined(number)[top : top + 18, left : left + 21].astype(bool) if masks else None
    place = [left / 48, top / 40, 21 / 48, 18 / 40]
    found = [fo.Detection(label=NAMES[number % 3], bounding_box=place, mask=held)]
    if several:
        found.insert(0, fo.Detection(label=NAMES[(number + 1) % 3], bounding_box=[0.8, 0.8, 0.1, 0.1]))
    return fo.Detections(detections=found)


def polylines(number: int) -> Any:
    left, top = (2 + number % 9) / 48, (3 + number % 7) / 40
    right, bottom = left + 21 / 48, top + 18 / 40
    points = [[(left, top), (right, top), (right, bottom), (left, bottom)]]
    one = fo.Polyline(label=NAMES[number % 3], points=points, closed=True, filled=True)
    return fo.Polylines(polylines=[one])


def segmentation(number: int, value: int = 1) -> Any:
    return fo.Segmentation(mask=outlined(number) * value)


def exported(
    folder: Path,
    exporter: Any,
    importer: Any,
    label: Label,
    *,
    spec: str = "{folder}/data",
    splits: Sequence[str] = ("",),
    split_option: bool = False,
    masks: str = "",
    inside: dict[str, Any] | None = None,
    how: dict[str, Any] | None = None,
    **written: Any,
) -> WrittenData:
    """Export six pictures a split and import them again.

    Args:
        split_option: both take the split as an option; else each split has a folder of its own.
        inside: options of the importer.
    """
    pictures: list[Picture] = []
    for at, split in enumerate(splits):
        places = [folder / "source" / f"{split}p{number:03d}.png" for number in range(10 * at, 10 * at + 6)]
        save_all(places, 10 * at)
        root = str(folder / "data") if split_option else str(folder / "data" / split)
        named = {"split": split} if split_option else {}
        with exporter(export_dir=root, **(how or {}), **named) as writes:
            for number, place in enumerate(places, 10 * at):
                about = fo.ImageMetadata.build_for(str(place))
                writes.export_sample(str(place), label(number), metadata=about)
        options = {"yaml_path": f"{root}/dataset.yaml"} if split_option else {}
        with importer(dataset_dir=root, **named, **options, **(inside or {})) as reads:
            pictures += [picture_of(*sample, split=split) for sample in reads]
    spec_of_masks = {"masks": masks} if masks else {}
    return WrittenData(spec=spec, pictures=pictures, **spec_of_masks, **written)


def picture_of(path: str, _: Any, label: Any, split: str) -> Picture:
    """The name of a label, of the largest of several."""
    pixels = rgb(Path(path))
    mask = None
    if isinstance(label, dict):
        label = next(iter(label.values()))
    if isinstance(label, fo.Segmentation):
        return Picture(pixels, "", split, Path(path).name, mask=np.asarray(label.get_mask()) == 1)
    if isinstance(label, fo.Detections):
        ordered = sorted(label.detections, key=lambda one: one.bounding_box[2] * one.bounding_box[3])
        label = ordered[-1]
        mask = None if label.mask is None else label.to_segmentation(frame_size=(48, 40)).mask > 0
    elif isinstance(label, fo.Polylines):
        label = label.polylines[0]
    name = None if label is None or label.label == "_unlabeled" else label.label
    return Picture(pixels, name, split, Path(path).name, mask=mask)


TREES = (foud.ImageClassificationDirectoryTreeExporter, foud.ImageClassificationDirectoryTreeImporter)
LABELS = (foud.FiftyOneImageClassificationDatasetExporter, foud.FiftyOneImageClassificationDatasetImporter)
FOUND = (foud.FiftyOneImageDetectionDatasetExporter, foud.FiftyOneImageDetectionDatasetImporter)
COCO = (coco.COCODetectionDatasetExporter, coco.COCODetectionDatasetImporter)
YOLO4 = (yolo.YOLOv4DatasetExporter, yolo.YOLOv4DatasetImporter)
YOLO5 = (yolo.YOLOv5DatasetExporter, yolo.YOLOv5DatasetImporter)
VOC = (voc.VOCDetectionDatasetExporter, voc.VOCDetectionDatasetImporter)
KITTI = (kitti.KITTIDetectionDatasetExporter, kitti.KITTIDetectionDatasetImporter)
CVAT = (cvat.CVATImageDatasetExporter, cvat.CVATImageDatasetImporter)
SEGMENTS = (foud.ImageSegmentationDirectoryExporter, foud.ImageSegmentationDirectoryImporter)
BDD = (bdd.BDDDatasetExporter, bdd.BDDDatasetImporter)
ALONE = (foud.ImageDirectoryExporter, foud.ImageDirectoryImporter)


def case(tools: tuple[Any, Any], label: Label, **options: Any) -> Any:
    return partial(exported, exporter=tools[0], importer=tools[1], label=label, **options)


def alone(folder: Path) -> WrittenData:
    places = [folder / "source" / f"p{number:03d}.png" for number in range(6)]
    save_all(places)
    with foud.ImageDirectoryExporter(export_dir=str(folder / "data")) as writes:
        for place in places:
            writes.export_sample(str(place))
    with foud.ImageDirectoryImporter(dataset_dir=str(folder / "data")) as reads:
        pictures = [Picture(rgb(Path(path)), None, file=Path(path).name) for path, _ in reads]
    return WrittenData(spec="{folder}/data", pictures=pictures)


JSON = "{folder}/data/labels.json"
CASES = {
    ("ImageClassificationDirectoryTree", "all labelled"): case(TREES, classification),
    ("ImageClassificationDirectoryTree", "one unlabelled"): case(TREES, some_missing),
    ("ImageClassificationDirectoryTree", "train/ and val/"): case(
        TREES, classification, splits=("train", "val")
    ),
    ("FiftyOneImageClassificationDataset", "its folder"): case(
        LABELS, classification, how={"classes": NAMES}
    ),
    ("FiftyOneImageClassificationDataset", "labels.json"): case(
        LABELS, classification, spec=JSON, how={"classes": NAMES}
    ),
    ("FiftyOneImageClassificationDataset", "no classes"): case(LABELS, classification),
    ("FiftyOneImageClassificationDataset", "include_confidence"): case(
        LABELS, classification, how={"classes": NAMES, "include_confidence": True}
    ),
    ("FiftyOneImageClassificationDataset", "one unlabelled"): case(
        LABELS, some_missing, how={"classes": NAMES}
    ),
    ("FiftyOneImageDetectionDataset", "its folder"): case(FOUND, boxes, how={"classes": NAMES}),
    ("FiftyOneImageDetectionDataset", "two boxes"): case(
        FOUND, partial(boxes, several=True), how={"classes": NAMES}
    ),
    ("COCODetectionDataset", "labels.json"): case(COCO, boxes, spec=JSON, how={"classes": NAMES}),
    ("COCODetectionDataset", "its folder"): case(COCO, boxes, how={"classes": NAMES}),
    ("COCODetectionDataset", "two boxes"): case(
        COCO, partial(boxes, several=True), spec=JSON, how={"classes": NAMES}
    ),
    ("COCODetectionDataset", "masks as polygons"): case(
        COCO,
        partial(boxes, masks=True),
        spec=JSON,
        how={"classes": NAMES, "tolerance": 0},
        masks=JSON,
        inside={"label_types": "segmentations"},
    ),
    ("COCODetectionDataset", "masks, iscrowd"): case(
        COCO,
        partial(boxes, masks=True),
        spec=JSON,
        how={"classes": NAMES, "iscrowd": "iscrowd"},
        masks=JSON,
        inside={"label_types": "segmentations"},
    ),
    ("COCODetectionDataset", "polylines"): case(COCO, polylines, spec=JSON, how={"classes": NAMES}),
    ("YOLOv4Dataset", "its folder"): case(YOLO4, boxes, how={"classes": NAMES}, may_lack=True),
    ("YOLOv4Dataset", "data/"): case(
        YOLO4, boxes, spec="{folder}/data/data", how={"classes": NAMES}, may_lack=True
    ),
    ("YOLOv5Dataset", "its folder, train and val"): case(
        YOLO5, boxes, how={"classes": NAMES}, may_lack=True, splits=("train", "val"), split_option=True
    ),
    ("YOLOv5Dataset", "images/"): case(
        YOLO5,
        boxes,
        spec="{folder}/data/images",
        how={"classes": NAMES},
        may_lack=True,
        splits=("train", "val"),
        split_option=True,
    ),
    ("VOCDetectionDataset", "its folder"): case(VOC, boxes, may_lack=True),
    ("KITTIDetectionDataset", "its folder"): case(KITTI, boxes, may_lack=True),
    ("CVATImageDataset", "its folder"): case(CVAT, boxes, may_lack=True),
    ("CVATImageDataset", "labels.xml"): case(CVAT, boxes, spec="{folder}/data/labels.xml", refused=True),
    ("BDDDataset", "labels.json"): case(
        BDD, boxes, spec=JSON, then=("{folder}/data/data", {}), may_lack=True
    ),
    ("ImageSegmentationDirectory", "its folder"): case(SEGMENTS, segmentation),
    ("ImageSegmentationDirectory", "labels/ as masks"): case(
        SEGMENTS, segmentation, spec="{folder}/data/data", masks="{folder}/data/labels"
    ),
    ("ImageSegmentationDirectory", "labels/ of 255 as masks"): case(
        SEGMENTS, partial(segmentation, value=255), spec="{folder}/data/data"
    ),
    ("ImageDirectory", "its folder"): alone,
}
