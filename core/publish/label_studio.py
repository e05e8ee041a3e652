"""Images of a study as tasks of Label Studio: `tasks.json`, and `labels.xml`, the interface of a project."""

import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from core.publish.known_images import CORE, HEAT, OURS, PREFIX, SPURIOUS, ImageMaps, KnownImages, hot_region
from core.publish.label_forms import CONTROL, Task, choice, label_frame, label_tasks, served_file

BRUSH = {"from_name": "mask", "to_name": "image", "type": "brushlabels"}
REGIONS = {HEAT: f"{PREFIX}hot_region", CORE: f"{PREFIX}mask_core", SPURIOUS: f"{PREFIX}mask_spurious"}
PICTURES = "pictures"
WORD, SIZES = 8, (3, 4, 8, 16)  # bits of a value, and of the length of a run


def write_label_studio(exported: KnownImages, folder: Path) -> int:
    """Export images for Label Studio: `tasks.json`, `labels.xml`, and pictures that are no files here.

    Labels, as people corrected them, are annotations, and doubts about them predictions, as in the labels'
    own form; the answer of the study with its confidence is one more prediction, with the regions.

    Returns:
        the number of tasks.
    """
    maps = ImageMaps(exported.study)
    first = label_tasks(exported.study, label_frame(exported.study, exported.rows), exported.rows)
    with open(folder / "tasks.json", "w", encoding="utf-8") as file:
        file.write("[")
        for at, task in enumerate(first):
            file.write(
                ",\n" * (at > 0) + json.dumps(_task(exported, at, task, maps, folder), ensure_ascii=False)
            )
        file.write("]\n")
    (folder / "labels.xml").write_text(_interface(exported, maps), encoding="utf-8")
    return len(exported)


def _task(exported: KnownImages, at: int, task: Task, maps: ImageMaps, folder: Path) -> Task:
    path = exported.paths[at] if exported.root else exported.write_picture(at, folder, PICTURES)
    data = {"image": served_file(path)} | exported.of_image(at) | {f"{PREFIX}tags": exported.tags[at]}
    predicted = exported.fields["predicted"][at] if "predicted" in exported.fields else None
    result = [] if predicted is None else [choice(predicted)]
    for kind, values in maps.of_image(int(exported.rows[at]), None).items():
        result += _region(REGIONS[kind], hot_region(values) if kind == HEAT else values)
    predictions = list(task.get("predictions", ()))
    if result:
        version = f"{OURS}-{exported.facts['answer']}"
        confidence = exported.fields["confidence"][at] if "confidence" in exported.fields else None
        score = {} if confidence is None else {"score": confidence}
        predictions.insert(0, {"model_version": version, **score, "result": result})
    others = {"predictions": predictions} if predictions else {}
    return {"data": data, "meta": {OURS: exported.facts}, **_task_labels(task), **others}


def _task_labels(task: Task) -> Task:
    """Return what people decided on an image in Label Studio: the annotations of an exported task."""
    return {"annotations": task["annotations"]} if "annotations" in task else {}


def _region(label: str, mask: np.ndarray) -> list[dict[str, Any]]:
    """A region as the brush paints it; none for an empty mask."""
    if not mask.any():
        return []
    height, width = mask.shape
    value = {"format": "rle", "rle": packed_runs(np.repeat(mask.reshape(-1), 4)), "brushlabels": [label]}
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    return [{**BRUSH, **size, "id": label, "value": value}]


def packed_runs(values: np.ndarray) -> list[int]:
    """Pack values as rle-pack does, as Label Studio reads masks: a head, then runs, bit by bit.

    The head has the number of values (32 bits), the bits of a value less 1 (5) and of four lengths less 1 (4
    each). A run is a one, the place of its length among the four (2 bits), the length less 1, and the value.

    Args:
        values: (n,) uint8.
    Returns:
        bytes, the last one filled up with zeros.

    >>> packed_runs(np.zeros(1, np.uint8))
    [0, 0, 0, 1, 57, 27, 252, 0, 0]
    """
    head = [f"{len(values):032b}", f"{WORD - 1:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    edges = np.flatnonzero(np.diff(values)) + 1
    starts = np.concatenate([[0], edges]).astype(np.int64)
    lengths = np.diff(np.concatenate([starts, [len(values)]]))
    runs = zip(lengths.tolist(), values[starts].tolist(), strict=True)
    bits = head + [_run(length, value) for length, value in runs]
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return np.packbits(np.frombuffer(text.encode(), np.uint8) - ord("0")).tolist()


def _run(length: int, value: int) -> str:
    longest = 1 << SIZES[-1]
    last_place, longest_bits = f"{len(SIZES) - 1:02b}", f"{longest - 1:0{SIZES[-1]}b}"
    whole = f"1{last_place}{longest_bits}{value:0{WORD}b}"
    n_whole, rest = divmod(length, longest)
    if not rest:
        return whole * n_whole
    at_size = next(at for at, size in enumerate(SIZES) if rest <= 1 << size)
    size = SIZES[at_size]
    return whole * n_whole + f"1{at_size:02b}{rest - 1:0{size}b}{value:0{WORD}b}"


def _interface(exported: KnownImages, maps: ImageMaps) -> str:
    """The interface of a project: the classes, and the regions where there are some."""
    choices = [f"<Choice value={quoteattr(name)}/>" for name in _classes(exported)]
    labels = [f"<Label value={quoteattr(name)}/>" for kind, name in REGIONS.items() if kind in maps.held]
    name, of = CONTROL["from_name"], CONTROL["to_name"]
    lines = ["<View>", f'<Image name="{of}" value="${of}"/>']
    lines += [f'<Choices name="{name}" toName="{of}">', *choices, "</Choices>"]
    if labels:
        lines += [f'<BrushLabels name="{BRUSH["from_name"]}" toName="{of}">', *labels, "</BrushLabels>"]
    return "\n".join([*lines, "</View>", ""])


def _classes(exported: KnownImages) -> list[str]:
    """Every class that a task names."""
    names = set(exported.study.class_names)
    for field in ("predicted", "suggested", "corrected_label"):
        names |= {one for one in exported.fields.get(field, ()) if one is not None}
    return sorted(names)
