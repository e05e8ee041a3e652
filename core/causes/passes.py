"""Changed pictures through the encoder and the classifier: how far each answer moves towards the target."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from core.analysis.alterations import alike_in_area, fill_colour
from core.analysis.consumers import as_stored
from core.analysis.overlap.input_masks import FrameBatch, MaskFrames, masked_images
from core.analysis.representations import picture_batches
from core.causes.changes import VIEWS, Improvement, changed_views
from core.causes.drawn import DrawnImages
from core.common.processes import default_workers
from core.common.threadsafe import cached_property
from core.config import RunOptions
from core.data.masks.mask_source import KINDS
from core.encoders.readout.head import Head
from core.encoders.registry import Encoder
from core.encoders.transform import Transform
from core.errors import EncoderError, UnreadableImage
from core.jobs.progress import Bar
from core.pictures.look import Answering
from core.slices.features import class_logits
from core.store import Study

CORE = KINDS.index("core")


@dataclass(frozen=True)
class ObjectMasks:
    """The objects of some images in the input view.

    Attributes:
        packed: position -> (H * W / 8,) uint8, bits; only of masks with pixels of both kinds.
        other: position -> the position whose mask is the control.
    """

    packed: Mapping[int, np.ndarray]
    other: Mapping[int, int]
    sides: tuple[int, int]

    def pair(self, position: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        if position not in self.packed:
            return None, None
        here, there = (self._mask(one) for one in (position, self.other[position]))
        return here, there

    def _mask(self, position: int) -> np.ndarray:
        height, width = self.sides
        return np.unpackbits(self.packed[position], count=height * width).astype(bool).reshape(height, width)


def object_masks(study: Study, rows: np.ndarray, run: RunOptions, seed: int) -> ObjectMasks | None:
    """Read the masks of the objects of some images, and pair them by area; None where there are no masks."""
    source, transform = study.masks, study.transform
    if source is None:
        return None
    masked, exists = masked_images(study, source)
    places = np.flatnonzero(np.isin(rows, masked[exists[:, CORE]]))
    ids = study.column("images", "image_id").to_numpy(object)[rows[places]].tolist()
    has_core = np.zeros((len(ids), len(KINDS)), bool)
    has_core[:, CORE] = True
    frames: Any = MaskFrames(source, study.source, transform, ids, has_core, np.zeros(len(ids), bool))
    batches = [list(range(start, min(start + 64, len(ids)))) for start in range(0, len(ids), 64)]
    packed: dict[int, np.ndarray] = {}
    areas: dict[int, int] = {}
    stream: Iterator[Any] = picture_batches(
        frames, batches, workers=default_workers(run, len(ids)), pin=False
    )
    for positions, batch in zip(batches, stream, strict=True):
        _add_masks(packed, areas, places[positions], batch)
    held = np.array(sorted(packed), np.int64)
    others: dict[int, int] = {}
    if len(held) > 1:
        pairs = alike_in_area(
            np.array([areas[position] for position in held.tolist()]), np.random.default_rng(seed)
        )
        others = dict(zip(held.tolist(), held[pairs].tolist(), strict=True))
    return ObjectMasks({position: packed[position] for position in others}, others, transform.sides)


def _add_masks(
    packed: dict[int, np.ndarray], areas: dict[int, int], places: np.ndarray, batch: FrameBatch
) -> None:
    for index, position in enumerate(places.tolist()):
        mask = batch.masks[index, CORE].numpy() > 0.5
        if (index, CORE) not in batch.problems and 0 < mask.sum() < mask.size:
            packed[position], areas[position] = np.packbits(mask), int(mask.sum())


@dataclass
class ChangedBatch:
    """The views of some images.

    Attributes:
        pixels: (v, H, W, 3) uint8. position: (v,) the image of each, by its position among those drawn; view:
            (v,) its number in VIEWS. unreadable: position -> why.
    """

    pixels: torch.Tensor | None = None
    position: list[int] = field(default_factory=list)
    view: list[int] = field(default_factory=list)
    unreadable: dict[int, str] = field(default_factory=dict)


class ChangedPictures(Dataset):
    """Make the views of images in worker processes.

    Args:
        rows: (n,) int, of the images that are drawn. improvements: (n,) of them.
    """

    def __init__(
        self,
        study: Study,
        transform: Transform,
        rows: np.ndarray,
        improvements: Sequence[Improvement],
        masks: ObjectMasks | None,
    ):
        self.source, self.transform = study.source, transform
        self.ids = study.column("images", "image_id").to_numpy(object)[rows].tolist()
        self.improvements, self.masks, self.fill = improvements, masks, fill_colour(transform.mean)

    def __getitem__(self, places: Sequence[int]) -> ChangedBatch:
        batch, pixels = ChangedBatch(), []
        for position in places:
            try:
                picture = self.source.read_id(self.ids[position])
            except UnreadableImage as error:
                batch.unreadable[position] = str(error)
                continue
            pair = self.masks.pair(position) if self.masks else (None, None)
            views = changed_views(picture, self.transform, self.improvements[position], *pair, self.fill)
            pixels += views.values()
            batch.view += map(VIEWS.index, views)
            batch.position += [position] * len(views)
        batch.pixels = torch.from_numpy(np.stack(pixels)) if pixels else None
        return batch


class PictureAnswers:
    """An encoder and the classifier of an answer, as they answer for pictures.

    Args:
        dtype: in which representations are stored.
    """

    def __init__(self, encoder: Encoder, asked: Answering, dtype: str):
        self.encoder, self.asked, self.dtype = encoder, asked, dtype

    @cached_property
    def head(self) -> Head:
        """The encoder's own classifier. Raises EncoderError where there is none any more."""
        head = self.encoder.find_head()
        if isinstance(head, str):
            raise EncoderError(f"this encoder has no classifier: {head}")
        return head

    @torch.inference_mode()
    def logits(self, pixels: torch.Tensor) -> np.ndarray:
        """(n, H, W, 3) uint8 input views -> (n, n_names) float64."""
        asked = self.asked
        if asked.classifier is None:
            outputs = self.encoder.represent_with_logits(pixels, self.head)[1].double().cpu().numpy()
        else:
            raw = as_stored(self.encoder.represent(pixels).cpu().numpy(), self.dtype)
            outputs = asked.classifier.logits(asked.rows(raw))
        return class_logits.by_class(outputs, asked.column, len(asked.names))

    def gaps(
        self, pictures: ChangedPictures, drawn: DrawnImages, places: np.ndarray, run: RunOptions, bar: Bar
    ) -> tuple[np.ndarray, int]:
        """Ask again with every view of some images.

        Args:
            places: (n,) int, among those drawn, ascending.
        Returns:
            (n, len(VIEWS), 2) float64: z_target - z_answer, and 1 where the answer is the target, else 0; NaN
            for a view that was not made. How many pictures could not be read.
        """
        gaps, n_unreadable = np.full((len(places), len(VIEWS), 2), np.nan), 0
        for batch in self._batches(pictures, places, run):
            if batch.pixels is not None:
                logits, of = self.logits(batch.pixels), np.array(batch.position)
                at, target = np.arange(len(logits)), drawn.target[of]
                gap = logits[at, target] - logits[at, drawn.answer[of]]
                values = gap, logits.argmax(1) == target
                gaps[np.searchsorted(places, of), batch.view] = np.stack(values, axis=1)
            n_unreadable += len(batch.unreadable)
            bar.update(len(set(batch.position)) + len(batch.unreadable))
        return gaps, n_unreadable

    def _batches(
        self, pictures: ChangedPictures, places: np.ndarray, run: RunOptions
    ) -> Iterator[ChangedBatch]:
        size = max(1, run.batch_size // len(VIEWS))
        batches = [places[start : start + size].tolist() for start in range(0, len(places), size)]
        workers = default_workers(run, len(places) * len(VIEWS))
        changed: Any = pictures
        stream: Any = picture_batches(
            changed, batches, workers=workers, pin=self.encoder.device.type == "cuda"
        )
        yield from stream
