"""Which pictures are altered, and what each gets from another one: a background, an object, a mask."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from core.analysis.overlap.input_masks import MaskFrames, masked_images
from core.analysis.overlap.iou import MASK_REGION
from core.analysis.representations import picture_batches
from core.common.command_line import command_line
from core.common.formatting import counted
from core.errors import MaskError, UnreadableImage
from core.jobs.progress import Progress
from core.research.mask_interventions.alterations import alterations, fill_colour
from core.slices.evaluate import class_column
from core.store import Study

CORE = 0  # the kind of mask that covers the object, among KINDS
BATCH = 32


@dataclass(frozen=True)
class Sampled:
    """The pictures that are altered.

    Attributes:
        rows: (n,) int64, ascending, images of the study. split: "val", or "train" where no evaluation image
            has a usable mask. donors: (n,) position of the picture that lends background and object.
        others: (n,) position of the picture whose mask is the control.
        masks: (n, ceil(pixels / 8)) uint8: bits of the object masks. shape: their height and width.
        n_masked: images of the split with an object mask. n_unusable: those looked at whose mask is empty,
            covers all, or cannot be read. other_class: whether all donors are of another class.
    """

    rows: np.ndarray
    split: str
    donors: np.ndarray
    others: np.ndarray
    masks: np.ndarray
    shape: tuple[int, int]
    n_masked: int
    n_unusable: int
    other_class: bool

    def mask(self, position: int) -> np.ndarray:
        """(H, W) bool: the object of a picture, in the encoder's input view."""
        height, width = self.shape
        return np.unpackbits(self.masks[position], count=height * width).reshape(height, width).astype(bool)

    @property
    def areas(self) -> np.ndarray:
        """(n,) share of the view that the object covers."""
        n_pixels = self.shape[0] * self.shape[1]
        return np.array([np.unpackbits(bits).sum() / n_pixels for bits in self.masks])

    def mean_control_overlap(self) -> float:
        """Mean share of an object that the control's mask covers too."""
        shares = []
        for position, other in enumerate(self.others):
            mask = self.mask(position)
            shares.append((mask & self.mask(int(other))).sum() / mask.sum())
        return float(np.mean(shares))


def sample_pictures(study: Study, n: int, seed: int, *, workers: int, progress: Progress) -> Sampled:
    """Draw evaluation images with a usable object mask, at most n, and their donors and control masks.

    A mask is usable when B = {M >= 0.5} holds some and not all pixels of the input view. Where no evaluation
    image has one, train images are drawn.

    Raises:
        MaskError: fewer than two usable masks.
    """
    rows, exists = masked_images(study, study.masks)
    rows = rows[exists[:, CORE]]
    n_unusable = 0
    for split, of_split in (("val", study.is_val[rows]), ("train", ~study.is_val[rows])):
        here = np.random.default_rng([seed, 0]).permutation(rows[of_split])
        usable, bits, lost = _usable(study, here, n, workers, progress)
        n_unusable += lost
        if len(usable) >= 2:
            order = np.argsort(usable)
            return _drawn(study, usable[order], bits[order], split, int(of_split.sum()), n_unusable, seed)
    raise MaskError(
        f"'{study.path}' has {counted(len(rows), 'image')} with a core mask, and {n_unusable} of those masks "
        "are empty, cover the whole input view or cannot be read; two usable ones are needed. Give others: "
        f"{command_line('overlap', study.path)} --masks DIR"
    )


def _usable(
    study: Study, rows: np.ndarray, n: int, workers: int, progress: Progress
) -> tuple[np.ndarray, np.ndarray, int]:
    """Read masks in the order of `rows` until n are usable: their rows, their bits, the number of others."""
    exists, stored = np.zeros((len(rows), 2), bool), np.zeros(len(rows), bool)
    exists[:, CORE] = True
    ids = study.images["image_id"].iloc[rows].tolist()
    frames: Any = MaskFrames(study.masks, study.source, study.transform, ids, exists, stored)
    usable_rows: list[int] = []
    bits, lost = [], 0
    with progress.stage("masks", total=min(n, len(rows)), unit="masks") as bar:
        for start in range(0, len(rows), BATCH * 8):
            end = min(start + BATCH * 8, len(rows))
            batches = [range(at, min(at + BATCH, end)) for at in range(start, end, BATCH)]
            for batch, part in zip(
                batches, picture_batches(frames, batches, workers=workers, pin=False), strict=True
            ):
                objects = part.masks[:, CORE].numpy() >= MASK_REGION  # pyright: ignore[reportAttributeAccessIssue]
                counts, n_pixels = objects.sum((1, 2)), objects[0].size
                good = (counts > 0) & (counts < n_pixels)
                take = np.flatnonzero(good)[: n - len(usable_rows)]
                lost += int((~good[: take[-1] + 1 if len(usable_rows) + len(take) == n else None]).sum())
                usable_rows += [int(rows[batch.start + index]) for index in take]
                bits += [np.packbits(objects[index]) for index in take]
                bar.update(len(take))
                if len(usable_rows) == n:
                    return np.array(usable_rows, np.int64), np.array(bits), lost
    return np.array(usable_rows, np.int64), np.array(bits), lost


def _drawn(
    study: Study, rows: np.ndarray, bits: np.ndarray, split: str, n_masked: int, n_unusable: int, seed: int
) -> Sampled:
    codes = class_column(study, "label")[rows]
    areas = np.array([int(np.unpackbits(one).sum()) for one in bits])
    donors, other_class = draw_donors(codes, np.random.default_rng([seed, 1]))
    others = alike_in_area(areas, np.random.default_rng([seed, 2]))
    shape = study.transform.sides
    return Sampled(rows, split, donors, others, bits, shape, n_masked, n_unusable, other_class)


def draw_donors(codes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Draw another picture for each: of another class where there is one, else any other.

    Args:
        codes: (n,) class codes, -1 without a label; n >= 2.
    Returns:
        (n,) positions, and whether all are of another class.
    """
    everyone, donors, other_class = np.arange(len(codes)), np.empty(len(codes), np.int64), True
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        foreign = np.flatnonzero((codes != code) & (codes >= 0)) if code >= 0 else everyone[:0]
        if len(foreign):
            donors[members] = rng.choice(foreign, len(members))
            continue
        other_class = False
        donors[members] = (members + rng.integers(1, len(codes), len(members))) % len(codes)
    return donors, other_class


def alike_in_area(areas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pair pictures whose objects are next to each other in area: each gets the mask of the other.

    Ties are broken at random; of an odd number the last takes the mask of the one before it.

    >>> alike_in_area(np.array([9, 1, 2, 8]), np.random.default_rng(0)).tolist()
    [3, 2, 1, 0]
    """
    order = np.lexsort((rng.random(len(areas)), areas))
    donors = np.empty(len(areas), np.int64)
    for index, position in enumerate(order):
        partner = index + 1 if index % 2 == 0 else index - 1
        donors[position] = order[partner if partner < len(order) else index - 1]
    return donors


@dataclass
class AlteredBatch:
    """Pictures of some positions: as they are, and altered; `positions` lacks those that cannot be read.

    pixels: (P, 1 + n_alterations, H, W, 3) uint8, the original first.
    """

    positions: list[int]
    pixels: torch.Tensor | None


class AlteredPictures:
    """Read and alter batches of sampled pictures, in worker processes."""

    def __init__(self, study: Study, sampled: Sampled):
        self.source, self.transform, self.sampled = study.source, study.transform, sampled
        self.ids = study.images["image_id"].iloc[sampled.rows].tolist()
        self.fill = fill_colour(self.transform.mean)

    def __getitem__(self, positions: range) -> AlteredBatch:
        read, pixels = [], []
        for position in positions:
            donor, other = int(self.sampled.donors[position]), int(self.sampled.others[position])
            try:
                image_view, lent = self._view(position), self._view(donor)
            except UnreadableImage:
                continue
            masks = {"donor_mask": self.sampled.mask(donor), "other_mask": self.sampled.mask(other)}
            made = alterations(image_view, self.sampled.mask(position), donor=lent, fill=self.fill, **masks)
            read.append(position)
            pixels.append(np.concatenate([image_view[None], made]))
        return AlteredBatch(read, torch.from_numpy(np.stack(pixels)) if pixels else None)

    def _view(self, position: int) -> np.ndarray:
        return self.transform.pixels(self.source.read_id(self.ids[position]))
