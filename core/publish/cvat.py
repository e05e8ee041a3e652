"""Images of a study as "CVAT for images 1.1": tags with attributes, and masks; `labels.json` names them."""

import json
import re
from pathlib import Path
from typing import Any, cast
from xml.sax.saxutils import XMLGenerator

import numpy as np

from core.publish.known_images import (
    CORE,
    FIELDS,
    HEAT,
    NUMBER,
    OURS,
    PREFIX,
    SPURIOUS,
    TEXTS,
    TRUTH,
    ImageMaps,
    KnownImages,
    hot_region,
)

IMAGES = "images"
FACTS = OURS  # the tag whose attributes are what is known of the image
MASKS = {HEAT: f"{PREFIX}hot_region", CORE: f"{PREFIX}mask_core", SPURIOUS: f"{PREFIX}mask_spurious"}
BETWEEN = ", "  # several texts of one attribute
UNWRITABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # by XML


class _Xml:
    """An XML file that is written element by element."""

    def __init__(self, file: Any):
        self.out = XMLGenerator(file, "utf-8", short_empty_elements=True)
        self.out.startDocument()

    def start(self, element: str, /, **attributes: object) -> None:
        self.out.startElement(
            element, cast(Any, {one: _clean(str(value)) for one, value in attributes.items()})
        )

    def end(self, name: str) -> None:
        self.out.endElement(name)
        self.out.ignorableWhitespace("\n")

    def text(self, element: str, value: object = "", /, **attributes: object) -> None:
        self.start(element, **attributes)
        self.out.characters(_clean(str(value)))
        self.end(element)


def write_cvat(exported: KnownImages, folder: Path) -> int:
    """Export what a study knows of its images to CVAT: `annotations.xml` and `labels.json`.

    Returns:
        the number of images.
    """
    maps = ImageMaps(exported.study)
    labels = _labels(exported, maps)
    (folder / "labels.json").write_text(json.dumps(labels, indent=1, ensure_ascii=False), encoding="utf-8")
    with open(folder / "annotations.xml", "w", encoding="utf-8") as file:
        xml = _Xml(file)
        xml.start("annotations")
        xml.text("version", "1.1")
        _write_meta(xml, labels)
        for at in range(len(exported)):
            name = exported.paths[at] if exported.root else exported.write_picture(at, folder, IMAGES)
            _write_image(xml, exported, at, name.removeprefix(f"{IMAGES}/" * (not exported.root)), maps)
        xml.end("annotations")
        xml.out.endDocument()
    return len(exported)


def _labels(exported: KnownImages, maps: ImageMaps) -> list[dict[str, Any]]:
    """The labels that a task of CVAT needs, in the form of its raw constructor."""
    attributes = [
        {"name": f"{PREFIX}{name}", "mutable": False, "input_type": "text", "default_value": "", "values": []}
        for name in exported.fields
    ]
    tags = sorted({tag for tags in exported.tags for tag in tags})
    labels = [{"name": FACTS, "type": "tag", "attributes": attributes}]
    labels += [{"name": tag, "type": "tag", "attributes": []} for tag in tags]
    labels += [
        {"name": name, "type": "mask", "attributes": []} for kind, name in MASKS.items() if kind in maps.held
    ]
    return labels


def _write_meta(xml: _Xml, labels: list[dict[str, Any]]) -> None:
    for name in ("meta", "task", "labels"):
        xml.start(name)
    for label in labels:
        xml.start("label")
        xml.text("name", label["name"])
        xml.text("type", label["type"])
        xml.start("attributes")
        for attribute in label["attributes"]:
            xml.start("attribute")
            for name in ("name", "mutable", "input_type", "default_value"):
                xml.text(name, attribute[name])
            xml.text("values")
            xml.end("attribute")
        xml.end("attributes")
        xml.end("label")
    for name in ("labels", "task", "meta"):
        xml.end(name)


def _write_image(xml: _Xml, exported: KnownImages, at: int, name: str, maps: ImageMaps) -> None:
    width, height = maps.size(int(exported.rows[at]))
    xml.start("image", id=at, name=name, width=width, height=height)
    xml.start("tag", label=FACTS, source="file")
    for field, value in exported.of_image(at).items():
        xml.text("attribute", _text(value, FIELDS[field.removeprefix(PREFIX)]), name=field)
    xml.end("tag")
    for tag in exported.tags[at]:
        xml.start("tag", label=tag, source="file")
        xml.end("tag")
    for kind, values in maps.of_image(int(exported.rows[at]), None).items():
        _write_mask(xml, MASKS[kind], hot_region(values) if kind == HEAT else values)
    xml.end("image")


def _write_mask(xml: _Xml, label: str, values: np.ndarray) -> None:
    """Write the box around a mask, and in it the lengths of runs outside and inside, row by row."""
    rows, columns = np.flatnonzero(values.any(1)), np.flatnonzero(values.any(0))
    if not rows.size:
        return
    top, left = int(rows[0]), int(columns[0])
    part = values[top : rows[-1] + 1, left : columns[-1] + 1] > 0
    box = {"left": left, "top": top, "width": part.shape[1], "height": part.shape[0]}
    runs = ", ".join(map(str, run_lengths(part)))
    xml.start("mask", label=label, source="file", occluded=0, rle=runs, **box, z_order=0)
    xml.end("mask")


def run_lengths(mask: np.ndarray) -> list[int]:
    """Return the run lengths of a mask for CVAT, row by row: outside, inside …; the first may be 0.

    >>> run_lengths(np.array([[False, True], [True, False]])), run_lengths(np.array([[True]]))
    ([1, 2, 1], [0, 1])
    """
    flat = np.concatenate([[False], np.asarray(mask, bool).reshape(-1)])
    edges = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()


def _text(value: Any, kind: str) -> str:
    if kind == TEXTS:
        return BETWEEN.join(value)
    if kind == TRUTH:
        return str(value).lower()
    return repr(value) if kind == NUMBER else str(value)


def _clean(text: str) -> str:
    return UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
