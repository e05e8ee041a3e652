"""The exact masks of a synthetic world, as a mask source."""

import hashlib
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from core.common.threadsafe import cached_property
from core.data.masks.mask_source import KINDS, MaskListing, MaskSource, coverage, no_mask
from core.data.sources.pair import PairSource
from core.data.sources.source import ImageSource


@runtime_checkable
class Planted(Protocol):
    """A source that knows the masks of its images: (H, W) uint8, 0 to 255."""

    def core_mask(self, row: int) -> np.ndarray: ...

    def spurious_mask(self, row: int) -> np.ndarray: ...


def is_planted(source: ImageSource) -> bool:
    """Return True when a source, or both sources of a pair, know their masks."""
    if isinstance(source, PairSource):
        return all(is_planted(part) for part in source.parts)
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
