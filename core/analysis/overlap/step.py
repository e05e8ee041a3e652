"""The step `overlap`: discriminative heatmaps against core and spurious masks (docs/method.md 5).

Images are streamed in batches and only a few numbers of each are kept, so memory does not grow with heatmaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.analysis.overlap import tables
from core.analysis.overlap.controls import control_heatmaps, control_overlaps
from core.analysis.overlap.input_masks import FrameBatch, MaskFrames, masked_images, masks_of
from core.analysis.overlap.iou import MASK_REGION, SWEPT, overlap_scores, overlap_sweep
from core.analysis.overlap.maps import HeatBatch, HeatSource
from core.analysis.representations import picture_batches
from core.config import OverlapConfig, RunOptions
from core.data.masks.masks import KINDS, MaskSource
from core.jobs.progress import Progress
from core.measures import overlap as measures
from core.slices.overlap_values import CONTROLS, VARIANTS, control_column
from core.storage.writer import StepWriter
from core.store import Study

if TYPE_CHECKING:
    import torch

THRESHOLDS = tuple(step / 20 for step in range(20))
BATCH_PIXELS = 1 << 20  # per mask kind and batch
CONTROL_IMAGES = 1000  # enough for intervals of about 0.01
NO_MASKS = "no masks: give --masks DIR or --salient-imagenet DIR"
NO_HEATMAPS = "no heatmaps to compare with masks: {}"
NOT_HERE = "none of the images with a mask is in the study"
MOST_KEYWORDS = 6


def compute_overlap(
    study: Study,
    step: StepWriter,
    config: OverlapConfig,
    *,
    progress: Progress,
    device: str | torch.device = "cpu",
    options: RunOptions | None = None,
) -> None:
    """Write tables `overlap` (one row per image and mask), `overlap_summary`, `overlap_by_class`,
    `overlap_sweep`, `overlap_by_feature`, `overlap_controls`, and the headline mIoU in the summary.

    Raises:
        MaskError: the masks cannot be listed. EncoderError: a map is not stored, and the encoder is missing.
    """
    masks = masks_of(study, config)
    if masks is None:
        step.summary = {"skipped": NO_MASKS}
        return
    if why := study.summary("heatmaps").get("skipped"):
        step.summary = {"skipped": NO_HEATMAPS.format(why)}
        return
    rows, exists = masked_images(study, masks)
    if not len(rows):
        step.summary = {"skipped": NOT_HERE}
        return
    measured = Measured(study, rows, exists, HeatSource(study, rows, device), config)
    with progress.stage("overlap", total=len(rows), unit="images") as bar:
        for first, stop, frames in frame_batches(study, masks, measured, options or RunOptions()):
            measured.add(first, stop, frames)
            bar.update(stop - first)
    step.summary = write_overlap_tables(step, measured, masks, config)


def frame_batches(
    study: Study, masks: MaskSource, measured: Measured, options: RunOptions
) -> Iterator[tuple[int, int, FrameBatch]]:
    """Yield masks (and pixels if a map must be computed) of consecutive images."""
    from core.common.processes import default_workers

    transform, n = study.transform, len(measured.rows)
    size = max(1, min(options.batch_size, BATCH_PIXELS // math.prod(transform.sides)))
    ids = study.images["image_id"].iloc[measured.rows].tolist()
    frames: Any = MaskFrames(masks, study.source, transform, ids, measured.exists, measured.heat.unstored)
    batches = [range(start, min(start + size, n)) for start in range(0, n, size)]
    workers = default_workers(options, n)
    stream: Any = picture_batches(frames, batches, workers=workers, pin=False)
    for batch, part in zip(batches, stream, strict=True):
        yield batch.start, batch.stop, part


class Measured:
    """The measurements so far.

    Attributes:
        scores: (n, 2, 4) float64: image, mask, variant. area: (n, 2) share of the frame.
        swept: (n, 2, 2, T) float32: image, mask, `paper` or `binary`, threshold.
        scale: (n, 2, 4) float32: image, mask, `paper` of each of CONTROLS.
        notes: (n, 2) str: why an overlap is undefined, or empty.
    """

    def __init__(
        self, study: Study, rows: np.ndarray, exists: np.ndarray, heat: HeatSource, config: OverlapConfig
    ):
        self.study, self.rows, self.exists, self.heat, self.config = study, rows, exists, heat, config
        self.thresholds = sorted({*THRESHOLDS, config.threshold})
        self.scores = np.full((*exists.shape, len(VARIANTS)), np.nan)
        self.area = np.full(exists.shape, np.nan)
        self.swept = np.full((*exists.shape, len(SWEPT), len(self.thresholds)), np.nan, np.float32)
        self.scale = np.full((*exists.shape, len(CONTROLS)), np.nan, np.float32)
        self.notes = np.full(exists.shape, "", object)
        self.pairs: list[dict[str, np.ndarray]] = []
        self.controls: dict[tuple[str, str], list[np.ndarray]] = {}
        self.n_controls = 0
        self.is_control = np.zeros(len(rows), bool)
        both = np.flatnonzero(exists.all(1))
        drawn = np.random.default_rng(config.seed).permutation(both)[:CONTROL_IMAGES]
        self.is_control[drawn] = True

    def add(self, first: int, stop: int, frames: FrameBatch) -> None:
        """Measure the images `rows[first:stop]`."""
        masks = frames.masks.numpy()
        readable = self.exists[first:stop].copy()
        for (index, number), why in frames.problems.items():
            readable[index, number] = False
            self.notes[first + index, number] = why
        batch = self.heat.batch(first, stop, frames.seen, frames.pixels)
        for number, kind in enumerate(KINDS):
            here = np.flatnonzero(readable[:, number])
            self.area[first + here, number] = masks[here, number].mean((1, 2), dtype=np.float64)
            self._score(first, number, here[batch.known[here]], batch.heat, masks[:, number])
            self._score_features(first, kind, readable[:, number], batch, masks[:, number])
        self._score_controls(first, stop, masks)
        self.scale[first:stop] = control_overlaps(
            masks,
            native=self.heat.native,
            rows=self.rows[first:stop],
            seed=self.config.seed,
            threshold=self.config.threshold,
        )

    def _score(self, first: int, number: int, here: np.ndarray, heat: np.ndarray, masks: np.ndarray) -> None:
        g, m, rows = heat[here], masks[here], first + here
        values = overlap_scores(g, m, threshold=self.config.threshold)
        self.scores[rows, number] = np.column_stack([values[variant] for variant in VARIANTS])
        swept = overlap_sweep(g, m, self.thresholds)
        self.swept[rows, number] = np.stack([swept[variant] for variant in SWEPT], axis=1)
        self.notes[rows, number] = _notes(g, m)

    def _score_features(
        self, first: int, kind: str, readable: np.ndarray, batch: HeatBatch, masks: np.ndarray
    ) -> None:
        pairs = np.flatnonzero(readable[batch.owners])
        owners = batch.owners[pairs]
        values = overlap_scores(batch.singles[pairs], masks[owners], threshold=self.config.threshold)
        about = {
            "feature": batch.features[pairs],
            "mask": np.full(len(pairs), KINDS.index(kind)),
            "row": self.rows[first + owners],
            "mask_area": self.area[first + owners, KINDS.index(kind)],
        }
        self.pairs.append(about | values)

    def _score_controls(self, first: int, stop: int, masks: np.ndarray) -> None:
        is_control = self.is_control[first:stop] & (self.area[first:stop] > 0).all(1)
        if not is_control.any():
            return
        self.n_controls += int(is_control.sum())
        core, spurious = masks[is_control, 0], masks[is_control, 1]
        made = control_heatmaps(
            core,
            spurious,
            native=self.heat.native,
            rows=self.rows[first:stop][is_control],
            seed=self.config.seed,
        )
        for control, heat in made.items():
            for kind, mask in zip(KINDS, (core, spurious), strict=True):
                values = overlap_scores(heat, mask, threshold=self.config.threshold)
                part = np.column_stack([values[variant] for variant in VARIANTS])
                self.controls.setdefault((control, kind), []).append(part)

    def pair_table(self) -> pd.DataFrame:
        """One row per firing feature, image and mask: feature, mask, row, mask_area, the variants."""
        columns = {name: np.concatenate([part[name] for part in self.pairs]) for name in self.pairs[0]}
        return pd.DataFrame(columns | {"mask": pd.array(np.array(KINDS)[columns["mask"]], dtype="str")})


def _notes(heat: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(n,) str: why an overlap is undefined, in full or in part."""
    peak = masks.max((1, 2))
    conditions = [~heat.any((1, 2)), peak == 0, peak < MASK_REGION]
    reasons = ["no heat", "empty mask", f"mask nowhere reaches {MASK_REGION}"]
    return np.select(conditions, reasons, "").astype(object)


def write_overlap_tables(
    step: StepWriter, measured: Measured, masks: MaskSource, config: OverlapConfig
) -> dict[str, Any]:
    """Write every table of the step, and return its summary."""
    image, number = np.nonzero(measured.exists)  # image after image, core before spurious
    scores = image_overlaps(measured, image, number)
    pairs = measured.pair_table()
    summary = measures.summary_table(scores)
    step.table("overlap", scores)
    step.table("overlap_summary", summary)
    step.table("overlap_by_class", measures.overlap_by_class(scores))
    step.table(
        "overlap_sweep", tables.sweep_table(scores, measured.swept[image, number], measured.thresholds)
    )
    step.table(
        "overlap_by_feature",
        tables.overlap_by_feature(pairs, feature_keywords(measured.study, pairs, masks), config),
    )
    step.table("overlap_controls", measures.control_table(measured.controls))
    numbers = counts(scores, measured)
    about = {"masks": masks.describe(), "mask_report": masks.report, "notes": overlap_notes(numbers)}
    return tables.overlap_headline(summary) | {"threshold": config.threshold} | numbers | about


def image_overlaps(measured: Measured, image: np.ndarray, number: np.ndarray) -> pd.DataFrame:
    """Build the table `overlap`: the columns that `core.export.files` promises, and the grouping columns
    of other tables.

    Args:
        image: (n_rows,) position among the masked images. number: 0 for core, 1 for spurious.
    """
    rows = measured.rows[image]
    images = measured.study.images.iloc[rows].reset_index(drop=True)
    values = dict(zip(VARIANTS, measured.scores[image, number].T, strict=True))
    controls = dict(zip(map(control_column, CONTROLS), measured.scale[image, number].T, strict=True))
    return pd.DataFrame(
        {
            "image_id": images["image_id"],
            "mask": pd.array(np.array(KINDS)[number], dtype="str"),
            **values,
            "row": rows.astype(np.int32),
            "split": images["split"],
            "label": images["label"],
            "correct": verdicts(measured.study)[rows],
            "fallback": measured.heat.pairs.fallback[image],
            "mask_area": measured.area[image, number],
            "note": pd.array(measured.notes[image, number], dtype="str"),
            **controls,
        }
    )


def verdicts(study: Study) -> Any:
    """(n_images,) nullable bool: correctness by the probe; missing without a probe."""
    if study.has("probe"):
        return study.table("probe", ["correct"])["correct"].astype("boolean").array
    return pd.array([pd.NA] * study.n_images, dtype="boolean")


def counts(scores: pd.DataFrame, measured: Measured) -> dict[str, int]:
    """Count the images and masks behind the numbers, and those left out."""
    both = np.unique(scores["row"].to_numpy()[measures.has_both(scores)])
    area = scores["mask_area"].to_numpy(float)
    return {
        "n_images": len(measured.rows),
        "n_both": len(both),
        "n_both_train": int((~measured.study.is_val[both]).sum()),
        "n_undefined": int(np.isnan(scores["paper"].to_numpy(float)).sum()),
        "n_empty_masks": int((area == 0).sum()),
        "n_unreadable": int(np.isnan(area).sum()),
        "n_fallback": int(measured.heat.pairs.fallback.sum()),
        "n_computed": int(measured.heat.unstored.sum()),
        "n_control_images": measured.n_controls,
    }


def overlap_notes(numbers: Mapping[str, int]) -> list[str]:
    """Return what a reader of the numbers should know, one sentence each."""
    if not numbers["n_both_train"]:
        return []
    return [
        f"{numbers['n_both_train']:,} of the {numbers['n_both']:,} images with both masks are train images, "
        "where 'correct' is optimistic because the probe was trained on them. Split 'val' leaves them out"
    ]


def feature_keywords(
    study: Study, pairs: pd.DataFrame, masks: MaskSource
) -> Mapping[tuple[int, str], Sequence[str]]:
    """Collect workers' descriptions of the mask features on which a feature is active (Salient ImageNet),
    best first.

    The encoder's features differ from the annotated ones: a feature gets the descriptions of those on whose
    images its heat lies on the mask, ordered by the share of heat summed over the images.
    """
    if masks.features is None or not len(pairs):
        return {}
    rows = pd.Index(study.images["image_id"]).get_indexer(pd.Index(masks.features["image_id"]))
    theirs = pd.DataFrame({"row": rows, "mask": masks.features["kind"].astype("str")})
    theirs["keywords"] = masks.features["keywords"].astype("str")
    ours = pairs.loc[pairs["energy"] > 0, ["feature", "mask", "row", "energy"]]
    met = ours.merge(theirs, on=["row", "mask"])
    weight = met.groupby(["feature", "mask", "keywords"])["energy"].sum().sort_values(ascending=False)
    keywords_of: dict[tuple[int, str], list[str]] = {}
    for (feature, mask, keywords), _ in weight.items():  # pyright: ignore[reportGeneralTypeIssues]
        words = keywords_of.setdefault((int(feature), str(mask)), [])
        words += [word for word in str(keywords).split("; ") if word and word not in words]
    return {key: words[:MOST_KEYWORDS] for key, words in keywords_of.items()}
