"""Label images that cityscapesscripts makes of its polygons, and its panoptic PNGs."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cityscapesscripts.helpers.labels import name2label
from cityscapesscripts.preparation.createPanopticImgs import convert2panoptic
from cityscapesscripts.preparation.json2instanceImg import json2instanceImg
from cityscapesscripts.preparation.json2labelImg import json2labelImg
from PIL import Image

from tests.crossed.data_kit import Picture, WrittenData, outlined, rgb, save_all

CITIES = {"train": ("aachen", "bochum"), "val": ("lindau",)}
KINDS = {"labelIds": "ids", "labelTrainIds": "trainIds", "color": "color"}


def polygons(place: Path, number: int) -> None:
    """Road everywhere, and a car where `outlined` is 1."""
    mask = outlined(number)
    rows, columns = np.nonzero(mask)
    left, right, top, bottom = columns.min(), columns.max(), rows.min(), rows.max()
    car = [[left, top], [right, top], [right, bottom], [left, bottom]]
    objects = [
        {"label": "road", "polygon": [[0, 0], [47, 0], [47, 39], [0, 39]]},
        {"label": "car", "polygon": [[int(x), int(y)] for x, y in car]},
    ]
    place.write_text(json.dumps({"imgWidth": 48, "imgHeight": 40, "objects": objects}))


def scenes(
    folder: Path, kinds: tuple[str, ...], *, with_instances: bool = False
) -> list[tuple[Path, Path, str]]:
    """Pictures and label images as downloaded: (picture, the beginning of its labels' names, split)."""
    made, number = [], 0
    for split, cities in CITIES.items():
        for city in cities:
            for frame in range(3):
                name = f"{city}_{frame:06d}_000019"
                picture = folder / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png"
                save_all([picture], number)
                labels = folder / "gtFine" / split / city / f"{name}_gtFine"
                labels.parent.mkdir(parents=True, exist_ok=True)
                polygons(Path(f"{labels}_polygons.json"), number)
                for kind in kinds:
                    json2labelImg(f"{labels}_polygons.json", f"{labels}_{kind}.png", KINDS[kind])
                if with_instances:
                    json2instanceImg(f"{labels}_polygons.json", f"{labels}_instanceIds.png", "ids")
                made.append((picture, labels, split))
                number += 1
    return made


def city(folder: Path, kind: str, value: Any, then: str, kinds: tuple[str, ...]) -> WrittenData:
    pictures = []
    for picture, labels, split in scenes(folder, kinds):
        held = np.asarray(Image.open(f"{labels}_{kind}.png"))
        mask = (held[..., :3] == value).all(-1) if held.ndim == 3 else held == value
        pictures.append(Picture(rgb(picture), "", split, picture.name, mask=mask))
    masks = "{folder}/gtFine"
    return WrittenData(spec="{folder}/leftImg8bit", pictures=pictures, masks=masks, masks_then=masks + then)


def panoptic(folder: Path, *, alone: bool) -> WrittenData:
    """Its panoptic PNGs of val: a segment's id is R + 256 G + 65536 B."""
    made = [one for one in scenes(folder, (), with_instances=True) if one[2] == "val"]
    out = folder / "panoptic"
    out.mkdir()
    convert2panoptic(cityscapesPath=str(folder / "gtFine"), outputFolder=str(out), setNames=["val"])
    about = json.loads((out / "cityscapes_panoptic_val.json").read_text())
    car, pictures = name2label["car"].id, []
    for picture, labels, _ in made:
        (one,) = [one for one in about["annotations"] if labels.name.startswith(one["image_id"])]
        ids = np.asarray(Image.open(out / "cityscapes_panoptic_val" / one["file_name"])).astype(int)
        ids = ids[..., 0] + 256 * ids[..., 1] + 65536 * ids[..., 2]
        segments = [part["id"] for part in one["segments_info"] if part["category_id"] == car]
        pictures.append(Picture(rgb(picture), "", "", picture.name, mask=np.isin(ids, segments)))
    masks = "{folder}/panoptic/cityscapes_panoptic_val"
    then = "{folder}/panoptic/cityscapes_panoptic_val.json"
    spec = "{folder}/leftImg8bit/val"
    return WrittenData(spec=spec, pictures=pictures, masks=then if alone else masks, masks_then=then)


ID, TRAIN_ID, COLOUR = name2label["car"].id, name2label["car"].trainId, name2label["car"].color
CASES = {
    ("json2labelImg", "labelIds, ?value=26"): partial(
        city, kind="labelIds", value=ID, then=f"?value={ID}", kinds=("labelIds",)
    ),
    ("json2labelImg", "labelTrainIds, ?value=13"): partial(
        city, kind="labelTrainIds", value=TRAIN_ID, then=f"?value={TRAIN_ID}", kinds=("labelTrainIds",)
    ),
    ("json2labelImg", "color, ?value=0,0,142"): partial(
        city, kind="color", value=COLOUR, then=f"?value={COLOUR[0]},{COLOUR[1]},{COLOUR[2]}", kinds=("color",)
    ),
    ("json2labelImg", "labelIds and color, ?value=26"): partial(
        city, kind="labelIds", value=ID, then=f"?value={ID}", kinds=("labelIds", "color")
    ),
    ("convert2panoptic", "its PNGs as masks"): partial(panoptic, alone=False),
    ("convert2panoptic", "its .json as masks"): partial(panoptic, alone=True),
}
