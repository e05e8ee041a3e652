"""Captions and classes in the forms that clip_benchmark reads, in several languages."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from clip_benchmark.datasets import babel_imagenet, objectnet
from clip_benchmark.datasets.crossmodal3600 import Crossmodal3600
from clip_benchmark.datasets.flickr import Flickr
from clip_benchmark.datasets.multilingual_mscoco import Multilingual_MSCOCO
from clip_benchmark.datasets.sugar_crepe import SugarCrepe
from clip_benchmark.datasets.xtd200 import XTD200

from tests.crossed.data_kit import Picture, WrittenData, rgb, save_all, tree

TEXTS = {
    "en": "A red bus stops in front of a shop",
    "de": "Ein roter Bus hält vor einem Geschäft",
    "ja": "赤いバスが店の前に止まる",
    "ar": "حافلة حمراء تقف أمام متجر",
    "ru": "Красный автобус стоит перед магазином",
    "hi": "एक लाल बस दुकान के सामने रुकती है",
}


def texts_in(language: str, n: int = 6) -> list[str]:
    return [f"{TEXTS[language]}, {number}" for number in range(n)]


def multilingual(folder: Path, language: str, data_set: Callable[..., Any]) -> WrittenData:
    """{"image_paths": […], "annotations": […]}, as its own functions write them."""
    places = [folder / "images" / f"{number}.png" for number in range(6)]
    save_all(places)
    held = {"image_paths": [str(one) for one in places], "annotations": texts_in(language)}
    file = folder / f"captions-{language}.json"
    file.write_text(json.dumps(held, ensure_ascii=language == "ru"), encoding="utf-8")
    back = data_set(root=str(folder), ann_file=str(file))
    said = [text for number in range(len(back)) for text in _each(back[number][1])]
    return WrittenData(captions=f"{{folder}}/{file.name}", texts=said, refused=language != "en")


def crossmodal(folder: Path, language: str) -> WrittenData:
    """Two captions an image."""
    places = [folder / "images" / f"{number}.png" for number in range(3)]
    save_all(places)
    texts = texts_in(language)
    held = {
        "image_paths": [str(one) for one in places],
        "annotations": [texts[at : at + 2] for at in (0, 2, 4)],
    }
    file = folder / f"crossmodal3600_captions-{language}.json"
    file.write_text(json.dumps(held), encoding="utf-8")
    back = Crossmodal3600(root=str(folder), ann_file=str(file))
    said = [text for number in range(len(back)) for text in _each(back[number][1])]
    return WrittenData(captions=f"{{folder}}/{file.name}", texts=said, refused=language != "en")


def _each(target: Any) -> list[str]:
    return [text for one in target for text in (one if isinstance(one, list) else [one])]


def sugar_crepe(folder: Path, spec: str) -> WrittenData:
    """{"0": {"filename", "caption", "negative_caption"}, …}, whose keys are not contiguous."""
    save_all([folder / "images" / f"{number:012d}.png" for number in range(6)])
    held = {
        str(3 * number): {
            "filename": f"{number:012d}.png",
            "caption": text,
            "negative_caption": text.replace("red", "blue"),
        }
        for number, text in enumerate(texts_in("en"))
    }
    (folder / "replace_att.json").write_text(json.dumps(held), encoding="utf-8")
    back = SugarCrepe(root=str(folder / "images"), ann_file=str(folder / "replace_att.json"))
    said = [back[number][1] for number in range(len(back))]
    negative = "negative" in spec
    return WrittenData(captions=f"{{folder}}/{spec}", texts=[one[negative] for one in said])


def aro(folder: Path, spec: str) -> WrittenData:
    """ARO's visual_genome_relation.json: a list with true and false captions, as published."""
    rows = [
        {
            "image_id": str(number), "bbox_x": 2, "bbox_y": 3, "bbox_w": 30, "bbox_h": 20,
            "image_path": f"{number}.jpg", "relation_name": "in front of",
            "true_caption": text, "false_caption": text.replace("bus", "shop"),
        }
        for number, text in enumerate(texts_in("en"))
    ]  # fmt: skip
    (folder / "visual_genome_relation.json").write_text(json.dumps(rows), encoding="utf-8")
    field = "false_caption" if "false" in spec else "true_caption"
    return WrittenData(captions=f"{{folder}}/{spec}", texts=[row[field] for row in rows])


def winoground(folder: Path, spec: str) -> WrittenData:
    """Winoground's examples.jsonl, as published."""
    rows = [
        {"id": number, "image_0": f"ex_{number}_img_0", "image_1": f"ex_{number}_img_1", "caption_0": text,
         "caption_1": text.replace("bus", "shop"), "tag": "Object", "secondary_tag": "", "num_main_preds": 1}
        for number, text in enumerate(texts_in("en"))
    ]  # fmt: skip
    (folder / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    field = "caption_1" if "caption_1" in spec else "caption_0"
    return WrittenData(captions=f"{{folder}}/{spec}", texts=[row[field] for row in rows])


def flickr(folder: Path) -> WrittenData:
    """Its reader splits lines at `.jpg,`, so captions may have commas."""
    places = [folder / "images" / f"{number}.jpg" for number in range(3)]
    save_all(places)
    texts = [f"{text}, and more" for text in texts_in("en")]
    lines = [f"{number // 2}.jpg,{text}" for number, text in enumerate(texts)]
    (folder / "captions.txt").write_text("image,caption\n" + "\n".join(lines) + "\n")
    back = Flickr(root=str(folder / "images"), ann_file=str(folder / "captions.txt"))
    said = [text for number in range(len(back)) for text in back[number][1]]
    return WrittenData(captions="{folder}/captions.txt", texts=said)


def object_net(folder: Path, spec: str) -> WrittenData:
    """ObjectNet's folders and its map to names; the library reads the classes of ImageNet alone."""
    root = folder / "data"
    names = {"air_freshener": "Air freshener", "alarm_clock": "Alarm clock", "backpack": "Backpack"}
    tree(root / "objectnet-1.0" / "images", list(names))
    (root / "folder_to_objectnet_label.json").write_text(json.dumps(names))
    to_imagenet = {"Alarm clock": "analog clock", "Backpack": "backpack, back pack"}
    (root / "objectnet_to_imagenet_1k.json").write_text(json.dumps(to_imagenet))
    numbers = {"409": 0, "414": 1}
    (root / "pytorch_to_imagenet_2012_id.json").write_text(json.dumps(numbers))
    (root / "imagenet_to_label_2012_v2").write_text("analog clock\nbackpack, back pack\n")
    back = objectnet.ObjectNetDataset(str(root), None)
    pictures = [Picture(rgb(path), Path(path).parent.name, file=Path(path).name) for path, _ in back.samples]
    others = [one for one in (root / "objectnet-1.0" / "images" / "air_freshener").iterdir()]
    pictures += [Picture(rgb(one), "air_freshener", file=one.name) for one in sorted(others)]
    return WrittenData(spec=spec, pictures=pictures)


def babel(folder: Path) -> WrittenData:
    """Babel-ImageNet's classes in German, a class a line."""
    held = json.loads(
        Path(babel_imagenet.__file__).with_name("babel_imagenet.json").read_text(encoding="utf-8")
    )
    names = list(dict.fromkeys(held["DE"][1]))[:200]
    (folder / "classes-de.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return WrittenData(captions="{folder}/classes-de.txt", texts=names)


CASES = {
    **{
        ("Multilingual_MSCOCO", language): partial(
            multilingual, language=language, data_set=Multilingual_MSCOCO
        )
        for language in TEXTS
    },
    ("XTD200", "hi"): partial(multilingual, language="hi", data_set=XTD200),
    **{
        ("Crossmodal3600", language): partial(crossmodal, language=language)
        for language in ("en", "ja", "ar")
    },
    ("SugarCrepe", "replace_att.json"): partial(sugar_crepe, spec="replace_att.json"),
    ("SugarCrepe", "?text=negative_caption"): partial(
        sugar_crepe, spec="replace_att.json?text=negative_caption"
    ),
    ("ARO", "visual_genome_relation.json"): partial(
        aro, spec="visual_genome_relation.json?text=true_caption"
    ),
    ("ARO", "?text=false_caption"): partial(aro, spec="visual_genome_relation.json?text=false_caption"),
    ("Winoground", "examples.jsonl?text=caption_0"): partial(
        winoground, spec="examples.jsonl?text=caption_0"
    ),
    ("Winoground", "examples.jsonl?text=caption_1"): partial(
        winoground, spec="examples.jsonl?text=caption_1"
    ),
    ("Flickr", "captions.txt"): flickr,
    ("ObjectNetDataset", "its folder"): partial(object_net, spec="{folder}/data"),
    ("ObjectNetDataset", "objectnet-1.0/images"): partial(
        object_net, spec="{folder}/data/objectnet-1.0/images"
    ),
    ("babel_imagenet", "classes in German"): babel,
}
