"""The masks, captions and sample images of a dry run. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.image_files import image_address
from core.data.sources.decode import thumbnail_jpeg
from core.errors import ClipError, UnreadableImage

if TYPE_CHECKING:
    from core.data.sources.images import ImageSource

THUMBNAIL = 128  # pixels, longer side
FIRST_CAPTIONS = 3


def sample_images(source: ImageSource, n: int, *, pictures: bool) -> list[dict[str, Any]]:
    """Return some images spread evenly over the listing.

    Args:
        pictures: add a thumbnail of each as a data URI; "" for an unreadable image.
    Returns:
        image_id, split, label and, on request, thumbnail.
    """
    rows = np.unique(np.linspace(0, len(source.table) - 1, n).round().astype(int))
    records = source.table.iloc[rows][["image_id", "split", "label"]].to_dict("records")
    samples = [{**one, "label": one["label"] if isinstance(one["label"], str) else None} for one in records]
    if pictures:
        for row, one in zip(rows, samples, strict=True):
            one["thumbnail"] = _data_uri(source, int(row))
    return samples


def _data_uri(source: ImageSource, row: int) -> str:
    try:
        jpeg = thumbnail_jpeg(source.read(row), THUMBNAIL)
    except UnreadableImage:
        return ""
    return image_address(jpeg)


def masks_found(source: ImageSource, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Count the masks that match the images: the report of `MaskSource`; None where there are none.

    Raises:
        MaskError: masks were named, but none of them matches an image.
    """
    from core.data.masks.masks import open_masks

    named = {key: options.get(key) for key in ("masks", "salient_imagenet", "annotations")}
    masks = open_masks(**named, source=source)
    return None if masks is None else {"kind": masks.kind, **masks.report}


def captions_found(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the size of a caption bank and its first captions; None if none was named.

    Raises:
        CaptionError: the bank cannot be read or holds no usable captions.
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
    """Describe the named CLIP, loaded if its weights are on this machine; others are downloaded on use.

    Raises:
        ClipError: its weights file is missing or does not fit.
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
