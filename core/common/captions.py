"""Captions of pictures: the truth first, then what the probe predicts instead; names of splits and masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

SPLITS = {"val": "Evaluation", "train": "Train"}
ON_MASKS = {"core": "object", "spurious": "background"}  # what the heat of a heatmap lies on
LOOKS = {"core": "on the object", "spurious": "on the background", "undecided": "undecided"}  # of features


def split_images(split: str | None) -> str:
    """Name the images of a split; None: of all.

    >>> split_images("val"), split_images("train"), split_images(None)
    ('evaluation images', 'train images', 'images')
    """
    return {"val": "evaluation images", "train": "train images"}.get(split or "", "images")


def headline(fact: Mapping[str, Any]) -> str:
    """Return the headline of an image, the same wherever it is shown; the file name if nothing is known.

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


def shortened(name: str, longest: int = 28) -> str:
    """Shorten a name to stand beside a chart.

    >>> shortened("a very long name", 8), shortened("ant")
    ('a very …', 'ant')
    """
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
