"""Heatmaps against masks, batch by batch: which maps, and control maps of known overlap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch

from core.analysis.gradcam import gradcam_maps
from core.analysis.heatmap_selection import discriminative_pairs, strongest_discriminative
from core.analysis.heatmaps_on_demand import study_encoder
from core.analysis.input_masks import FrameBatch, MaskFrames, masked_images, masks_of
from core.analysis.iou import MASK_REGION, SWEPT, overlap_scores, overlap_sweep
from core.analysis.representations import picture_batches
from core.common.processes import default_workers
from core.common.threads import cached_property
from core.config import OverlapConfig, RunOptions
from core.data.masks import KINDS, MaskSource
from core.encoders.registry import Encoder
from core.encoders.transform import sides_of
from core.measures.image_columns import CONTROLS, VARIANTS
from core.measures.slice_features import places_of_images
from core.store import Study
from core.study.heatmaps import OF_SINGLES, singly_scaled
from core.study.stored_heatmaps import StoredMaps

# Control heatmaps with known overlap, which calibrate the measures.
#
# Scored like any heatmap, they show the ceiling (the mask itself), the loss caused by the coarse map
# resolution alone, and the floor (heat independent of the image).


CENTRE_WIDTH = 0.25  # standard deviation of the centre Gaussian, as a share of the input view


def control_heatmaps(
    core: np.ndarray,
    spurious: np.ndarray,
    *,
    native: Sequence[int],
    rows: Sequence[int] | np.ndarray,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Make control heatmaps of known overlap with the masks of some images.

    perfect core, perfect spurious: the mask itself. … at map resolution: the mask averaged to the size of the
    encoder's maps, then scaled and enlarged like a map: the best result at that resolution. uniform: 1
    everywhere. random: noise of the maps' size, enlarged like a map. centre: a Gaussian in the middle of the
    input view, its standard deviation a quarter of the view.

    Args:
        core, spurious: (n_images, S, S) float32 masks in [0, 1].
        native: height and width of the encoder's maps.
        rows: (n_images,) rows of the images; with `seed` they determine the noise.
    Returns:
        each (n_images, S, S) float32 in [0, 1].
    """
    size = core.shape[-2:]
    random = _noise_maps(size, native=native, rows=rows, seed=seed)
    centre = np.broadcast_to(centre_gaussian(size), core.shape)
    return {
        "perfect core": core,
        "perfect spurious": spurious,
        "core at map resolution": at_resolution(core, native),
        "spurious at map resolution": at_resolution(spurious, native),
        "uniform": np.ones_like(core),
        "random": random,
        "centre": centre,
    }


def control_overlaps(
    masks: np.ndarray, *, native: Sequence[int], rows: Sequence[int] | np.ndarray, seed: int, threshold: float
) -> np.ndarray:
    """For the step `overlap`: score each image's control heatmaps, the scale on which its own stands.

    The ceiling is the mask itself at the resolution of the encoder's maps; the others are those of
    `control_heatmaps`.

    Args:
        masks: (n_images, n_masks, S, S) float32 in [0, 1].
        native, rows, seed: as for `control_heatmaps`. threshold: as for `overlap_scores`.
    Returns:
        (n_images, n_masks, 4) float64: the variant `paper` of each of CONTROLS; NaN where the mask is empty.
    """
    size = masks.shape[-2:]
    shape = (len(masks), *size)
    same = {"noise": _noise_maps(size, native=native, rows=rows, seed=seed)}
    same |= {"uniform": np.ones(shape, np.float32), "centre": np.broadcast_to(centre_gaussian(size), shape)}
    overlaps = np.empty((*masks.shape[:2], len(CONTROLS)))
    for kind in range(masks.shape[1]):
        mask = masks[:, kind]
        for at, name in enumerate(CONTROLS):
            heat = at_resolution(mask, native) if name == "ceiling" else same[name]
            overlaps[:, kind, at] = overlap_scores(heat, mask, threshold=threshold)["paper"]
    return overlaps


def _noise_maps(
    size: Sequence[int], *, native: Sequence[int], rows: Sequence[int] | np.ndarray, seed: int
) -> np.ndarray:
    """(n_images, *size) float32: control heatmaps of noise, enlarged from the resolution of Grad-CAM maps."""
    drawn = [np.random.default_rng([seed, row]).random(tuple(native), np.float32) for row in rows]
    return singly_scaled(np.array(drawn, np.float32).reshape(len(drawn), *native), size)


def at_resolution(mask: np.ndarray, native: Sequence[int]) -> np.ndarray:
    """(n, S, S) masks averaged over the cells of a Grad-CAM map and enlarged like one."""
    height, width = native
    small = [cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in mask]
    return singly_scaled(np.array(small, np.float32).reshape(len(mask), height, width), mask.shape[-2:])


def centre_gaussian(size: int | Sequence[int]) -> np.ndarray:
    """(height, width) float32: a control heatmap of `overlap`, largest in the middle of the view."""
    places = ((np.arange(side) + 0.5) / side - 0.5 for side in sides_of(size))
    bells = [np.exp(-np.square(offsets) / (2 * CENTRE_WIDTH**2)) for offsets in places]
    return np.outer(*bells).astype(np.float32)


# The maps that the step `overlap` scores: stored maps are read, others are computed.


@dataclass(frozen=True)
class MapPairs:
    """Pairs of an image and a feature whose map is scored, image by image.

    Attributes:
        rows: (n,) ascending: the images. fallback: (n,) bool: no discriminative feature fires on it.
        starts: (n + 1,): image i has the pairs starts[i] to starts[i + 1].
        features: (P,) int32. in_heatmap: (P,) bool: part of the image's discriminative heatmap.
        fires: (P,) bool: fires on the image. places: (P,) position among the stored maps, -1: not stored.
    """

    rows: np.ndarray
    fallback: np.ndarray
    starts: np.ndarray
    features: np.ndarray
    in_heatmap: np.ndarray
    fires: np.ndarray
    places: np.ndarray

    @property
    def unstored(self) -> np.ndarray:
        """(n,) bool: a map of the image must be computed."""
        owners = np.repeat(np.arange(len(self.rows)), np.diff(self.starts))
        return np.bincount(owners[self.places < 0], minlength=len(self.rows)) > 0


def map_pairs(study: Study, rows: np.ndarray) -> MapPairs:
    """Select the heatmaps whose overlap with masks is scored on the images `rows` (ascending).

    Their discriminative heatmap, and each firing feature that is discriminative or stored.
    """
    n_features = study.array("representations").shape[1]
    is_selected = np.zeros(study.n_images, bool)
    is_selected[rows] = True

    def keys(row: np.ndarray, feature: np.ndarray) -> np.ndarray:
        return row.astype(np.int64) * n_features + feature

    heat_rows, heat_features = discriminative_pairs(study, is_selected)
    fallback = ~np.isin(rows, heat_rows)
    without = keys(rows[fallback], strongest_discriminative(study, rows[fallback]))
    in_heatmap = np.sort(np.concatenate([keys(heat_rows, heat_features), without]))
    places, n_firing = places_of_images(study, rows)
    firing = keys(np.repeat(rows, n_firing), study.array("firing_features").rows(places))
    stored_rows = np.repeat(study.vector("heatmap_rows"), study.vector("heatmap_count"))
    stored = keys(stored_rows, study.vector("heatmap_features"))  # ascending: see `compute_heatmaps`
    ours = stored[is_selected[stored_rows]]
    pair_keys = np.union1d(in_heatmap, ours[np.isin(ours, firing)])
    nearest = np.minimum(np.searchsorted(stored, pair_keys), max(len(stored) - 1, 0))
    is_stored = stored[nearest] == pair_keys if len(stored) else np.zeros(len(pair_keys), bool)
    row_starts = np.append(rows, study.n_images) * n_features
    feature_numbers = (pair_keys % n_features).astype(np.int32)
    fires = np.isin(pair_keys, firing)
    has_heatmap = np.isin(pair_keys, in_heatmap)
    nearest_held = np.where(is_stored, nearest, -1)
    return MapPairs(
        rows=rows,
        fallback=fallback,
        starts=np.searchsorted(pair_keys, row_starts),
        features=feature_numbers,
        in_heatmap=has_heatmap,
        fires=fires,
        places=nearest_held,
    )


@dataclass(frozen=True)
class HeatBatch:
    """Heatmaps of some images, in the encoder's input view.

    Attributes:
        heat: (B, S, S) float32, the discriminative heatmaps; zero if `known` is False.
        known: (B,) bool. owners: (P,) position of each single map's image in the batch.
        features: (P,) int32. singles: (P, S, S) float32, separately scaled maps of firing features.
    """

    heat: np.ndarray
    known: np.ndarray
    owners: np.ndarray
    features: np.ndarray
    singles: np.ndarray


class HeatSource:
    """Heatmaps of selected images of a study, in batches. The encoder is loaded on first use."""

    def __init__(self, study: Study, rows: np.ndarray, device: str | torch.device):
        self.study, self.device = study, device
        self.pairs = map_pairs(study, rows)
        self.size = study.transform.sides

    @cached_property
    def encoder(self) -> Encoder:
        return study_encoder(self.study, self.device)

    def batch(self, first: int, stop: int, seen: list[int], pixels: torch.Tensor | None) -> HeatBatch:
        """Return the heatmaps of the images `rows[first:stop]`.

        Args:
            seen: positions in the batch of the images in `pixels` (B', S, S, 3) uint8. An image without
                stored maps that is not among them is unknown.
        """
        starts = self.pairs.starts[first : stop + 1]
        span = slice(int(starts[0]), int(starts[-1]))
        owners = np.repeat(np.arange(stop - first), np.diff(starts))
        raw = self._stored(self.pairs.places[span])
        has_heat = ~self.unstored[first:stop]
        if pixels is not None:
            self._compute(raw, owners, self.pairs.features[span], seen, pixels)
            has_heat[seen] = True
        singles = singly_scaled(raw, self.size)
        heat = np.zeros((stop - first, *self.size), np.float32)
        for image in np.flatnonzero(has_heat):
            heat[image] = OF_SINGLES["mean"](singles[self.pairs.in_heatmap[span] & (owners == image)])
        is_kept = self.pairs.fires[span] & has_heat[owners]
        return HeatBatch(
            heat, has_heat, owners[is_kept], self.pairs.features[span][is_kept], singles[is_kept]
        )

    @cached_property
    def unstored(self) -> np.ndarray:
        """(n,) bool: maps of the image must be computed from its pixels."""
        return self.pairs.unstored

    @cached_property
    def native(self) -> tuple[int, int]:
        """Return height and width of the maps."""
        height, width = self.study.array("heatmap_maps").shape[1:]
        return height, width

    def _stored(self, places: np.ndarray) -> np.ndarray:
        """(P, h, w) float32 ReLU'd Grad-CAM maps at their raw scale; zero if not stored."""
        raw = np.zeros((len(places), *self.native), np.float32)
        is_stored = places >= 0
        names = ("features", "maps", "peaks", "floors")
        stored = StoredMaps(*(self.study.array(f"heatmap_{name}").rows(places[is_stored]) for name in names))
        raw[is_stored] = stored.restored() * stored.peaks[:, None, None]
        return raw

    def _compute(
        self, raw: np.ndarray, owners: np.ndarray, features: np.ndarray, seen: list[int], pixels: torch.Tensor
    ) -> None:
        """Replace the maps of the images in `pixels`."""
        ours = [np.flatnonzero(owners == image) for image in seen]
        features_to_map = np.full((len(seen), max(map(len, ours))), -1)
        for row, places in zip(features_to_map, ours, strict=True):
            row[: len(places)] = features[places]
        computed = gradcam_maps(self.encoder, pixels, features_to_map).cpu().numpy()
        for maps, places in zip(computed, ours, strict=True):
            raw[places] = maps[: len(places)]


# Measure heatmaps against masks, batch by batch; processes that share the step measure different batches.


THRESHOLDS = tuple(step / 20 for step in range(20))
BATCH_PIXELS = 1 << 20  # per mask kind and batch
CONTROL_IMAGES = 1000  # enough for intervals of about 0.01


@dataclass
class Measured:
    """The measurements of n consecutive images.

    Attributes:
        scores: (n, 2, 4) float64: image, mask, variant. area: (n, 2) share of the frame.
        swept: (n, 2, 2, T) float32: image, mask, `paper` or `binary`, threshold.
        scale: (n, 2, 4) float32: image, mask, `paper` of each of CONTROLS.
        notes: (n, 2) str: why an overlap is undefined, or empty. stretched: (n, 2) bool: the mask has other
            proportions than its picture.
        pairs: columns of `pair_table`. controls: by control and kind of mask, rows of variants.
    """

    scores: np.ndarray
    area: np.ndarray
    swept: np.ndarray
    scale: np.ndarray
    notes: np.ndarray
    stretched: np.ndarray
    pairs: list[dict[str, np.ndarray]] = field(default_factory=list)
    controls: dict[tuple[str, str], list[np.ndarray]] = field(default_factory=dict)
    n_controls: int = 0

    @staticmethod
    def empty(n: int, n_thresholds: int) -> Measured:
        shape = n, len(KINDS)
        scores = np.full((*shape, len(VARIANTS)), np.nan)
        swept = np.full((*shape, len(SWEPT), n_thresholds), np.nan, np.float32)
        scale = np.full((*shape, len(CONTROLS)), np.nan, np.float32)
        notes = np.full(shape, "", object)
        return Measured(
            scores=scores,
            area=np.full(shape, np.nan),
            swept=swept,
            scale=scale,
            notes=notes,
            stretched=np.zeros(shape, bool),
        )

    @staticmethod
    def joined(parts: Sequence[Measured]) -> Measured:
        """The measurements of the images of all parts."""
        names = ("scores", "area", "swept", "scale", "notes", "stretched")
        columns: Any = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
        whole = Measured(*columns)
        for part in parts:
            whole.pairs += part.pairs
            whole.n_controls += part.n_controls
            for key, rows in part.controls.items():
                whole.controls.setdefault(key, []).extend(rows)
        return whole

    def pair_table(self) -> pd.DataFrame:
        """One row per firing feature, image and mask: feature, mask, row, mask_area, the variants."""
        columns = {name: np.concatenate([part[name] for part in self.pairs]) for name in self.pairs[0]}
        return pd.DataFrame(columns | {"mask": pd.array(np.array(KINDS)[columns["mask"]], dtype="str")})


@dataclass
class Measurer:
    """Measures the masked images of a study; what it reads is opened by each process that has it."""

    study: Study
    config: OverlapConfig
    options: RunOptions
    device: str | torch.device

    def __reduce__(self) -> Any:
        return Measurer, (self.study, self.config, self.options, self.device)

    @cached_property
    def masks(self) -> MaskSource | None:
        return masks_of(self.study, self.config)

    @cached_property
    def _masked(self) -> tuple[np.ndarray, np.ndarray]:
        assert self.masks is not None
        return masked_images(self.study, self.masks)

    @property
    def rows(self) -> np.ndarray:
        """(n,) ascending: the images with a mask."""
        return self._masked[0]

    @property
    def exists(self) -> np.ndarray:
        """(n, 2) bool: has a core, has a spurious mask."""
        return self._masked[1]

    @cached_property
    def heat(self) -> HeatSource:
        return HeatSource(self.study, self.rows, self.device)

    @cached_property
    def thresholds(self) -> list[float]:
        return sorted({*THRESHOLDS, self.config.threshold})

    @cached_property
    def is_control(self) -> np.ndarray:
        """(n,) bool: control heatmaps are made for the image, some of those with both masks."""
        both = np.flatnonzero(self.exists.all(1))
        drawn = np.random.default_rng(self.config.seed).permutation(both)[:CONTROL_IMAGES]
        return np.isin(np.arange(len(self.rows)), drawn)

    def batches(self) -> list[range]:
        """Positions of images that are measured together."""
        n, pixels = len(self.rows), math.prod(self.study.transform.sides)
        size = max(1, min(self.options.batch_size, BATCH_PIXELS // pixels))
        return [range(start, min(start + size, n)) for start in range(0, n, size)]

    def measure(self, batches: Sequence[range]) -> Iterator[Measured]:
        """Yield the measurements of each batch of positions; masks are read ahead."""
        assert self.masks is not None
        ids = self.study.images["image_id"].iloc[self.rows].tolist()
        unstored = self.heat.unstored
        frames: Any = MaskFrames(
            self.masks, self.study.source, self.study.transform, ids, self.exists, unstored
        )
        workers = default_workers(self.options, sum(map(len, batches)))
        stream: Any = picture_batches(frames, batches, workers=workers, pin=False)
        for batch, part in zip(batches, stream, strict=True):
            yield self._measured(batch.start, batch.stop, part)

    def _measured(self, first: int, stop: int, frames: FrameBatch) -> Measured:
        """The measurements of the images `rows[first:stop]`."""
        out = Measured.empty(stop - first, len(self.thresholds))
        masks, rows = frames.masks.numpy(), self.rows[first:stop]
        readable = self.exists[first:stop].copy()
        for (index, number), why in frames.problems.items():
            readable[index, number] = False
            out.notes[index, number] = why
        for index, number in frames.stretched:
            out.stretched[index, number] = True
        batch = self.heat.batch(first, stop, frames.seen, frames.pixels)
        for number in range(len(KINDS)):
            here = np.flatnonzero(readable[:, number])
            out.area[here, number] = masks[here, number].mean((1, 2), dtype=np.float64)
            self._score(out, number, here[batch.known[here]], batch.heat, masks[:, number])
            self._score_features(out, number, readable[:, number], batch, masks[:, number], rows)
        self._score_controls(out, self.is_control[first:stop], masks, rows)
        out.scale[:] = control_overlaps(
            masks, native=self.heat.native, rows=rows, seed=self.config.seed, threshold=self.config.threshold
        )
        return out

    def _score(
        self, out: Measured, number: int, here: np.ndarray, heat: np.ndarray, masks: np.ndarray
    ) -> None:
        g, m = heat[here], masks[here]
        values = overlap_scores(g, m, threshold=self.config.threshold)
        out.scores[here, number] = np.column_stack([values[variant] for variant in VARIANTS])
        swept = overlap_sweep(g, m, self.thresholds)
        out.swept[here, number] = np.stack([swept[variant] for variant in SWEPT], axis=1)
        out.notes[here, number] = _notes(g, m)

    def _score_features(
        self,
        out: Measured,
        number: int,
        readable: np.ndarray,
        batch: HeatBatch,
        masks: np.ndarray,
        rows: np.ndarray,
    ) -> None:
        pairs = np.flatnonzero(readable[batch.owners])
        owners = batch.owners[pairs]
        values = overlap_scores(batch.singles[pairs], masks[owners], threshold=self.config.threshold)
        mask_area = out.area[owners, number]
        about = {
            "feature": batch.features[pairs],
            "mask": np.full(len(pairs), number),
            "row": rows[owners],
            "mask_area": mask_area,
        }
        out.pairs.append(about | values)

    def _score_controls(
        self, out: Measured, is_control: np.ndarray, masks: np.ndarray, rows: np.ndarray
    ) -> None:
        is_control = is_control & (out.area > 0).all(1)
        if not is_control.any():
            return
        out.n_controls = int(is_control.sum())
        core, spurious = masks[is_control, 0], masks[is_control, 1]
        seed, native = self.config.seed, self.heat.native
        made = control_heatmaps(core, spurious, native=native, rows=rows[is_control], seed=seed)
        for control, heat in made.items():
            for kind, mask in zip(KINDS, (core, spurious), strict=True):
                values = overlap_scores(heat, mask, threshold=self.config.threshold)
                part = np.column_stack([values[variant] for variant in VARIANTS])
                out.controls.setdefault((control, kind), []).append(part)


def _notes(heat: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(n,) str: why an overlap is undefined, in full or in part."""
    peak = masks.max((1, 2))
    conditions = [~heat.any((1, 2)), peak == 0, peak < MASK_REGION]
    reasons = ["no heat", "empty mask", f"mask nowhere reaches {MASK_REGION}"]
    return np.select(conditions, reasons, "").astype(object)
