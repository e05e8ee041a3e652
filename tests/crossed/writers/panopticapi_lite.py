"""Panoptic segmentations whose ids panopticapi writes as colours."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
from panopticapi.utils import IdGenerator, id2rgb, rgb2id
from PIL import Image

from tests.crossed.data_kit import Picture, WrittenData, outlined, rgb, save_all

CATEGORIES = [
    {"id": 1, "name": "cat", "isthing": 1, "color": [220, 20, 60]},
    {"id": 2, "name": "dog", "isthing": 1, "color": [119, 11, 32]},
    {"id": 9, "name": "grass", "isthing": 0, "color": [152, 251, 152]},
]


def panoptic(folder: Path, *, masks: str, spec: str, then: str = "") -> WrittenData:
    """Each picture has an animal on grass: COCO's layout."""
    places = [folder / "val2017" / f"{number:012d}.png" for number in range(6)]
    save_all(places)
    out = folder / "panoptic_val2017"
    out.mkdir()
    generator = IdGenerator({one["id"]: one for one in CATEGORIES})
    images, annotations = [], []
    for number, place in enumerate(places):
        animal, grass = 1 + number % 2, generator.get_id(9)
        object_id = generator.get_id(animal)
        ids = np.where(outlined(number) > 0, object_id, grass)
        Image.fromarray(id2rgb(ids)).save(out / f"{number:012d}.png")
        segments = [
            {"id": int(one), "category_id": category, "iscrowd": 0, "area": int((ids == one).sum()),
             "bbox": [0, 0, 48, 40]}
            for one, category in ((object_id, animal), (grass, 9))
        ]  # fmt: skip
        images.append({"id": number, "file_name": place.name, "width": 48, "height": 40})
        annotations.append({"image_id": number, "file_name": f"{number:012d}.png", "segments_info": segments})
    tree = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    (folder / "panoptic_val2017.json").write_text(json.dumps(tree))
    pictures = []
    for place, one in zip(places, annotations, strict=True):
        ids = rgb2id(np.asarray(Image.open(out / one["file_name"])))
        thing = one["segments_info"][0]
        pictures.append(Picture(rgb(place), file=place.name, mask=ids == thing["id"]))
    return WrittenData(spec=spec, pictures=pictures, masks=masks, masks_then=then)


CASES = {
    ("id2rgb", "val2017/, its PNGs as masks"): partial(
        panoptic,
        spec="{folder}/val2017",
        masks="{folder}/panoptic_val2017",
        then="{folder}/panoptic_val2017.json",
    ),
    ("id2rgb", "panoptic_val2017.json as masks"): partial(
        panoptic, spec="{folder}/val2017", masks="{folder}/panoptic_val2017.json"
    ),
}
