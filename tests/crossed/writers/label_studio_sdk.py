"""What Label Studio exports: its own JSON, and what its converter makes of that."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from label_studio_sdk.converter import Converter
from label_studio_sdk.converter.brush import decode_rle, mask2rle

from tests.crossed.data_kit import Picture, WrittenData, drawn, outlined, rgb

NAMES = ("Cat", "Dog", "Hot Dog")
VALUES = "".join(f'<Choice value="{name}"/>' for name in NAMES)
LABELS = "".join(f'<Label value="{name}"/>' for name in NAMES)
IMAGE = '<Image name="image" value="$image"/>'
CHOICES = f'<View>{IMAGE}<Choices name="choice" toName="image">{VALUES}</Choices></View>'
TWO = (
    '<View><Image name="image" value="$image"/><Choices name="quality" toName="image"><Choice value="good"/>'
    f'<Choice value="bad"/></Choices><Choices name="animal" toName="image">{VALUES}</Choices></View>'
)
MANY = CHOICES.replace('toName="image">', 'toName="image" choice="multiple">')


def shapes(tag: str) -> str:
    return f'<View>{IMAGE}<{tag} name="label" toName="image">{LABELS}</{tag}></View>'


Results = Callable[[int], list[dict[str, Any]]]
SIZE = {"original_width": 48, "original_height": 40, "image_rotation": 0}


def choice(number: int, name: str = "choice") -> list[dict[str, Any]]:
    value = {"choices": [NAMES[number % 3]]}
    return [{"from_name": name, "to_name": "image", "type": "choices", "value": value, "id": f"r{number}"}]


def two(number: int) -> list[dict[str, Any]]:
    quality = {"choices": [("good", "bad")[number % 2]]}
    first = {
        "from_name": "quality",
        "to_name": "image",
        "type": "choices",
        "value": quality,
        "id": f"q{number}",
    }
    return [first, *choice(number, "animal")]


def many(number: int) -> list[dict[str, Any]]:
    return [choice(number)[0] | {"value": {"choices": [NAMES[number % 3], NAMES[(number + 1) % 3]]}}]


def box(number: int) -> list[dict[str, Any]]:
    left, top = 2 + number % 9, 3 + number % 7
    value = {"x": left / 0.48, "y": top / 0.4, "width": 21 / 0.48, "height": 18 / 0.4, "rotation": 0}
    return [_shape("rectanglelabels", value, number)]


def polygon(number: int) -> list[dict[str, Any]]:
    left, top = 2 + number % 9, 3 + number % 7
    corners = [(left, top), (left + 21, top), (left + 21, top + 18), (left, top + 18)]
    return [_shape("polygonlabels", {"points": [[x / 0.48, y / 0.4] for x, y in corners]}, number)]


def brush(number: int) -> list[dict[str, Any]]:
    value = {"format": "rle", "rle": mask2rle(outlined(number) * 255)}
    return [_shape("brushlabels", value, number)]


def _shape(kind: str, value: dict[str, Any], number: int) -> dict[str, Any]:
    named = value | {kind: [NAMES[number % 3]]}
    return {"from_name": "label", "to_name": "image", "type": kind, "value": named, "id": f"r{number}"} | SIZE


def tasks(root: Path, results: Results, reference: str, cancelled: bool = False) -> list[dict[str, Any]]:
    """Six tasks as Label Studio exports them; their pictures lie where `reference` says."""
    made = []
    for number in range(6):
        name = f"photo {number}.png"
        _place(root, reference, number, name)
        annotation = {
            "id": number + 1,
            "was_cancelled": False,
            "result": results(number),
            "completed_by": 1,
            "ground_truth": False,
            "lead_time": 3.0,
        }
        others = [annotation | {"id": 100 + number, "was_cancelled": True, "result": results(number + 1)}]
        text = reference.format(number=number, name=name.replace(" ", "%20") if "?" in reference else name)
        made.append(
            {
                "id": number + 1,
                "annotations": (others if cancelled else []) + [annotation],
                "file_upload": Path(text).name,
                "drafts": [],
                "predictions": [],
                "data": {"image": text},
                "meta": {},
                "inner_id": number + 1,
                "project": 1,
            }
        )
    return made


def _place(root: Path, reference: str, number: int, name: str) -> None:
    text = reference.format(number=number, name=name)
    path = text.partition("?d=")[2] or text.removeprefix("/data/upload/")
    place = root / (path if "://" not in path else Path(path).name)
    place.parent.mkdir(parents=True, exist_ok=True)
    drawn(number).save(place)


UPLOADED = "/data/upload/1/{number:08x}-{name}"
LOCAL = "/data/local-files/?d=photos/{name}"


def exported(
    folder: Path,
    results: Results,
    config: str,
    form: str = "",
    *,
    reference: str = "{name}",
    file: str = "export.json",
    more: str = "",
    masks: str = "",
    cancelled: bool = False,
    control: str = "",
    **written: Any,
) -> WrittenData:
    """Convert Label Studio's own JSON into a form; "" leaves it as it is.

    Args:
        control: of several controls, the one whose choice is the label.
    """
    root = folder / "data"
    root.mkdir()
    held = tasks(root, results, reference, cancelled)
    (root / "export.json").write_text(json.dumps(held))
    if form:
        (root / "out").mkdir()
        converter = Converter(config, str(root), upload_dir=str(root), download_resources="WITH" in form)
        converter.convert(str(root / "export.json"), str(root / "out"), form, is_dir=False)
    said = _said(root, config, control)
    pictures = [
        Picture(rgb(drawn(number)), said[number], mask=_mask(results(number)[0])) for number in range(6)
    ]
    masks_spec = {"masks": f"{{folder}}/data/{masks}"} if masks else {}
    if then := written.pop("then", ""):
        written["then"] = (f"{{folder}}/data/{then}", {})
    return WrittenData(spec=f"{{folder}}/data/{file}{more}", pictures=pictures, **masks_spec, **written)


def _said(root: Path, config: str, control: str) -> list[str | None]:
    """The class of each task as the converter says it in its least form."""
    converter = Converter(config, str(root), download_resources=False)
    converter.convert(str(root / "export.json"), str(root / "least"), "JSON_MIN", is_dir=False)
    rows = json.loads(next((root / "least").glob("*.json")).read_text())
    for file in (root / "least").iterdir():
        file.unlink()
    (root / "least").rmdir()
    return [_first(row, control) for row in sorted(rows, key=lambda row: row["id"])]


def _first(row: dict[str, Any], control: str) -> str | None:
    value = row.get(control or "choice", row.get("label"))
    value = value.get("choices", value) if isinstance(value, dict) else value
    value = value[0] if isinstance(value, list) else value
    if isinstance(value, dict):
        value = next(
            value[kind] for kind in ("rectanglelabels", "polygonlabels", "brushlabels") if kind in value
        )
    return value[0] if isinstance(value, list) else value


def _mask(result: dict[str, Any]) -> np.ndarray | None:
    value = result["value"]
    if "rle" in value:
        return decode_rle(value["rle"]).reshape(40, 48, 4)[..., 3] > 0
    number = int(result["id"][1:])
    return outlined(number) if result["type"] != "choices" else None


RECTANGLES, POLYGONS, BRUSHES = (shapes(tag) for tag in ("RectangleLabels", "PolygonLabels", "BrushLabels"))
COCO, BRUSHED = "out/result.json", "out/result_coco.json"
CASES = {
    ("export", "JSON, choices"): partial(exported, results=choice, config=CHOICES),
    ("export", "JSON, choices, /data/upload/"): partial(
        exported, results=choice, config=CHOICES, reference=UPLOADED
    ),
    ("export", "JSON, choices, /data/upload/, ?root="): partial(
        exported, results=choice, config=CHOICES, reference=UPLOADED, more="?root={folder}/data"
    ),
    ("export", "JSON, choices, /data/local-files/"): partial(
        exported, results=choice, config=CHOICES, reference=LOCAL
    ),
    ("export", "JSON, choices, https://"): partial(
        exported, results=choice, config=CHOICES, reference="https://example.org/photos/{name}"
    ),
    ("export", "JSON, a cancelled annotation first"): partial(
        exported, results=choice, config=CHOICES, cancelled=True
    ),
    ("export", "JSON, two controls"): partial(
        exported,
        results=two,
        config=TWO,
        control="animal",
        then="export.json?label=animal",
        excused="quality",
    ),
    ("export", "JSON, two controls, ?label=animal"): partial(
        exported, results=two, config=TWO, control="animal", more="?label=animal"
    ),
    ("export", "JSON, several choices"): partial(exported, results=many, config=MANY),
    ("export", "JSON, boxes"): partial(exported, results=box, config=RECTANGLES),
    ("export", "JSON, polygons"): partial(exported, results=polygon, config=POLYGONS),
    ("export", "JSON, brushes"): partial(exported, results=brush, config=BRUSHES),
    ("JSON_MIN", "choices"): partial(
        exported,
        results=choice,
        config=CHOICES,
        form="JSON_MIN",
        file="out/result.json",
        more="?root={folder}/data",
    ),
    ("JSON_MIN", "choices, an own control"): partial(
        exported,
        results=partial(choice, name="animal"),
        config=CHOICES.replace('"choice"', '"animal"'),
        form="JSON_MIN",
        file="out/result.json",
        more="?root={folder}/data",
        control="animal",
        then="out/result.json?root={folder}/data&label=animal",
    ),
    ("JSON_MIN", "boxes"): partial(
        exported,
        results=box,
        config=RECTANGLES,
        form="JSON_MIN",
        file="out/result.json",
        more="?root={folder}/data",
    ),
    ("CSV", "choices"): partial(
        exported,
        results=choice,
        config=CHOICES,
        form="CSV",
        file="out/result.csv",
        excused="?label=choice",
        more="?root={folder}/data",
    ),
    ("CSV", "an own control, ?label="): partial(
        exported,
        results=partial(choice, name="animal"),
        config=CHOICES.replace('"choice"', '"animal"'),
        form="CSV",
        file="out/result.csv",
        more="?root={folder}/data&label=animal",
        control="animal",
    ),
    ("TSV", "choices"): partial(
        exported,
        results=choice,
        config=CHOICES,
        form="TSV",
        file="out/result.csv",
        excused="?label=choice",
        more="?root={folder}/data",
    ),
    ("COCO", "boxes"): partial(
        exported, results=box, config=RECTANGLES, form="COCO", file=COCO, more="?root={folder}/data"
    ),
    ("COCO", "boxes, /data/upload/"): partial(
        exported,
        results=box,
        config=RECTANGLES,
        form="COCO",
        reference=UPLOADED,
        file=COCO,
        more="?root={folder}/data",
    ),
    ("COCO", "polygons, as masks"): partial(
        exported,
        results=polygon,
        config=POLYGONS,
        form="COCO",
        file=COCO,
        more="?root={folder}/data",
        masks=COCO,
    ),
    ("COCO_WITH_IMAGES", "boxes"): partial(
        exported, results=box, config=RECTANGLES, form="COCO_WITH_IMAGES", reference=UPLOADED, file=COCO
    ),
    ("BRUSH_TO_COCO", "brushes"): partial(
        exported,
        results=brush,
        config=BRUSHES,
        form="BRUSH_TO_COCO",
        file=BRUSHED,
        more="?root={folder}/data",
        excused="core masks: the outlines",
        masks=BRUSHED,
    ),
    ("BRUSH_TO_PNG", "its folder as masks"): partial(
        exported,
        results=brush,
        config=BRUSHES,
        form="BRUSH_TO_PNG",
        file="export.json",
        masks="out",
        refused=True,
    ),
    ("YOLO", "its folder"): partial(
        exported, results=box, config=RECTANGLES, form="YOLO", file="out", refused=True
    ),
    ("YOLO_WITH_IMAGES", "images/"): partial(
        exported,
        results=box,
        config=RECTANGLES,
        form="YOLO_WITH_IMAGES",
        reference=UPLOADED,
        file="out/images",
        may_lack=True,
    ),
    ("VOC", "Annotations/"): partial(
        exported, results=box, config=RECTANGLES, form="VOC", file="out/Annotations", refused=True
    ),
}
