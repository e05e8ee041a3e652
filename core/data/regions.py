"""Shapes and boxes of annotation tools: the label of an image is the class of its largest one."""

import base64
import binascii
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.common.addresses import is_url
from core.common.inside import parse_json
from core.common.remote_objects import read_small
from core.data.annotation_rows import (
    LARGEST,
    TRIED,
    NotThisForm,
    Rows,
    entries,
    largest_class,
    say_of_rows,
    side,
    text_or_none,
)
from core.data.folder_words import split_of_folder
from core.data.source import IMAGE_EXTENSIONS

# Shapes of LabelMe, VIA, CreateML and Visual Genome: the label of an image is the class of the largest.


CLASS_FIELDS = ("label", "class", "name", "type", "category", "object")
IMAGE_FIELDS = ("url", "file_name", "filename", "image")


def is_via(tree: Any) -> bool:
    """Return True for an annotation file of VIA (VGG Image Annotator), a project or an export."""
    if not isinstance(tree, dict) or not tree:
        return False
    images = tree.get("_via_img_metadata", tree)
    return isinstance(images, dict) and bool(images) and all(map(_is_via_image, images.values()))


def _is_via_image(image: Any) -> bool:
    return isinstance(image, dict) and isinstance(image.get("filename"), str) and "regions" in image


def read_via(tree: dict[str, Any], path: str, label: str | None = None) -> Rows:
    """Return the images of VIA with an attribute of the file, else that of their largest region."""
    images = list(tree.get("_via_img_metadata", tree).values())
    labels = [_via_label(image, label) for image in images]
    notes = [LARGEST] if any(image.get("regions") for image in images) else []
    return Rows([image["filename"] for image in images], labels, notes=notes, folders=(".", "images", ".."))


def _via_label(image: dict[str, Any], field: str | None) -> str | None:
    image_label = _class_of(image.get("file_attributes"), field)
    if image_label is not None:
        return image_label
    entries = image.get("regions")
    regions = list(entries.values()) if isinstance(entries, dict) else entries
    boxes = [region for region in regions if isinstance(region, dict)] if isinstance(regions, list) else []
    return largest_class(
        (_class_of(box.get("region_attributes"), field), _via_area(box.get("shape_attributes")))
        for box in boxes
    )


def _class_of(attributes: Any, field: str | None) -> str | None:
    if not isinstance(attributes, dict):
        return None
    usual = next((name for name in CLASS_FIELDS if name in attributes), None)
    names = (field,) if field else (usual, *([next(iter(attributes))] if len(attributes) == 1 else []))
    return next((text for name in names if (text := text_or_none(attributes.get(name)))), None)


def _via_area(shape: Any) -> float:
    if not isinstance(shape, dict):
        return 0.0
    if "all_points_x" in shape:
        return _box_of_points(list(zip(shape["all_points_x"], shape.get("all_points_y") or [], strict=False)))
    if "width" in shape:
        return side(shape["width"]) * side(shape.get("height"))
    radius = side(shape.get("r"))
    return 4 * (side(shape.get("rx")) * side(shape.get("ry")) or radius * radius)


def _box_of_points(points: Any) -> float:
    """Return the area of the box around the points of an annotated region, 0 where they are none."""
    try:
        xs, ys = [float(x) for x, _ in points], [float(y) for _, y in points]
    except (TypeError, ValueError):
        return 0.0
    if len(xs) < 2:
        return 0.0
    return side(max(xs) - min(xs)) * side(max(ys) - min(ys))


def read_labelme(tree: dict[str, Any], path: str, label: str | None = None) -> Rows:
    """Return the images of all files of LabelMe beside this one, by its flags or its largest shape."""
    trees = [tree, *_trees_beside(path)]
    images = [one.get("imagePath") for one in trees]
    if not all(isinstance(image, str) for image in images):
        raise NotThisForm("a file names no imagePath")
    labels = [_labelme_label(one) for one in trees]
    paths = [str(image).replace("\\", "/") for image in images]
    beside = [say_of_rows("files_beside", n=len(trees) - 1)] if len(trees) > 1 else []
    return Rows(paths, labels, notes=[LARGEST, *beside], folders=(".", "images", ".."))


def _trees_beside(path: str) -> list[dict[str, Any]]:
    """Return the other files of LabelMe in the folder of one: each is of one picture."""
    folder, file_name = os.path.split(path)
    if is_url(folder):
        return []
    names = [
        name for name in sorted(os.listdir(folder or ".")) if name.endswith(".json") and name != file_name
    ]
    trees = []
    for name in names:
        with suppress(OSError, ValueError):
            trees.append(parse_json(read_small(os.path.join(folder, name))))
    return [tree for tree in trees if isinstance(tree, dict) and "shapes" in tree and "imagePath" in tree]


def _labelme_label(tree: dict[str, Any]) -> str | None:
    shapes = entries(tree["shapes"], "shapes")
    flags = tree.get("flags")
    set_flags = [name for name, value in flags.items() if value is True] if isinstance(flags, dict) else []
    if len(set_flags) == 1 and not shapes:
        return text_or_none(set_flags[0])
    return largest_class((text_or_none(shape.get("label")), _labelme_area(shape)) for shape in shapes)


def _labelme_area(shape: dict[str, Any]) -> float:
    points = shape.get("points")
    return 4 * _box_of_points(points) if shape.get("shape_type") == "circle" else _box_of_points(points)


def is_createml(tree: Any) -> bool:
    """Return True for an annotation file with CreateML's lists of boxes."""
    first: Any = tree[0] if isinstance(tree, list) and tree else None
    if not isinstance(first, dict) or not isinstance(first.get("image"), str):
        return False
    boxes = [box for image in tree[:TRIED] if isinstance(image, dict) for box in _boxes_of(image)]
    return bool(boxes) and all("label" in box and "coordinates" in box for box in boxes)


def _boxes_of(image: dict[str, Any]) -> list[dict[str, Any]]:
    boxes = image.get("annotations")
    return [box for box in boxes if isinstance(box, dict)] if isinstance(boxes, list) else []


def read_createml(tree: Sequence[dict[str, Any]], path: str, label: str | None = None) -> Rows:
    """Return the images of CreateML with the class of their largest box."""
    images = [image for image in tree if isinstance(image.get("image"), str)]
    if len(images) < len(tree):
        raise NotThisForm("an entry names no image")
    labels = [
        largest_class((text_or_none(box.get("label")), _createml_area(box)) for box in _boxes_of(image))
        for image in images
    ]
    return Rows([image["image"] for image in images], labels, notes=[LARGEST], folders=(".", "images", ".."))


def _createml_area(box: dict[str, Any]) -> float:
    sides = box.get("coordinates")
    return side(sides.get("width")) * side(sides.get("height")) if isinstance(sides, dict) else 0.0


def is_visual_genome(tree: Any) -> bool:
    """Return True for the annotation file objects.json of Visual Genome."""
    first: Any = tree[0] if isinstance(tree, list) and tree else None
    return isinstance(first, dict) and "image_id" in first and isinstance(first.get("objects"), list)


def read_visual_genome(tree: Sequence[dict[str, Any]], path: str, label: str | None = None) -> Rows:
    """Return the images of Visual Genome with the name of their largest object."""
    paths, labels = [], []
    for image in tree:
        named = next((image[name] for name in IMAGE_FIELDS if isinstance(image.get(name), str)), None)
        paths.append("/".join(named.split("/")[-2:]) if named else f"{image.get('image_id')}.jpg")
        objects = [one for one in image.get("objects") or [] if isinstance(one, dict)]
        areas = [side(item.get("w")) * side(item.get("h")) for item in objects]
        labels.append(largest_class(zip(map(_object_name, objects), areas, strict=True)))
    return Rows(paths, labels, notes=[LARGEST], folders=(".",))


def _object_name(item: dict[str, Any]) -> str | None:
    names = item.get("names")
    return text_or_none(names[0]) if isinstance(names, list) and names else text_or_none(item.get("name"))


# Datumaro's own annotation files: labels of images, else the class of the largest box or outline.


def read_datumaro(tree: dict[str, Any], path: str, label: str | None = None) -> Rows:
    """Return the images of an annotation file of Datumaro, which has one file a split.

    Raises:
        NotThisForm: an item has no image.
    """
    items = entries(tree["items"], "items")
    names = _datumaro_classes(tree)
    images = [item.get("image") for item in items]
    paths = [image.get("path") if isinstance(image, dict) else None for image in images]
    if not all(isinstance(one, str) and one for one in paths):
        raise NotThisForm("an item has no image with a path")
    labels, from_boxes = [], 0
    for item in items:
        annotations = entries(item.get("annotations") or [], "annotations")
        image_labels = [
            _datumaro_label(annotation, names)
            for annotation in annotations
            if annotation.get("type") == "label"
        ]
        boxes = [
            (_datumaro_label(annotation, names), _datumaro_area(annotation))
            for annotation in annotations
            if annotation.get("type") != "label"
        ]
        from_boxes += not image_labels and bool(boxes)
        labels.append(next((name for name in image_labels if name), None) or largest_class(boxes))
    split = os.path.splitext(os.path.basename(path))[0]
    folders = (".", f"../images/{split}", "../images", "images", "..")
    return Rows(list(map(str, paths)), labels, notes=[LARGEST] * bool(from_boxes), folders=folders)


def _datumaro_classes(tree: dict[str, Any]) -> list[str | None]:
    categories: Any = tree["categories"]
    labels = categories.get("label", {}).get("labels") if isinstance(categories, dict) else None
    return [text_or_none(entry.get("name")) for entry in entries(labels or [], "labels")]


def _datumaro_label(annotation: dict[str, Any], names: list[str | None]) -> str | None:
    number = annotation.get("label_id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(names):
        return None
    return names[number]


def _datumaro_area(annotation: dict[str, Any]) -> float:
    """Return the area of the box of an annotation: of x, y, width and height, or of corners in turn."""
    box, points = annotation.get("bbox"), annotation.get("points")
    if isinstance(box, list) and len(box) == 4:
        return side(box[2]) * side(box[3])
    if isinstance(points, list) and len(points) >= 4:
        return _box_of_points(list(zip(points[::2], points[1::2], strict=False)))
    return side(annotation.get("area"))


# Projects of Supervisely: DATASET/img/NAME beside DATASET/ann/NAME.json, below the folder of meta.json.


META, IMAGES, ANNOTATIONS = "meta.json", "img", "ann"
SIZE_OF_PNG = slice(16, 24)  # of its bytes: width and height
HEAD = 400  # letters of a packed picture in which they lie
MOST_BYTES = 200_000_000  # of one annotation


def is_project(folder: Path) -> bool:
    """Return True for the folder of an annotation project of Supervisely."""
    return (folder / META).is_file() and next(_data_sets(str(folder)), None) is not None


def _data_sets(root: str) -> Iterator[str]:
    """Yield the folders that hold img/ and ann/, by paths below the root; data sets may lie in others."""
    for here, folders, _ in os.walk(root):
        folders.sort()
        if {IMAGES, ANNOTATIONS} <= set(folders):
            folders[:] = [name for name in folders if name not in (IMAGES, ANNOTATIONS)]
            yield os.path.relpath(here, root)


def read_supervisely(tree: dict[str, Any], path: str, label: str | None = None) -> Rows:
    """Return the images of a Supervisely project with the class of the largest object, else the only tag.

    Args:
        label: a tag, whose value is the label.
    """
    root = os.path.dirname(path)
    if is_url(root):
        raise NotThisForm("its annotations, a file an image, are not read by address")
    paths, labels, names = [], [], []
    for data_set in _data_sets(root):
        for name in sorted(os.listdir(os.path.join(root, data_set, IMAGES))):
            if name.rpartition(".")[2].lower() in IMAGE_EXTENSIONS:
                annotation = _supervisely_annotation(
                    os.path.join(root, data_set, ANNOTATIONS, f"{name}.json")
                )
                paths.append(os.path.normpath(os.path.join(data_set, IMAGES, name)))
                labels.append(_supervisely_label(annotation, label))
                names.append(data_set.split(os.sep)[0])
    words = {name: split_of_folder(name) for name in set(names)}
    splits = [str(words[name]) for name in names] if len(words) > 1 and all(words.values()) else None
    further = {"data_set": names} if splits is None and len(words) > 1 else {}
    return Rows(paths, labels, splits, further, notes=[LARGEST])


def _supervisely_annotation(path: str) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        tree = parse_json(read_small(path, MOST_BYTES))
        return tree if isinstance(tree, dict) else {}
    return {}


def _supervisely_label(annotation: dict[str, Any], tag: str | None) -> str | None:
    tags = entries(annotation.get("tags") or [], "tags")
    if tag is not None:
        named = [one for one in tags if one.get("name") == tag]
        return text_or_none(named[0].get("value")) if named else None
    objects = entries(annotation.get("objects") or [], "objects")
    if objects:
        return largest_class(
            (text_or_none(item.get("classTitle")), _supervisely_area(item)) for item in objects
        )
    return text_or_none(tags[0].get("name")) if len(tags) == 1 else None


def _supervisely_area(item: dict[str, Any]) -> float:
    """Return the area of the box of an object."""
    bitmap, points = item.get("bitmap"), item.get("points")
    if isinstance(bitmap, dict):
        return _area_of_bitmap(bitmap.get("data"))
    exterior = points.get("exterior") if isinstance(points, dict) else None
    return _box_of_points(exterior)


def _area_of_bitmap(data: Any) -> float:
    """Return width times height of a PNG that is packed with zlib and written in base64; 0 for others."""
    try:
        head = zlib.decompressobj().decompress(base64.b64decode(data[:HEAD]), SIZE_OF_PNG.stop)
        width, height = struct.unpack(">II", head[SIZE_OF_PNG])
    except (TypeError, ValueError, binascii.Error, zlib.error, struct.error):
        return 0.0
    return float(width * height)
