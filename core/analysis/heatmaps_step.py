"""The step `heatmaps`: maps of the selected images in half precision, as `embed` kept them or by the encoder.

A chunk holds 512 of the selected images, so an interrupted run resumes with the missing chunks.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.analysis.gradcam import CLOSED, LIBRARY, method_of
from core.analysis.heatmap_selection import Pairs, top_pairs, wanted_pairs
from core.analysis.heatmaps_on_demand import on_demand, packed_maps, request_heatmaps, study_encoder
from core.analysis.representations import Batch, input_views, picture_batches
from core.common.device import resolve_device
from core.common.processes import default_workers
from core.common.step_facts import EmbedFacts
from core.common.threads import cached_property
from core.config import HeatmapsConfig, RunOptions
from core.encoders.passes import pictures_a_pass
from core.encoders.registry import Encoder
from core.errors import ImageSourceError
from core.store import Study
from core.study.progress import Bar
from core.study.shared_arrays import SharedArrays
from core.study.stored_heatmaps import TOP, MapScratch, StoredMaps, pack_maps
from core.study.writer import StepRun, StepWriter

__all__ = ["compute_heatmaps", "on_demand", "request_heatmaps", "study_encoder"]

CHUNK_IMAGES = 512
MOST_IMAGES_LIBRARY = 16  # the library keeps the data for a backward pass
ARRAYS = (
    *("heatmap_rows", "heatmap_count", "heatmap_fallback"),
    *("heatmap_features", "heatmap_peaks", "heatmap_floors"),
    "heatmap_maps",  # written last: its ledger decides whether a chunk is done
)
GONE = "no longer in the source"
ONE_PIXEL = (
    "the maps of layer {layer} have a single position for an image of {side} pixels, so a heatmap could "
    "not say where; embed larger images (--input-size) or take an earlier layer (--layer)"
)


def compute_heatmaps(study: Study, step: StepWriter, config: HeatmapsConfig, run: StepRun) -> None:
    """Write the Grad-CAM maps of val, masked and top images (docs/method.md 4; see `wanted_pairs`).

    Per image: `heatmap_rows` (n,) int32 ascending, `heatmap_count` (n,) int32, `heatmap_fallback` (n,) bool.
    Per map, image after image: `heatmap_features` (P,) int32 ascending within an image, `heatmap_peaks` and
    `heatmap_floors` (P,) float32, the maximum and minimum of each ReLU'd Grad-CAM map, `heatmap_maps`
    (P, h, w) float16 = (map - floor) / (peak - floor). Table `heatmaps_missing`: missing images.

    Raises:
        EncoderError: the encoder can no longer be loaded, or has changed.
        ImageSourceError: none of the images can be read.
    """
    if study.facts(EmbedFacts).encoder.is_given:
        step.summary = {"skipped": "the study was made from representations; heatmaps need an encoder"}
        return
    scratch = _kept_maps(study)
    network = _Network(study, run.device, scratch)
    if network.native == (1, 1):
        side = max(study.transform.sides)
        step.summary = {"skipped": ONE_PIXEL.format(layer=network.layer, side=side)}
        return
    if scratch is not None:
        step.when_entered.append(scratch.remove)
    pairs = wanted_pairs(study, config)
    with run.progress.stage("heatmaps", total=len(pairs.rows), unit="images") as bar:
        maps = _Run(study, network, pairs, step, run.options, scratch)
        maps.write_chunks(bar)
        run.progress.note(f"heatmaps: network on {maps.n_by_network} of {maps.n_written} images")
        step.summary = maps.finish()
    if step.summary["n_missing"]:
        run.progress.note(f"{step.summary['n_missing']} images are missing; see the table 'heatmaps_missing'")


def _kept_maps(study: Study) -> MapScratch | None:
    """What `embed` kept of these images; None where they are others now, so that rows of a list are, too."""
    if study.below is not None:
        return None
    embedded = study.manifest["steps"]["embed"]["inputs"].get("@images")
    return MapScratch.of(study) if study.source.fingerprint() == embedded else None


def _native_size(encoder: Encoder) -> tuple[int, int]:
    """Return (h, w) of the Grad-CAM maps of an encoder's layer."""
    _, maps = encoder.represent_with_map(torch.zeros(1, *encoder.transform.sides, 3, dtype=torch.uint8))
    return int(maps.shape[2]), int(maps.shape[3])


@dataclass
class _Network:
    """The network of a study and its maps; it is loaded for the first map that `embed` did not keep."""

    study: Study
    device: Any  # a torch device, or its name
    scratch: MapScratch | None

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder as `embed` made its maps."""
        encoder, about = study_encoder(self.study, self.device), self.study.facts(EmbedFacts).encoder
        encoder.precision = about.map_precision
        encoder.fold()
        encoder.end_precisely(about.n_precise)
        return encoder

    @cached_property
    def _kept_shape(self) -> tuple[int, int] | None:
        return None if self.scratch is None else self.scratch.shape_of_maps()

    @cached_property
    def native(self) -> tuple[int, int]:
        """(h, w) of the maps."""
        return self._kept_shape or _native_size(self.encoder)

    @property
    def method(self) -> str:
        """How the maps are computed; those that `embed` keeps are in closed form."""
        return CLOSED if self._kept_shape else method_of(self.encoder)

    @property
    def layer(self) -> str | None:
        """The layer of the maps."""
        if self._kept_shape:
            return self.study.facts(EmbedFacts).encoder.layer
        return self.encoder.target_layer


@dataclass
class _Chunk:
    """Results of one chunk so far: the maps of each image, by position in `Pairs.rows`."""

    maps: dict[int, StoredMaps] = field(default_factory=dict)
    missing: list[tuple[int, str]] = field(default_factory=list)  # place, reason

    def write(self, step: StepWriter, chunk: int, pairs: Pairs, native: tuple[int, int]) -> None:
        places = sorted(self.maps)
        stored = [
            pack_maps(np.empty(0), np.empty((0, *native))),
            *(self.maps[position] for position in places),
        ]
        features, maps, peaks, floors = (np.concatenate(part) for part in zip(*stored, strict=True))
        values = {
            "heatmap_rows": pairs.rows[places],
            "heatmap_count": pairs.counts[places],
            "heatmap_fallback": pairs.fallback[places],
            "heatmap_features": features,
            "heatmap_peaks": peaks,
            "heatmap_floors": floors,
        }
        for name, part in values.items():
            step.array(name).put(chunk, part)
        extra = {
            "missing": sorted(self.missing),
            "n_fallback": int(pairs.fallback[places].sum()),
            "n_zero": int(np.count_nonzero(peaks <= floors)),
        }
        step.array("heatmap_maps").put(chunk, maps, extra)


class _Run:
    """One run of the step over the missing chunks."""

    def __init__(
        self,
        study: Study,
        network: _Network,
        pairs: Pairs,
        step: StepWriter,
        options: RunOptions,
        scratch: MapScratch | None,
    ):
        self.study, self.network, self.pairs, self.step = study, network, pairs, step
        self.options, self.scratch = options, scratch
        self.n_written = self.n_by_network = 0  # images, by this process
        self.device = resolve_device(network.device).type
        self.n_chunks = max(1, -(-len(pairs.rows) // CHUNK_IMAGES))
        self.arrays = SharedArrays(step, ARRAYS, self.n_chunks, mark="heatmap_maps")
        ids = pd.Index(study.images["image_id"].iloc[pairs.rows])
        self.listing_row = pd.Index(study.source.table["image_id"]).get_indexer(ids)

    def write_chunks(self, bar: Bar) -> None:
        """Write every missing chunk; this process does its share of them."""
        done = [chunk for chunk in range(self.n_chunks) if self._is_done(chunk)]
        bar.skip(sum(len(self._places(chunk)) for chunk in done))
        todo = self.arrays.todo(done)
        lacking = {chunk: self._lacking(chunk) for chunk in todo}
        batches = [(chunk, places) for chunk in todo for places in self._batches(lacking[chunk])]
        collected = _Chunk()
        for number, ((chunk, places), batch) in enumerate(zip(batches, self._decoded(batches), strict=True)):
            self._collect(collected, places, batch)
            self.n_by_network += len(places)
            bar.update(len(places))
            if number + 1 == len(batches) or batches[number + 1][0] != chunk:
                taken = np.setdiff1d(self._places(chunk), lacking[chunk])
                collected.maps |= dict(zip(taken.tolist(), self._from_scratch(taken), strict=True))
                collected.write(self.step, chunk, self.pairs, self.network.native)
                collected = _Chunk()
                self.n_written += len(self._places(chunk))
                bar.update(len(taken))

    def _lacking(self, chunk: int) -> np.ndarray:
        """The positions of a chunk whose maps the encoder has to make."""
        places = self._places(chunk)
        return places[[one is None for one in self._from_scratch(places)]] if len(places) else places

    def _from_scratch(self, places: np.ndarray) -> Iterator[StoredMaps | None]:
        """The maps that `embed` kept for images; None where one of them is not there."""
        if self.scratch is None:
            return iter([None] * len(places))
        features = [self.pairs.of(position) for position in places.tolist()]
        return self.scratch.take(self.listing_row[places], features, self._tops)

    @cached_property
    def _tops(self) -> set[tuple[int, int]]:
        """(listing row, feature) of the first images of each feature."""
        rows, features = top_pairs(self.study, TOP)
        ids = self.study.column("images", "image_id").iloc[rows]
        listed = pd.Index(self.study.source.table["image_id"]).get_indexer(pd.Index(ids))
        return set(zip(listed.tolist(), features.tolist(), strict=True))

    def _is_done(self, chunk: int) -> bool:
        """Return False for a chunk with missing images: they may be available again."""
        return self.arrays.has(chunk) and not self.arrays.mark.extra(chunk)["missing"]

    def _places(self, chunk: int) -> np.ndarray:
        return np.arange(chunk * CHUNK_IMAGES, min((chunk + 1) * CHUNK_IMAGES, len(self.pairs.rows)))

    def _batches(self, places: np.ndarray) -> list[np.ndarray]:
        """Split positions of a chunk into batches; at least one, possibly empty.

        For the library, images with similar numbers of features go together: a batch needs one backward pass
        for each feature of its largest image.
        """
        n_values = 3 * math.prod(self.study.transform.sides)
        size = min(self.options.batch_size, pictures_a_pass(self.device, n_values))
        if self.network.method == LIBRARY:
            places = places[np.argsort(self.pairs.counts[places], kind="stable")]
            size = min(size, MOST_IMAGES_LIBRARY)
        return np.split(places, range(size, len(places), size))

    def _decoded(self, batches: list[tuple[int, np.ndarray]]) -> Iterator[Batch]:
        listed = [[int(row) for row in self.listing_row[places] if row >= 0] for _, places in batches]
        return picture_batches(
            input_views(self.study.source, self.study.transform),
            listed,
            workers=default_workers(self.options, sum(map(len, listed))),
            pin=self.device == "cuda",
        )

    def _collect(self, collected: _Chunk, places: np.ndarray, batch: Batch) -> None:
        reasons = dict(batch.unreadable) | {-1: GONE}
        place_of = {
            int(row): int(position) for row, position in zip(self.listing_row[places], places, strict=True)
        }
        for position in places:
            row = int(self.listing_row[position])
            if row in reasons:
                collected.missing.append((int(position), reasons[row]))
        if batch.pixels is not None:
            here = [place_of[row] for row in batch.rows]
            features = [self.pairs.of(position) for position in here]
            packed = packed_maps(self.network.encoder, batch.pixels, features)
            collected.maps |= dict(zip(here, packed, strict=True))

    def finish(self) -> dict[str, Any]:
        """Enter the arrays and the table of missing images in the manifest, and return the summary."""
        extras = self.arrays.collect()
        missing = [pair for extra in extras for pair in extra["missing"]]
        images = self.study.images.iloc[self.pairs.rows[[position for position, _ in missing]]]
        if missing and len(missing) == len(self.pairs.rows):
            path, reason = images["path"].iat[0], missing[0][1]
            raise ImageSourceError(f"none of the {len(missing)} images can be read (first: {path}: {reason})")
        self.arrays.finish()
        lost = images[["image_id", "path"]].reset_index(drop=True)
        self.step.table(
            "heatmaps_missing", lost.assign(reason=[reason for _, reason in missing]).astype("str")
        )
        rows, maps = (self.step.items[name]["shape"] for name in ("heatmap_rows", "heatmap_maps"))
        return {
            "n_images": rows[0],
            "n_maps": maps[0],
            "n_fallback": sum(extra["n_fallback"] for extra in extras),
            "n_zero": sum(extra["n_zero"] for extra in extras),
            "n_missing": len(missing),
            "native": list(self.network.native),
            "layer": self.network.layer,
            "method": self.network.method,
            "input_size": self.study.transform.to_dict()["input_size"],
        }
