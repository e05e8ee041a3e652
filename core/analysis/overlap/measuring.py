"""Measure heatmaps against masks, batch by batch; processes that share the step measure different batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.analysis.overlap.controls import control_heatmaps, control_overlaps
from core.analysis.overlap.input_masks import FrameBatch, MaskFrames, masked_images, masks_of
from core.analysis.overlap.iou import MASK_REGION, SWEPT, overlap_scores, overlap_sweep
from core.analysis.overlap.maps import HeatBatch, HeatSource
from core.analysis.representations import picture_batches
from core.common.processes import default_workers
from core.common.threadsafe import cached_property
from core.config import OverlapConfig, RunOptions
from core.data.masks.masks import KINDS, MaskSource
from core.slices.overlap_values import CONTROLS, VARIANTS
from core.store import Study

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
