"""The interface of all sources of core and spurious masks, and a mask file as numbers."""

import io
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from core.common.addresses import is_url
from core.common.formatting import counted
from core.common.records import Templates
from core.common.remote_objects import read_object
from core.common.threads import cached_property
from core.data.decode import TRANSPOSE, decode
from core.data.mask_values import AS_BRIGHT, MaskReading, holds_inverted_bits, selected, stored_values
from core.data.picture_limits import TURNS
from core.data.source import ImageSource
from core.errors import UnreadableImage

# Whether a mask has the proportions of its picture, or of the picture as stored before its EXIF turn.


say_of_geometry = Templates.beside(__file__)
ALIKE = 0.02  # of two proportions, by which they differ at most; and a pixel of the shorter side


def upright(mask: np.ndarray, size: tuple[int, int], turn: Callable[[], int]) -> np.ndarray:
    """Turn a mask whose sides are exchanged against its picture as the picture's EXIF says.

    A mask of other proportions stays: it is taken to cover the whole picture.

    Args:
        mask: (H, W). size: width and height of the upright picture, also of a smaller copy.
        turn: returns the EXIF orientation that the picture had, 1 to 8; called where sides are exchanged.
    Raises:
        UnreadableImage: sides are exchanged, and the picture was not turned by 90 degrees.
    """
    height, width = mask.shape
    if are_alike((width, height), size) or not are_alike((height, width), size):
        return mask
    turned = turn()
    if turned < 5:
        raise UnreadableImage(
            f"it has {width} x {height} pixels and its picture {size[0]} x {size[1]}: one of them is turned"
        )
    return np.asarray(Image.fromarray(mask).transpose(TRANSPOSE[turned]))


def are_alike(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Return True for sizes of a mask and its image with the same proportions, up to rounding.

    >>> are_alike((640, 480), (128, 96)), are_alike((640, 480), (480, 640)), are_alike((640, 480), (512, 512))
    (True, False, False)
    """
    ratio = math.log(first[0] * second[1] / (first[1] * second[0]))
    return abs(ratio) < ALIKE + 1 / min(*first, *second)


# The interface of all sources of core and spurious masks, and the conversion of a mask file to numbers.


KINDS = ("core", "spurious")
EXAMPLES = 5  # names shown in a report for each count


@dataclass
class MaskListing:
    """The result of listing a mask source.

    Attributes:
        places: kind -> image id -> the data that `read` needs to find the mask.
        report: counts, examples and notes, JSON-able.
        features: see `MaskSource`.
    """

    places: dict[str, dict[str, Any]]
    report: dict[str, Any]
    features: pd.DataFrame | None = None


class MaskSource(ABC):
    """Core and spurious masks of one source's images, found by image id; listed on first use.

    Attributes:
        kind: `reopen_masks` dispatches on it: "planted", "folder", "coco" or
            "salient_imagenet".
        table: image_id, mask ("core" or "spurious"), one row per mask that exists, in the images' order.
        features: image_id, class, wnid, feature, kind, rank, keywords, one row per image and annotated
            feature of Salient ImageNet (not of the study's encoder); None elsewhere.
        keywords: (wnid, feature) -> the workers' descriptions; empty elsewhere.
        report: counts of matched images and masks: n_images, n_matched (images with any mask),
            n_core, n_spurious, n_both, n_masks, n_unmatched_masks, unmatched_masks (examples), notes.
    """

    kind: str
    source: ImageSource

    @abstractmethod
    def _list(self) -> MaskListing: ...

    @abstractmethod
    def read(self, image_id: str, mask: str) -> np.ndarray:
        """Read a mask at its own size.

        Returns:
            (H, W) float32 in [0, 1].
        Raises:
            UnreadableImage: there is no such mask, or its file cannot be read; with a short reason.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return JSON-able data from which `reopen_masks` opens the same masks again."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return the sha256 (hex) of the mask assignment and the files' sizes and times."""

    def frame(self, image_id: str, mask: str) -> str:
        """Return "image" if the mask covers the original, "crop" if only Resize 256 + CenterCrop 224."""
        return "image"

    is_listed = False  # whether it has listed its masks

    @cached_property
    def listing(self) -> MaskListing:
        listing = self._list()
        self.is_listed = True
        return listing

    @cached_property
    def table(self) -> pd.DataFrame:
        rows = [
            (image_id, kind)
            for image_id in self._image_ids()
            for kind in KINDS
            if image_id in self.listing.places[kind]
        ]
        return pd.DataFrame(rows, columns=["image_id", "mask"]).astype("str")

    def _image_ids(self) -> list[str]:
        return list(self.source.table["image_id"])

    @property
    def report(self) -> dict[str, Any]:
        return self.listing.report

    @property
    def features(self) -> pd.DataFrame | None:
        return self.listing.features

    @property
    def keywords(self) -> dict[tuple[str, int], list[str]]:
        return {}


def coverage(n_images: int, places: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Count the images with a core or a spurious mask; the first note states the counts."""
    core, spurious = (set(places[kind]) for kind in KINDS)
    n_any, n_both = len(core | spurious), len(core & spurious)
    counts = f"{len(core):,} core, {len(spurious):,} spurious, {n_both:,} both"
    note = f"{n_any:,} of {counted(n_images, 'image')} have a mask, be it empty ({counts})"
    return {
        "n_images": n_images,
        "n_matched": n_any,
        "n_core": len(core),
        "n_spurious": len(spurious),
        "n_both": n_both,
        "notes": [note],
    }


def read_mask(path: str | Path, reading: MaskReading = AS_BRIGHT) -> np.ndarray:
    """Read the values of a mask file, at its own size and upright.

    Where `reading` names no values: in a file with transparent parts the opacity is the mask; else the
    brightest channel, so that a mask may have any colour on black. In a lossless file with only the values 0
    and another one, that one means full; values up to 255 in a file of 16 bits or more are those of 8 bits.

    Returns:
        (H, W) float32 in [0, 1].
    Raises:
        UnreadableImage: with a short reason.
    """
    if not reading.is_soft:
        return selected(stored_values(path), reading)
    values = np.asarray(decode(path)).max(axis=2)
    file = io.BytesIO(read_object(str(path))) if is_url(path) else path  # from the cache by now
    with Image.open(file) as image, TURNS.turn(image.width * image.height):
        own_values = _opacity(image) if image.has_transparency_data else _low_values(image)
        lossless, inverted = image.format != "JPEG", holds_inverted_bits(image)
    if own_values is not None and own_values.shape == values.shape:
        values = own_values
    if inverted:
        values = 255 - values
    levels = np.unique(values) if lossless else []
    highest = 255
    if len(levels) == 2 and not levels[0]:
        highest = levels[1]
    elif lossless and values.max() == 1:
        highest = 1
    return values.astype(np.float32) / np.float32(highest)


def _low_values(image: Image.Image) -> np.ndarray | None:
    """The values of a deep file that holds those of 8 bits, of which scaling it to 8 bits leaves nothing."""
    deep = np.asarray(image) if image.mode.startswith("I") else np.full((1, 1), 256)
    return deep.astype(np.uint8) if deep.min() >= 0 and deep.max() <= 255 else None


def _opacity(image: Image.Image) -> np.ndarray | None:
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    return alpha if alpha.min() < 255 else None


def no_mask(kind: str) -> UnreadableImage:
    """Return the error for an image without a mask of that kind, core or spurious."""
    return UnreadableImage(f"this image has no {kind} mask")
