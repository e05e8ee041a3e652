"""What a dry run says about masks and captions, and the pictures that it shows. Nothing is written."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.sources.decode import thumbnail_jpeg
from core.errors import ClipError, UnreadableImage

if TYPE_CHECKING:
    from core.data.sources.images import ImageSource

THUMBNAIL = 128  # pixels of the longer side
FIRST_CAPTIONS = 3


def sample_images(source: ImageSource, n: int, *, pictures: bool) -> list[dict[str, Any]]:
    """Some images spread evenly over the listing.

    Args:
        pictures: also a thumbnail each, as a data URI; "" for an image that cannot be read.
    Returns:
        image_id, split, label and, where asked for, thumbnail.
    """
    rows = np.unique(np.linspace(0, len(source.table) - 1, n).round().astype(int))
    found = source.table.iloc[rows][["image_id", "split", "label"]].to_dict("records")
    samples = [{**one, "label": one["label"] if isinstance(one["label"], str) else None} for one in found]
    if pictures:
        for row, one in zip(rows, samples, strict=True):
            one["thumbnail"] = _data_uri(source, int(row))
    return samples


def _data_uri(source: ImageSource, row: int) -> str:
    try:
        jpeg = thumbnail_jpeg(source.read(row), THUMBNAIL)
    except UnreadableImage:
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def masks_found(source: ImageSource, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """How many masks belong to the images: the report of `MaskSource`; None where there are none.

    Raises:
        MaskError: masks were named, and none of them belongs to an image.
    """
    from core.data.masks.masks import open_masks

    named = {key: options.get(key) for key in ("masks", "salient_imagenet", "annotations")}
    masks = open_masks(**named, source=source)
    return None if masks is None else {"kind": masks.kind, **masks.report}


def captions_found(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The size of a caption bank and its first captions; None where none was named.

    Raises:
        CaptionError: it cannot be read, or holds nothing to choose from.
    """
    if not options.get("captions"):
        return None
    from core.concepts.captions.bank import open_bank

    bank = open_bank(options["captions"])
    return {
        "name": str(options["captions"]),
        "n_captions": len(bank),
        "first": bank.texts(range(min(FIRST_CAPTIONS, len(bank)))),
        **bank.report,
    }


def clip_found(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """A CLIP that is named, loaded when its weights lie on this machine; others are fetched when used.

    Raises:
        ClipError: its weights are a file that is not there or does not fit.
    """
    spec = options.get("clip")
    if not spec:
        return None
    weights = str(spec).partition("@")[2]
    here = str(spec).startswith("asset:") or str(spec).endswith(".json") or Path(weights or "?").is_file()
    if not here:
        if "/" in weights:
            raise ClipError(f"no weights at '{weights}'. Name a file, or a tag as in ViT-B-32@openai")
        return {"name": str(spec), "here": False}
    from core.concepts.clip.clip import load_clip

    return {"name": str(spec), "here": True, "width": load_clip(str(spec)).width}
