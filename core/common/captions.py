"""Captions of pictures: the truth first, then what the probe predicts instead; names of splits."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from core.common.label_match import match_labels
from core.common.wordnet import wordnet_names

# A class in a sentence, perhaps with its words behind the id, and no part of a path.
_ALONE = re.compile(r"(?<![\w/])(n\d{8})(?:-([^\W\d][\w'-]*))?(?![\w/-]|\.\w)")
SPLITS = {"val": "Evaluation", "train": "Train"}
ON_MASKS = {"core": "object", "spurious": "background"}  # what the heat of a heatmap lies on
LOOKS = {"core": "on the object", "spurious": "on the background", "undecided": "undecided"}  # of features


def split_images(split: str | None) -> str:
    """Return the name of a split in a sentence, as in "evaluation images"; None: of all images.

    >>> split_images("val"), split_images("train"), split_images(None)
    ('evaluation images', 'train images', 'images')
    """
    return {"val": "evaluation images", "train": "train images"}.get(split or "", "images")


def headline(fact: Mapping[str, Any]) -> str:
    """Name an image, the same wherever it is shown, by label and prediction; by its file if none is known.

    Args:
        fact: `image_id`, and as far as known `label`, `predicted`, `confidence` (in [0, 1]).

    >>> headline({"image_id": "a/1.png", "label": "insect", "predicted": "flower", "confidence": 0.954})
    'insect → flower, 95 %'
    >>> headline({"image_id": "a/1.png", "label": "bird", "predicted": "bird", "confidence": 0.4})
    'bird, 40 %'
    >>> headline({"image_id": "a/1.png", "predicted": "bird"}), headline({"image_id": "a/1.png"})
    ('predicted bird', '1.png')
    """
    label, predicted, confidence = (fact.get(name) for name in ("label", "predicted", "confidence"))
    if _missing(label) and _missing(predicted):
        return str(fact["image_id"]).rpartition("/")[2]
    if _missing(predicted):
        return str(label)
    sure = "" if _missing(confidence) else f", {100 * float(confidence or 0):.0f} %"
    if _missing(label):
        return f"predicted {predicted}{sure}"
    return f"{label}{sure}" if label == predicted else f"{label} → {predicted}{sure}"


def _missing(value: object) -> bool:
    return value is None or bool(pd.isna(value))  # pyright: ignore[reportArgumentType, reportCallIssue]


def cut_text(text: str, longest: int) -> str:
    """Return the beginning of a text that is too long to be shown.

    >>> cut_text("a dog, on grass", 8), cut_text("ant", 8)
    ('a dog, …', 'ant')
    """
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def class_id(name: str, classes: Collection[str]) -> str:
    """The class that a name means, however it is spelt (`match_labels`); the name itself for none.

    >>> class_id("golden retriever", ["n02099601"]), class_id("Dog", ["dog"]), class_id("cat", ["dog"])
    ('n02099601', 'dog', 'cat')
    """
    if name in classes:
        return name
    shown = next((class_ for class_ in classes if with_class_names(class_) == name), None)
    if shown is not None:
        return shown
    class_list = list(classes)
    (code,) = match_labels([[name]], class_list).code.tolist()
    return class_list[code] if code >= 0 else name


def with_class_names(text: str) -> str:
    """The text with the names of the WordNet ids that stand in it as words.

    >>> with_class_names("n02099601 → n01440764, 54 %"), with_class_names("n02099601/1.jpg")
    ('golden retriever → tench, 54 %', 'n02099601/1.jpg')
    >>> with_class_names("n02085620-Chihuahua → n02088094-Afghan_hound, but n02085620-Chihuahua/1.jpg")
    'Chihuahua → Afghan hound, but n02085620-Chihuahua/1.jpg'
    >>> with_class_names("crane (n03126707)")  # it has its name already
    'crane (n03126707)'
    """

    def named(one: re.Match[str]) -> str:
        if one[2]:
            return one[2].replace("_", " ")
        name = wordnet_names().get(one[0], one[0])
        return one[0] if name != one[0] and text[: one.end() + 1].endswith(name) else name

    return _ALONE.sub(named, text)
