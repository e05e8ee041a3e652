"""Crop images to where a feature is active, and embed the crops with CLIP (docs/method.md 6.2). [torch]

Each image is decoded once for all features that it activates; only a few images are in memory at a time.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import Dataset

from core.analysis.gradcam import gradcam_maps, sum_map
from core.analysis.representations import picture_batches
from core.common.group_names import group_features
from core.common.processes import default_workers
from core.common.threads import cached_property
from core.common.worker_group import stream_in_order
from core.concepts.crop_store import WHOLE, CropBatch, Crops, CropStore
from core.concepts.whole_pictures import KeptVectors
from core.config import RunOptions
from core.data.decode import CLIP_SIDE, reduced
from core.data.source import ImageSource
from core.encoders.registry import Encoder
from core.encoders.transform import Transform, sides_of
from core.errors import UnreadableImage
from core.store import Study
from core.study.heatmaps import combine
from core.study.overlay_image import Box, feature_crop
from core.study.progress import Bar

BATCH_IMAGES = 16
CROPS_A_FILE = 2048
Captioner = Callable[[Image.Image], Sequence[tuple[str, float]]]


@dataclass
class Originals:
    """The images of a batch, as delivered by the workers.

    Attributes:
        pictures: row -> (H, W, 3) uint8. sizes: row -> width and height of the original.
        seen: row -> (S, S, 3) uint8, the input view; only if requested. gone: row -> reason.
    """

    pictures: dict[int, torch.Tensor] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    seen: dict[int, torch.Tensor] = field(default_factory=dict)
    gone: dict[int, str] = field(default_factory=dict)


class OriginalReader(Dataset):
    """Decode batches of study rows in worker processes.

    Args:
        ids: row -> image id. transform: None if no crop needs the encoder.
    """

    def __init__(self, source: ImageSource, ids: Mapping[int, str], transform: Transform | None):
        self.source, self.ids, self.transform = source, ids, transform

    def __getitem__(self, rows: Sequence[int]) -> Originals:
        batch = Originals()
        for row in rows:
            try:
                image = self.source.read_id(self.ids[row])
            except UnreadableImage as error:
                batch.gone[row] = str(error)
                continue
            batch.sizes[row] = image.size
            if self.transform is not None:
                batch.seen[row] = torch.from_numpy(self.transform.pixels(image))
            batch.pictures[row] = torch.from_numpy(np.array(reduced(image, CLIP_SIDE), np.uint8))
        return batch


@dataclass
class Cropper:
    """Embed the crops of a study's images that the store lacks.

    Args:
        load_encoder: called when a crop must be located; None for a study without an encoder: then every crop
            is the whole image. clip: `embed_images`.
        captioner: image -> captions with scores, instead of retrieval from a bank.
        n_captions: number of a captioner's captions to keep.
        kept: what `embed` has made of whole images by this CLIP.
    """

    study: Study
    store: CropStore
    load_encoder: Callable[[], Encoder] | None
    clip: Any
    threshold: float
    captioner: Captioner | None = None
    n_captions: int = 5
    kept: KeptVectors | None = None
    gone: dict[int, str] = field(default_factory=dict)

    @cached_property
    def encoder(self) -> Encoder | None:
        return self.load_encoder and self.load_encoder()

    def __getstate__(self) -> dict[str, Any]:
        """A process that shares work loads the encoder itself."""
        return {name: value for name, value in vars(self).items() if name != "encoder"}

    def embed(self, rows: np.ndarray, units: np.ndarray, bar: Bar) -> Crops:
        """Return crops by study row and unit name (or `WHOLE`), embedding those that are missing.

        Args:
            rows: (n,) int64. units: (n,) object of str. Pairs may repeat.
        Returns:
            the location of each; missing images are recorded in `gone`.
        """
        located = self.store.locate(rows, units)
        if self._stored_of_pass(np.unique(rows[~located.there & (units == WHOLE)])):
            located = self.store.locate(rows, units)
        bar.skip(int(located.there.sum()))
        lacking = pd.DataFrame({"row": rows[~located.there], "unit": units[~located.there]}).drop_duplicates()
        by_row: dict[int, list[str]] = {}
        for row, unit in sorted(zip(lacking["row"].tolist(), lacking["unit"].tolist(), strict=True)):
            by_row.setdefault(row, []).append(unit)
        pairs, collected = [*by_row.items()], list[CropBatch]()
        batches = [dict(pairs[at : at + BATCH_IMAGES]) for at in range(0, len(pairs), BATCH_IMAGES)]
        for crops, gone in stream_in_order(self._embedded, batches):
            collected.append(crops)
            self.gone |= gone
            bar.update(len(crops.rows))
            if sum(len(part.rows) for part in collected) >= CROPS_A_FILE:
                self.store.put(_stacked(collected))
                collected = []
        if sum(len(part.rows) for part in collected):
            self.store.put(_stacked(collected))
        return self.store.locate(rows, units) if by_row else located

    def _stored_of_pass(self, rows: np.ndarray) -> bool:
        """Store whole images (n,) that CLIP has read in the pass of `embed`; return if there are any."""
        if self.kept is None:
            return False
        before = len(self.store.files())
        for part in np.split(rows, range(CROPS_A_FILE, len(rows), CROPS_A_FILE)):
            vectors = self.kept.take(part)
            there = ~np.isnan(vectors).any(1)
            if there.any():
                self.store.put(_of_whole(part[there], self.kept.sizes[part[there]], vectors[there]))
        return len(self.store.files()) > before

    def _embedded(
        self, batches: Sequence[Mapping[int, list[str]]]
    ) -> Iterator[tuple[CropBatch, dict[int, str]]]:
        """Yield the crops of each batch (row -> units), and which images are missing."""
        rows = [row for batch in batches for row in batch]
        looks = self.load_encoder and any(
            set(units) != {WHOLE} for batch in batches for units in batch.values()
        )
        transform = self.encoder.transform if looks and self.encoder else None
        ids = dict(zip(rows, self.study.images["image_id"].iloc[rows], strict=True))
        reader: Any = OriginalReader(self.study.source, ids, transform)
        workers = default_workers(RunOptions(), len(rows))
        stream: Any = picture_batches(reader, [*map(list, batches)], workers=workers, pin=False)
        for by_row, originals in zip(batches, stream, strict=True):
            yield self._embed_batch(originals, by_row), originals.gone

    def _embed_batch(self, batch: Originals, by_row: Mapping[int, list[str]]) -> CropBatch:
        boxes = self._boxes(batch, by_row)
        pictures = {row: Image.fromarray(pixels.numpy()) for row, pixels in batch.pictures.items()}
        pairs = [(row, unit) for row in batch.pictures for unit in by_row[row]]
        crops = []
        for row, unit in pairs:
            crop = pictures[row]
            if unit != WHOLE:
                crop = crop_of(crop, boxes[row, unit][0], batch.sizes[row])
            crops.append(crop)
        captions, scores = self._captions(crops)
        rows, units = [row for row, _ in pairs], [unit for _, unit in pairs]
        sides = [boxes[pair][0] for pair in pairs]
        hot = [boxes[pair][1] for pair in pairs]
        is_whole = np.array([unit == WHOLE for unit in units], bool)
        box_array = np.array(sides, np.int32).reshape(-1, 4)
        row_array = np.array(rows, np.int64)
        unit_array = np.array(units, np.str_)
        hot_array = np.array(hot, bool)
        return CropBatch(
            rows=row_array,
            units=unit_array,
            boxes=box_array,
            hot=hot_array,
            embeddings=self._embeddings(crops, is_whole),
            captions=captions,
            scores=scores,
        )

    def _embeddings(self, crops: list[Image.Image], whole: np.ndarray) -> np.ndarray:
        """(n, d) float32; crops are padded to squares, because CLIP's preprocessing would crop their ends."""
        rows = np.zeros((len(crops), self.clip.width), np.float32)
        for selected, pad in ((whole, False), (~whole, True)):
            if selected.any():
                rows[selected] = self.clip.embed_images([crops[i] for i in np.flatnonzero(selected)], pad=pad)
        return rows

    def _boxes(
        self, batch: Originals, by_row: Mapping[int, list[str]]
    ) -> dict[tuple[int, str], tuple[Box, bool]]:
        """Return each pair's box in the original, and whether part of the heatmap reached the threshold."""
        boxes: dict[tuple[int, str], tuple[Box, bool]] = {}
        rows = [row for row in batch.seen if set(by_row[row]) != {WHOLE}]
        features_of = {row: unit_features(by_row[row]) for row in rows}
        maps = self._maps(batch, features_of)
        for row, size in batch.sizes.items():
            for unit in by_row[row]:
                if unit == WHOLE or row not in maps:
                    boxes[row, unit] = (0, 0, *size), True
                    continue
                features = group_features(unit)
                places = [features_of[row].index(feature) for feature in features]
                boxes[row, unit] = self._box(maps[row][places], size, batch.seen[row], features)
        return boxes

    def _maps(self, batch: Originals, features_of: Mapping[int, list[int]]) -> dict[int, np.ndarray]:
        """(K, h, w) unscaled Grad-CAM maps of the requested features of each image."""
        if not features_of or self.encoder is None:
            return {}
        table = np.array(list(itertools.zip_longest(*features_of.values(), fillvalue=-1))).T  # (B, K)
        pixels = torch.stack([batch.seen[row] for row in features_of])
        with torch.inference_mode():
            maps = gradcam_maps(self.encoder, pixels, table).float().cpu().numpy()
        return dict(zip(features_of, maps, strict=True))

    def _box(
        self, maps: np.ndarray, size: tuple[int, int], pixels: torch.Tensor, features: Sequence[int]
    ) -> tuple[Box, bool]:
        """Box of the intersection of the single heatmaps; of the heatmap of the sum if they do not meet."""
        assert self.encoder is not None
        transform, weights = self.encoder.transform, np.ones(len(maps), np.float32)
        side, frame = transform.sides, transform.box(*size)
        box = feature_crop(combine(maps, weights, "min", side), self.threshold)
        if box is None and len(maps) > 1:
            if not (self.encoder.nonnegative and self.encoder.pools_globally):
                maps = sum_map(self.encoder, pixels[None], features)[0].float().cpu().numpy()
            box = feature_crop(combine(maps, weights[: len(maps)], "sum", side), self.threshold)
        return box_on_image(box or (0, 0, side[1], side[0]), frame, side, *size), box is not None

    def _captions(self, crops: list[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
        """Return the captioner's best captions, (n, c); shorter answers are padded with empty texts."""
        if self.captioner is None:
            return np.empty((len(crops), 0), np.str_), np.empty((len(crops), 0), np.float32)
        texts = np.full((len(crops), self.n_captions), "", object)
        scores = np.zeros((len(crops), self.n_captions), np.float32)
        for number, crop in enumerate(crops):
            answer = sorted(self.captioner(crop), key=lambda pair: -pair[1])[: self.n_captions]
            for rank, (text, score) in enumerate(answer):
                texts[number, rank], scores[number, rank] = str(text).replace("\0", " "), score
        return texts.astype(np.str_), scores


def _of_whole(rows: np.ndarray, sizes: np.ndarray, vectors: np.ndarray) -> CropBatch:
    """Whole images as crops. sizes: (n, 2) width and height."""
    n = len(rows)
    corners = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
    return CropBatch(
        rows=rows.astype(np.int64),
        units=np.full(n, WHOLE),
        boxes=corners.astype(np.int32),
        hot=np.ones(n, bool),
        embeddings=vectors,
        captions=np.empty((n, 0), np.str_),
        scores=np.empty((n, 0), np.float32),
    )


def unit_features(units: Sequence[str]) -> list[int]:
    """Return the features of some units that words explain, each once, ascending."""
    return sorted({feature for unit in units if unit != WHOLE for feature in group_features(unit)})


def box_on_image(
    box: Box, frame: tuple[float, float, float, float], size: int | Sequence[int], width: int, height: int
) -> Box:
    """Map the box of a crop from the encoder's view to pixels of the original image, rounded outwards.

    Args:
        box: in an input view of `size` pixels: a square's side, or height and width.
        frame: `Transform.box(width, height)`.
    Returns:
        (left, top, right, bottom), inside the image, at least one pixel wide and high.
    """
    rows, columns = sides_of(size)
    left_edge, top_edge, right_edge, bottom_edge = frame
    x = np.array([box[0], box[2]]) / columns * (right_edge - left_edge) + left_edge
    y = np.array([box[1], box[3]]) / rows * (bottom_edge - top_edge) + top_edge
    (left, right), (top, bottom) = _outwards(x, width), _outwards(y, height)
    return left, top, right, bottom


def _outwards(ends: np.ndarray, n_pixels: int) -> tuple[int, int]:
    slack = 1e-6  # an end on a pixel border stays there despite rounding
    low = min(max(int(np.floor(ends[0] + slack)), 0), n_pixels - 1)
    return low, min(max(int(np.ceil(ends[1] - slack)), low + 1), n_pixels)


def crop_of(picture: Image.Image, box: Box, size: tuple[int, int]) -> Image.Image:
    """Cut a box where a feature is active out of an image.

    Args:
        picture: the image, possibly smaller than the original. box: in pixels of the original, which is
            `size` (width, height). What lies outside is left out: a stranger's box may be of any size.
    """
    along, down = picture.width / size[0], picture.height / size[1]
    left = min(max(int(box[0] * along), 0), picture.width - 1)
    top = min(max(int(box[1] * down), 0), picture.height - 1)
    right = max(left + 1, min(picture.width, round(box[2] * along)))
    bottom = max(top + 1, min(picture.height, round(box[3] * down)))
    return picture.crop((left, top, right, bottom))


def _stacked(parts: list[CropBatch]) -> CropBatch:
    return CropBatch(*(np.concatenate(part) for part in zip(*parts, strict=True)))
