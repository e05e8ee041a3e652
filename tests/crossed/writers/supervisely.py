"""Projects that Supervisely's SDK writes and reads again, without its server."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import supervisely as sly

from tests.crossed.data_kit import Picture, WrittenData, drawn, outlined, rgb

NAMES = ("cat", "dog", "hot dog")


def project(
    folder: Path,
    spec: str = "{folder}/data",
    *,
    shape: Any = sly.Bitmap,
    datasets: tuple[str, ...] = ("ds0",),
    tags: bool = False,
    masks: str = "",
    **written: Any,
) -> WrittenData:
    """Six pictures a data set; each has an object, or a tag, of one of three classes."""
    colours = ([250, 20, 60], [190, 100, 60], [130, 180, 60])
    classes = [sly.ObjClass(name, shape, color=one) for name, one in zip(NAMES, colours, strict=True)]
    metas = [sly.TagMeta(name, sly.TagValueType.NONE) for name in NAMES]
    held = sly.Project(str(folder / "data"), sly.OpenMode.CREATE)
    held.set_meta(sly.ProjectMeta(obj_classes=classes, tag_metas=metas if tags else []))
    for at, name in enumerate(datasets):
        data = held.create_dataset(name)
        for number in range(10 * at, 10 * at + 6):
            mask = outlined(number).astype(bool)
            rows, columns = np.nonzero(mask)
            box = sly.Rectangle(int(rows.min()), int(columns.min()), int(rows.max()), int(columns.max()))
            geometry = sly.Bitmap(mask) if shape is sly.Bitmap else box
            label = sly.Label(geometry, classes[number % 3])
            tag = [sly.Tag(metas[number % 3])] if tags else []
            annotation = sly.Annotation((40, 48), [] if tags else [label], img_tags=sly.TagCollection(tag))
            data.add_item_np(f"p{number:03d}.png", np.asarray(drawn(number)), ann=annotation)
    back = sly.Project(str(folder / "data"), sly.OpenMode.READ)
    pictures = []
    for data in back.datasets:
        for name in data:
            found = data.get_ann(name, back.meta)
            label = found.img_tags.items()[0].name if tags else found.labels[0].obj_class.name
            mask = None if tags or not masks else np.zeros((40, 48), np.uint8)
            if mask is not None:
                found.labels[0].geometry.draw(mask, 1)
            pixels = rgb(sly.image.read(data.get_img_path(name)))
            split = data.name if len(datasets) > 1 else ""
            pictures.append(Picture(pixels, label, split, name, mask=mask))
    return WrittenData(spec=spec, pictures=pictures, masks=masks, **written)


def coco(folder: Path, *, splits: bool = False) -> WrittenData:
    """What `sly.convert` makes of a project for COCO."""
    written = project(folder, datasets=("train", "val") if splits else ("ds0",))
    sly.convert.project_to_coco(
        sly.Project(str(folder / "data"), sly.OpenMode.READ), str(folder / "coco"), copy_images=True
    )
    found = sorted((folder / "coco").rglob("*.json"))
    spec = f"{{folder}}/{found[0].relative_to(folder)}"
    written.spec = spec
    if splits:
        written.options = {"val": f"{{folder}}/{found[1].relative_to(folder)}"}
    return written


def yolo(folder: Path) -> WrittenData:
    written = project(folder, shape=sly.Rectangle)
    sly.convert.project_to_yolo(str(folder / "data"), str(folder / "yolo"), task_type="detect")
    written.spec, written.may_lack = "{folder}/yolo", True
    return written


def pascal(folder: Path) -> WrittenData:
    written = project(folder, shape=sly.Rectangle)
    sly.convert.project_to_pascal_voc(str(folder / "data"), str(folder / "voc"), train_val_split_coef=0.5)
    written.spec, written.may_lack = "{folder}/voc", True
    for picture in written.pictures:  # JPEG now, under names of their data set
        place = folder / "voc" / "VOCdevkit" / "VOC" / "JPEGImages" / f"ds0_{picture.file[:-4]}.jpg"
        picture.pixels, picture.file = rgb(place), place.name
    return written


ONE_FILE = "{folder}/data/ds0/ann/p000.png.json"
CASES = {
    ("Project", "bitmaps, its folder"): project,
    ("Project", "rectangles, its folder"): partial(project, shape=sly.Rectangle),
    ("Project", "image tags, its folder"): partial(project, tags=True),
    ("Project", "meta.json"): partial(project, spec="{folder}/data/meta.json"),
    ("Project", "ds0/img/"): partial(project, spec="{folder}/data/ds0/img", may_lack=True),
    ("Project", "train and val, its folder"): partial(project, datasets=("train", "val")),
    ("Project", "an annotation file"): partial(project, spec=ONE_FILE, refused=True),
    ("convert.project_to_coco", "its .json"): coco,
    ("convert.project_to_coco", "train and val, --val"): partial(coco, splits=True),
    ("convert.project_to_yolo", "its folder"): yolo,
    ("convert.project_to_pascal_voc", "its folder"): pascal,
}
