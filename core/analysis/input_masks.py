"""Core and spurious masks in the encoder's input view, read by worker processes batch by batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from core.config import MaskOptions, RunOptions
from core.data.mask_source import are_alike, upright
from core.data.masks import CROP, KINDS, MaskSource, in_encoder_frame, open_masks
from core.data.source import ImageSource
from core.encoders.transform import Transform
from core.errors import UnreadableImage
from core.store import Study


def masks_of(study: Study, options: MaskOptions) -> MaskSource | None:
    """Open the masks that a step of a study was asked for, or those that the image source plants, if any.

    Open the masks that a step was asked for, or those that the image source plants; None without any.
    """
    named = {name: getattr(options, name) for name in ("masks", "salient_imagenet", "annotations")}
    return open_masks(**named, source=study.source)


def mask_inputs(study: Study, options: MaskOptions, run: RunOptions) -> dict[str, str]:
    """Identify the masks that `heatmaps` and `overlap` use: {"masks": sha256}, or {} without any."""
    masks = masks_of(study, options)
    return {"masks": masks.fingerprint()} if masks else {}


def masked_images(study: Study, masks: MaskSource) -> tuple[np.ndarray, np.ndarray]:
    """Find for `overlap` and the trials of causes the images with a core or spurious mask.

    Returns:
        rows (n,) int64, ascending; exists (n, 2) bool: has a core, has a spurious mask.
    """
    places = study.image_index().get_indexer(pd.Index(masks.table["image_id"]))
    exists = np.zeros((study.n_images, len(KINDS)), bool)
    for number, kind in enumerate(KINDS):
        here = (masks.table["mask"] == kind).to_numpy() & (places >= 0)
        exists[places[here], number] = True
    rows = np.flatnonzero(exists.any(1))
    return rows, exists[rows]


@dataclass
class FrameBatch:
    """The data of some images, as delivered by the workers.

    Attributes:
        masks: (B, 2, S, S) float32 in [0, 1], core and spurious; zero if missing.
        seen: positions of the images in `pixels` (B', S, S, 3) uint8, those whose maps must be computed.
        problems: (position, 0 for core or 1 for spurious) -> reason why it could not be read.
        stretched: (position, 0 or 1) of masks whose proportions are not those of their picture.
    """

    masks: torch.Tensor
    seen: list[int] = field(default_factory=list)
    pixels: torch.Tensor | None = None
    problems: dict[tuple[int, int], str] = field(default_factory=dict)
    stretched: list[tuple[int, int]] = field(default_factory=list)


class MaskFrames(Dataset):
    """Read batches of positions among the masked images, in worker processes.

    Args:
        image_ids: (n,) of the masked images. exists: (n, 2) bool. unstored: (n,) bool, pixels are needed.
    """

    def __init__(
        self,
        masks: MaskSource,
        source: ImageSource,
        transform: Transform,
        image_ids: Sequence[str],
        exists: np.ndarray,
        unstored: np.ndarray,
    ):
        self.masks, self.source, self.transform = masks, source, transform
        self.image_ids, self.exists, self.unstored = image_ids, exists, unstored
        same = (transform.resize, transform.input_size, transform.crop)
        self.same_crop = same == (CROP.resize, CROP.input_size, CROP.crop)

    def __getitem__(self, positions: Sequence[int]) -> FrameBatch:
        batch = FrameBatch(torch.zeros(len(positions), len(KINDS), *self.transform.sides))
        pixels: list[np.ndarray] = []
        for index, position in enumerate(positions):
            self._add(batch, pixels, index, position)
        batch.pixels = torch.from_numpy(np.stack(pixels)) if pixels else None
        return batch

    def _add(self, batch: FrameBatch, pixels: list[np.ndarray], index: int, position: int) -> None:
        image_id, image = self.image_ids[position], None
        kinds = [number for number in range(len(KINDS)) if self.exists[position, number]]
        if self.unstored[position] or not self._size_is_known(image_id, KINDS[kinds[0]]):
            try:
                image = self.source.read_id(image_id)
            except UnreadableImage as error:
                batch.problems |= {(index, number): f"image: {error}" for number in kinds}
                return
        if image is not None and self.unstored[position]:
            batch.seen.append(index)
            pixels.append(self.transform.pixels(image))
        for number in kinds:
            frame = self.masks.frame(image_id, KINDS[number])
            try:
                mask = self.masks.read(image_id, KINDS[number])
                if image is not None and frame == "image":
                    turn = image.info.get("turn", 1)
                    mask = upright(mask, image.size, lambda turn=turn: turn)
                    if not are_alike(mask.shape[::-1], image.size):
                        batch.stretched.append((index, number))
            except UnreadableImage as error:
                batch.problems[index, number] = f"mask: {error}"
                continue
            shape = image.size if image is not None else mask.shape[::-1]
            framed = in_encoder_frame(mask, frame, self.transform, shape)
            batch.masks[index, number] = torch.from_numpy(framed)

    def _size_is_known(self, image_id: str, kind: str) -> bool:
        """Return True if the mask determines the image's geometry, so that the image need not be read."""
        if self.masks.frame(image_id, kind) == "crop":
            return self.same_crop
        return self.masks.kind == "planted"  # has the size of its image
