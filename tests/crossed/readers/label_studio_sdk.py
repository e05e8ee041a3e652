"""Label Studio's own library checks tasks against an interface, converts them and unpacks brushes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import quoteattr

import numpy as np
from label_studio_sdk.converter import Converter
from label_studio_sdk.converter.brush import decode_rle
from label_studio_sdk.label_interface import LabelInterface

from tests.crossed.reading_back import ReadImage, ours, tags_of

REGIONS = {
    "peregrine_hot_region": "heatmap",
    "peregrine_mask_core": "core",
    "peregrine_mask_spurious": "spurious",
}


def path_of(task: dict[str, Any]) -> str:
    return unquote(task["data"]["image"].partition("?d=")[2])


def valid_tasks(out: Path, interface: str) -> list[dict[str, Any]]:
    tasks = json.loads((out / "tasks.json").read_text(encoding="utf-8"))
    checked = LabelInterface(interface)
    for task in tasks:
        assert checked.validate_task({"data": task["data"]})  # with annotations it calls itself wrongly
        assert all(map(checked.validate_prediction, task.get("predictions", [])))
        assert all(map(checked.validate_annotation, task.get("annotations", [])))
    return tasks


def folder(out: Path, images: Path) -> list[ReadImage]:
    read = []
    for task in valid_tasks(out, (out / "labels.xml").read_text(encoding="utf-8")):
        values = ours(task["data"])
        one = ReadImage(path_of(task), tags=tags_of(values.pop("tags", [])), fields=values)
        for prediction in task["predictions"]:
            brushes = [result for result in prediction["result"] if result["type"] == "brushlabels"]
            one.arrays |= dict(map(region, brushes))
        first = task["predictions"][0]
        assert first["result"][0]["value"]["choices"] == [values["predicted"]]
        assert first["score"] == values["confidence"]
        read.append(one)
    return read


def region(result: dict[str, Any]) -> tuple[str, np.ndarray]:
    """What a brush painted, by the name of its map."""
    size = result["original_height"], result["original_width"], 4
    layers = np.reshape(decode_rle(result["value"]["rle"]), size)
    return REGIONS[result["value"]["brushlabels"][0]], layers[:, :, 3]


def labels(out: Path, images: Path) -> list[ReadImage]:
    """The choices that its converter finds in the annotations."""
    names = json.loads((out / "classes.json").read_text())
    choices = "".join(f"<Choice value={quoteattr(name)}/>" for name in names)
    control = f'<Choices name="choice" toName="image">{choices}</Choices>'
    interface = f'<View><Image name="image" value="$image"/>{control}</View>'
    tasks = valid_tasks(out, interface)
    numbered = out / "numbered.json"
    numbered.write_text(json.dumps([{"id": at, **task} for at, task in enumerate(tasks)]))
    Converter(interface, str(out)).convert(str(numbered), str(out / "least"), "JSON_MIN", is_dir=False)
    (least,) = (out / "least").glob("*.json")
    choice = {one["image_id"]: one.get("choice") for one in json.loads(least.read_text())}
    of_tasks = [(path_of(task), task["data"]) for task in tasks]
    return [ReadImage(path, label=choice.get(of["image_id"]), split=of["split"]) for path, of in of_tasks]


READERS = {"tasks.json and labels.xml": folder, "--as label-studio": labels}
