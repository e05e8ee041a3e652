"""Open the core and spurious masks of an image source, and map a mask to the encoder's input view."""

import hashlib
import math
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from PIL import Image

from core.common.addresses import is_url
from core.common.command_line import with_options
from core.common.threads import cached_property
from core.common.topics import function_of_option
from core.data.coco_masks import CocoMasks
from core.data.images import PairSource
from core.data.mask_folder import FolderMasks
from core.data.mask_source import KINDS, MaskListing, MaskSource, coverage, no_mask
from core.data.mask_values import reading_from
from core.data.source import ImageSource
from core.encoders.transform import Transform
from core.errors import MaskError, SettingsError, ShapeError

__all__ = ["KINDS", "MaskSource", "in_encoder_frame", "open_masks", "reopen_masks"]
CROP = Transform(resize=256, input_size=224)  # the crop that Salient ImageNet's masks cover
SALIENT = "--salient-imagenet"  # the option, whose masks a topic of research reads
TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".xlsx", ".txt")
WITHIN = 1e-6  # tolerance in mask pixels, for rounding errors only


def open_masks(
    *,
    masks: str | Path | None = None,
    salient_imagenet: str | Path | None = None,
    annotations: str | Path | None = None,
    source: ImageSource,
) -> MaskSource | None:
    """Open the masks of a source's images; without options those that the source provides, or None.

    Args:
        masks: folder with core/… and spurious/…, named like the images; or COCO's JSON file.
            `DIR?value=1` says which values are the mask (`reading_from`).
        salient_imagenet: folder in Salient ImageNet's layout. annotations: its CSV of worker answers, if it
            is neither there nor in mturk_results/ beside it.
    Raises:
        SettingsError: contradictory options.
        MaskError: nothing there, an unknown layout, or no mask matches an image; the message says what to do.
    """
    if masks is not None and salient_imagenet is not None:
        raise SettingsError("masks and salient-imagenet are two sources of masks. Give only one of them")
    if annotations is not None and salient_imagenet is None:
        raise SettingsError("annotations belong to Salient ImageNet. Give its folder too: --salient-imagenet")
    for address in (masks, salient_imagenet, annotations):
        if is_url(address) and (address is not masks or str(address).endswith(".json")):
            raise MaskError("only a folder with core/ and spurious/ is read by address. Copy the other masks")
    if masks is not None and str(masks).lower().endswith(".json") and not Path(masks).is_dir():
        mask_source: MaskSource = CocoMasks(masks, source)
    elif masks is not None:
        root, named = with_options(str(masks))
        if not is_url(root) and Path(root).is_file():
            raise MaskError(_refused_file(root))
        mask_source = FolderMasks(root, source, reading_from(named, root))
    elif salient_imagenet is not None:
        mask_source = function_of_option(SALIENT)(salient_imagenet, annotations, source)
    else:
        return PlantedMasks(source) if _is_planted(source) else None
    _ = mask_source.listing  # list now, so that errors appear on opening
    return mask_source


def _refused_file(path: str) -> str:
    """Say why a file is not read as masks: tables hold them as run lengths, others not at all."""
    ways = "Write each mask as a .png called like its image, or all as COCO's .json (pycocotools)"
    if path.lower().endswith(TABLES):
        return f"'{path}' is a table: masks as run lengths in its cells (RLE) are not read. {ways}"
    return f"'{path}' is a file, and masks are read of a folder or a .json of COCO. {ways}"


def reopen_masks(description: dict[str, Any], source: ImageSource) -> MaskSource:
    """Reopen the masks that returned `description`; nothing is listed until the table or report is used.

    Raises:
        MaskError: the kind is unknown to this version.
    """
    kind = description.get("kind")
    if kind == FolderMasks.kind:
        return FolderMasks.reopened(description, source)
    if kind == CocoMasks.kind:
        return CocoMasks(description["path"], source)
    if kind == "salient_imagenet":
        return function_of_option(SALIENT)(description["root"], description["annotations"], source)
    if kind == PlantedMasks.kind:
        return PlantedMasks(source)
    raise MaskError(f"unknown kind of masks '{kind}': made by a newer version?")


def in_encoder_frame(
    mask: np.ndarray, frame: str, transform: Transform, image_size: tuple[int, int]
) -> np.ndarray:
    """Map an image's mask, as it is read from its file, to the input view of an encoder.

    It is cropped and resized as the image is, bilinear, averaging when downscaling:
    x_mask = (x - left) W / (right - left),  with left and right in original pixels: of the whole image
    ("image"), or of Resize 256 + CenterCrop 224 ("crop"). A mask in the encoder's own geometry is only
    resized.

    Args:
        mask: (H, W) float in [0, 1], any size. frame: "image" or "crop", the region that it covers.
        image_size: width and height of the original image, pixels.
    Returns:
        (height, width) of the input view, float32 in [0, 1]; 0 outside the mask's region.
    Raises:
        ShapeError: the mask is not (H, W). SettingsError: an unknown frame.
    """
    if mask.ndim != 2 or 0 in mask.shape:
        raise ShapeError(f"a mask must be (H, W), got {mask.shape}")
    if frame not in ("image", "crop"):
        raise SettingsError(f"a mask's frame must be 'image' or 'crop', not '{frame}'")
    covered = (0, 0, *image_size) if frame == "image" else CROP.box(*image_size)
    seen, (height, width) = transform.box(*image_size), mask.shape
    left, top, right, bottom = covered
    per_x, per_y = width / (right - left), height / (bottom - top)
    x = (seen[0] - covered[0]) * per_x, (seen[2] - covered[0]) * per_x
    y = (seen[1] - covered[1]) * per_y, (seen[3] - covered[1]) * per_y
    return _resample(mask.astype(np.float32), x, y, size=transform.sides)


def _resample(
    mask: np.ndarray, x: tuple[float, float], y: tuple[float, float], *, size: tuple[int, int]
) -> np.ndarray:
    """Resample the region x[0]..x[1], y[0]..y[1] (mask pixels) to `size`; 0 beyond the mask's edges."""
    result = np.zeros(size, np.float32)
    height, width = mask.shape
    first_x, end_x, box_x, pad_x = _inside(*x, width, size[1])
    first_y, end_y, box_y, pad_y = _inside(*y, height, size[0])
    if first_x >= end_x or first_y >= end_y:
        return result
    padded = np.pad(mask, (pad_y, pad_x), mode="edge") if any((*pad_x, *pad_y)) else mask
    left, right = (end + pad_x[0] for end in box_x)
    top, bottom = (end + pad_y[0] for end in box_y)
    box = (left, top, right, bottom)
    shape = (end_x - first_x, end_y - first_y)
    image = Image.fromarray(padded).resize(shape, Image.Resampling.BILINEAR, box=box)
    result[first_y:end_y, first_x:end_x] = np.clip(np.asarray(image), 0, 1)
    return result


def _inside(
    start: float, end: float, length: int, size: int
) -> tuple[int, int, tuple[float, float], tuple[int, int]]:
    """Find the pixels among `size` pixels spanning start..end with their centre in 0..length, the span of
    these, and by how many pixels it exceeds the two edges (less than half a result pixel)."""
    step = (end - start) / size
    first, last = (min(max(round((edge - start) / step), 0), size) for edge in (0, length))
    low, high = start + first * step, start + last * step
    before, after = (math.ceil(over) if over > WITHIN else 0 for over in (-low, high - length))
    return first, last, (max(low, -before), min(high, length + after)), (before, after)


@runtime_checkable
class Planted(Protocol):
    """A source that knows the masks of its images: (H, W) uint8, 0 to 255."""

    def core_mask(self, row: int) -> np.ndarray: ...

    def spurious_mask(self, row: int) -> np.ndarray: ...


def _is_planted(source: ImageSource) -> bool:
    """Return True when a source, or both sources of a pair, know their masks."""
    if isinstance(source, PairSource):
        return all(_is_planted(part) for part in source.parts)
    return isinstance(source, Planted)


class PlantedMasks(MaskSource):
    """Both masks of every image; a mask is black where the image shows nothing of that kind."""

    kind = "planted"

    def __init__(self, source: ImageSource):
        self.source = source

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def read(self, image_id: str, mask: str) -> np.ndarray:
        if mask not in KINDS or image_id not in self._rows:
            raise no_mask(mask)
        row: int = self._rows.get_loc(image_id)  # pyright: ignore[reportAssignmentType]
        return _planted_mask(self.source, row, mask).astype(np.float32) / np.float32(255)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.kind} {self.source.fingerprint()}".encode()).hexdigest()

    @cached_property
    def _rows(self) -> pd.Index:
        return pd.Index(self.source.table["image_id"])

    def _list(self) -> MaskListing:
        ids = self._image_ids()
        places = {kind: dict.fromkeys(ids) for kind in KINDS}
        report = {"kind": self.kind, "n_masks": 2 * len(ids)} | coverage(len(ids), places)
        return MaskListing(places, report | {"n_unmatched_masks": 0, "unmatched_masks": []})


def _planted_mask(source: ImageSource, row: int, kind: str) -> np.ndarray:
    if isinstance(source, PairSource):
        part, inner = source.listing.places
        return _planted_mask(source.parts[part[row]], int(inner[row]), kind)
    if not isinstance(source, Planted):
        raise no_mask(kind)
    return source.core_mask(row) if kind == "core" else source.spurious_mask(row)
