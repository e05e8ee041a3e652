"""Stored heatmaps: those of the step, those on request, and those that `embed` keeps for it. No torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from core.common.command_line import command_line
from core.common.step_facts import EmbedFacts
from core.common.threads import cached_property
from core.errors import HeatmapNotStored, SettingsError, StudyError
from core.study import manifest as manifests
from core.study import seals
from core.study.heatmaps import check_combination
from core.study.heatmaps import combine as combine_maps
from core.study.inside import inside
from core.study.layers import COMPUTED
from core.study.missing import ReadableStudy
from core.study.scratch import MAPS, Scratch

# Read stored heatmaps: those of the step `heatmaps`, and those computed on request. No torch.
#
# A map is stored as (map - floor) / (peak - floor) in half precision, with floor and peak in single
# precision: a nearly flat map keeps its structure, and the scaled map is accurate to 2e-3 (docs/method.md
# 4).


REQUESTED, REQUESTS_LOCK = "requested_heatmaps", ".lock"  # a folder, and the lock in it


class StoredMaps(NamedTuple):
    """Stored maps of some features of one image.

    Attributes:
        features: (K,) int32, ascending. maps: (K, h, w) float16 in [0, 1].
        peaks, floors: (K,) float32, maximum and minimum of each ReLU'd Grad-CAM map.
    """

    features: np.ndarray
    maps: np.ndarray
    peaks: np.ndarray
    floors: np.ndarray

    def restored(self) -> np.ndarray:
        """(K, h, w) float32, in units of each map's own maximum; a map without heat is zero."""
        share = np.divide(self.floors, self.peaks, out=np.zeros_like(self.peaks), where=self.peaks > 0)
        share = share[:, None, None]
        values = share + (1 - share) * self.maps.astype(np.float32)
        return np.where(self.peaks[:, None, None] > 0, values, 0)


def pack_maps(features: np.ndarray, maps: np.ndarray) -> StoredMaps:
    """Convert ReLU'd Grad-CAM maps (K, h, w) float to their stored form."""
    maps = np.asarray(maps, np.float32)
    floors, peaks = maps.min(axis=(1, 2)), maps.max(axis=(1, 2))
    span = (peaks - floors)[:, None, None]
    relief = np.divide(maps - floors[:, None, None], span, out=np.zeros_like(maps), where=span > 0)
    return StoredMaps(np.asarray(features, np.int32), relief.astype(np.float16), peaks, floors)


def requested_path(study: ReadableStudy, row: int) -> Path:
    """Return the path of a study's heatmaps of an image that were computed on request.

    The name contains a digest of everything they depend on (image, images, encoder, layer, codes of a basis),
    so a file from before a change is never read.
    """
    encoder = study.facts(EmbedFacts).encoder
    image = str(study.column("images", "image_id").iat[row])
    made_from = {
        "image": image,
        "inputs": study.manifest["steps"].get("embed", {}).get("inputs"),
        "encoder": encoder.fingerprint,
        "layer": encoder.layer,
    }
    if COMPUTED in (codes := study.manifest["items"].get("representations", {})):
        made_from["codes"] = codes["chunks"]
    return inside(study.path, f"{REQUESTED}/{row}-{manifests.digest(made_from)[:20]}.npz")


def read_requested(path: Path) -> StoredMaps | None:
    """Read a study's heatmaps from a file of `requested_path`; None if it is missing or damaged."""
    arrays = seals.read_arrays(path, StoredMaps._fields)
    return None if arrays is None else StoredMaps(**arrays)


def add_requested(path: Path, computed: StoredMaps) -> None:
    """Add heatmaps to a study's file of `requested_path`, in place of older ones of these features.

    The file is read and replaced under a lock: two processes do not lose each other's maps.
    """
    path.parent.mkdir(exist_ok=True)
    with FileLock(path.with_name(REQUESTS_LOCK)):
        stored = read_requested(path)
        if stored is not None:
            new = ~np.isin(stored.features, computed.features)
            both = [np.concatenate([old[new], part]) for old, part in zip(stored, computed, strict=True)]
            order = np.argsort(both[0])
            computed = StoredMaps(*(part[order] for part in both))
        seals.write_arrays(path, computed._asdict())


class HeatmapReader:
    """The stored heatmaps of a study."""

    def __init__(self, study: ReadableStudy):
        self.study = study

    @cached_property
    def rows(self) -> np.ndarray:
        """(n,) int32, ascending: the images with maps from the step `heatmaps`."""
        return self.study.vector("heatmap_rows") if self.study.has("heatmap_rows") else np.empty(0, np.int32)

    @cached_property
    def _starts(self) -> np.ndarray:
        counts = self.study.vector("heatmap_count") if len(self.rows) else np.empty(0)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def features_of(self, row: int) -> np.ndarray:
        """(K,) int32, ascending: the features with a stored map for an image; empty if there are none."""
        requested = read_requested(requested_path(self.study, row))
        stored = self._stored_features(row)
        return stored if requested is None else np.union1d(stored, requested.features)

    def _span(self, row: int) -> tuple[int, int]:
        position = int(np.searchsorted(self.rows, row))
        if position == len(self.rows) or self.rows[position] != row:
            return 0, 0
        return int(self._starts[position]), int(self._starts[position + 1])

    def _stored_features(self, row: int) -> np.ndarray:
        start, stop = self._span(row)
        return self.study.array("heatmap_features").span(start, stop) if stop else np.empty(0, np.int32)

    def maps(self, row: int, features: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return stored maps of an image.

        Args:
            features: (K,) feature numbers, in any order.
        Returns:
            maps (K, h, w) float32 in units of their own maximum, at the layer's resolution; peaks (K,)
            float32, the maximum of each ReLU'd Grad-CAM map.
        Raises:
            StudyError: one of them is not stored, or there are no heatmaps. SettingsError: no such feature.
        """
        numbers = check_features(self.study, features)
        stored = self._from_step(row, numbers)
        if stored is None:
            stored = self._with_requested(row, numbers)
        return stored.restored(), stored.peaks

    def _from_step(self, row: int, features: np.ndarray) -> StoredMaps | None:
        start, stop = self._span(row)
        places = start + _places(self._stored_features(row), features)
        if not stop or (places < start).any():
            return None
        arrays = map(self.study.array, ("heatmap_maps", "heatmap_peaks", "heatmap_floors"))
        return StoredMaps(features, *(array.rows(places) for array in arrays))

    def _with_requested(self, row: int, features: np.ndarray) -> StoredMaps:
        """Add the maps from the file of requested ones to the stored maps."""
        requested = read_requested(requested_path(self.study, row))
        held = self._stored_features(row)
        parts = []
        for feature in features:
            one = np.array([feature], np.int32)
            position = _places(requested.features, one) if requested else np.array([-1])
            if requested and position[0] >= 0:
                parts.append(StoredMaps(one, *(part[position] for part in requested[1:])))
            elif feature in held and (stored := self._from_step(row, one)) is not None:
                parts.append(stored)
            else:
                raise self._not_stored(row, int(feature))
        return StoredMaps(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _not_stored(self, row: int, feature: int) -> StudyError:
        path, image = self.study.path, self.study.column("images", "image_id").iat[row]
        skipped = self.study.why_skipped("heatmaps")
        if skipped:
            return StudyError(f"no heatmaps in '{path}': {skipped}")
        if self.study.state("heatmaps") != "done":
            return HeatmapNotStored(f"no heatmaps in '{path}': {self.study.missing()['heatmaps']}")
        command = command_line("heatmaps", path, image=image, feature=feature)
        return HeatmapNotStored(
            f"no heatmap of feature {feature} for image '{image}' is stored in '{path}'. Run: {command}"
        )

    def heatmap(self, row: int, features: Sequence[int] | None = None, combine: str = "mean") -> np.ndarray:
        """(S, S) float32 in [0, 1]: the stored maps of one image, combined, in the encoder's input view.

        Args:
            features: None for the discriminative heatmap: firing discriminative features, or else the
                strongest discriminative one.
            combine: mean, sum, max or min; see `core.study.heatmaps.combine`.
        Raises:
            StudyError: not stored. SettingsError: no such feature or combination.
        """
        check_combination(combine)
        selected = self.discriminative(row)[0] if features is None else np.asarray(features)
        if combine == "sum" and len(selected) > 1 and not self.sums_are_exact:
            image = self.study.column("images", "image_id").iat[row]
            arguments = {"image": image, "feature": "J,K", "combine": "sum"}
            command = command_line("export", self.study.path, "heatmap", **arguments, output="FILE.npy")
            raise HeatmapNotStored(
                f"the sum of several features cannot be computed from the stored maps of '{self.study.path}' "
                f"(negative activations). Run: {command}"
            )
        maps, peaks = self.maps(row, selected)
        return combine_maps(maps, peaks, combine, self.study.transform.input_size)

    @property
    def sums_are_exact(self) -> bool:
        """True when ReLU(a) + ReLU(b) = ReLU(a + b), i.e. when nothing on a map is negative."""
        encoder = self.study.facts(EmbedFacts).encoder
        if encoder.maps_add_up is not None:  # stated of a basis
            return encoder.maps_add_up
        return bool(encoder.nonnegative) and encoder.pools_globally

    def discriminative(self, row: int) -> tuple[np.ndarray, bool]:
        """Return the features of an image's discriminative heatmap.

        Returns:
            L_i & D (K,) int32, ascending, and False; if that set is empty, the feature of D with the largest
            activation, and True (the fallback).
        """
        start, stop = self._firing_starts[row], self._firing_starts[row + 1]
        firing = self.study.array("firing_features").span(int(start), int(stop))
        features = np.sort(firing[self._in_d[firing]]).astype(np.int32)
        if len(features):
            return features, False
        inside = np.flatnonzero(self._in_d)
        best = inside[np.argmax(self.study.array("representations")[row][inside])]
        return np.array([best], np.int32), True

    @cached_property
    def _firing_starts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.study.vector("firing_count"), dtype=np.int64)])

    @cached_property
    def _in_d(self) -> np.ndarray:
        return self.study.discriminative


def check_features(study: ReadableStudy, features: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return (K,) int32 feature numbers for heatmaps, checked against the study.

    Raises:
        SettingsError: no feature is given, or one is out of range.
    """
    try:
        numbers = np.asarray(features, np.int64).reshape(-1)
    except OverflowError:
        raise SettingsError(f"the feature number is out of range for '{study.path}'") from None
    if not len(numbers):
        raise SettingsError("name at least one feature")
    n_features = int(study.manifest["items"].get("representations", {}).get("shape", [0, 0])[1])
    outside = numbers[(numbers < 0) | (numbers >= n_features)]
    if len(outside):
        raise SettingsError(
            f"there is no feature {outside[0]} in '{study.path}': it has {n_features}, "
            f"from 0 to {n_features - 1}"
        )
    return numbers.astype(np.int32)


def _places(held: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Position of each wanted number in `held` (ascending), -1 if absent."""
    if not len(held):
        return np.full(len(features), -1)
    places = np.minimum(np.searchsorted(held, features), len(held) - 1)
    return np.where(held[places] == features, places, -1)


# Maps that `embed` keeps for `heatmaps`, in a folder that goes when they are stored. No torch.


MOST_BYTES = 2_000_000_000  # of the maps of all images together
TOP = 16  # images on which a feature is largest: a study keeps that many


class BatchMaps(NamedTuple):
    """Maps of some images, image after image.

    Attributes:
        rows: (n,) int64 listing rows, ascending. counts: (n,) int32 maps of each.
        features: (P,) int32, ascending within an image. strongest: (P,) bool, one of the features that are
            kept of every image; others are kept because the image was among the first of theirs.
        maps, peaks, floors: as in `StoredMaps`.
    """

    rows: np.ndarray
    counts: np.ndarray
    features: np.ndarray
    strongest: np.ndarray
    maps: np.ndarray
    peaks: np.ndarray
    floors: np.ndarray


def kept_per_image(n_images: int, n_features: int, n_positions: int) -> int:
    """How many heatmaps of each image a study stores: as many as fit into MOST_BYTES, at most all.

    >>> kept_per_image(1_000, 2048, 49), kept_per_image(1_280_000, 2048, 49)
    (2048, 15)
    """
    return min(n_features, MOST_BYTES // (2 * n_positions * max(n_images, 1)))


def scratch_bytes(n_images: int, n_features: int, n_positions: int) -> int:
    """Bytes that a study caches on disk as heatmaps of all images, but for a feature's first images."""
    return 2 * n_positions * n_images * kept_per_image(n_images, n_features, n_positions)


@dataclass
class MapScratch(Scratch):
    """The folder of the maps that belong to one run of `embed`, by its fingerprint."""

    NAME = MAPS
    _last: tuple[int, BatchMaps | None] | None = field(default=None, init=False)

    def put(self, batch: BatchMaps) -> None:
        """Store the maps of a batch."""
        self.write(int(batch.rows[0]), batch._asdict())

    def shape_of_maps(self) -> tuple[int, int] | None:
        """(h, w) of the maps; None where none is held."""
        for start in self.starts():
            if (batch := self._batch(int(start))) is not None and len(batch.maps):
                height, width = batch.maps.shape[1:]
                return height, width
        return None

    def take(
        self, rows: Sequence[int] | np.ndarray, features: Sequence[np.ndarray], tops: set[tuple[int, int]]
    ) -> Iterator[StoredMaps | None]:
        """Yield, of each image, the maps of its features; None where one of them was not kept.

        Args:
            rows: listing rows, ascending. features: of each image (K_i,) int32, ascending.
            tops: (listing row, feature) of the first images of the features, whose maps count where they were
                kept for that. Others that happen to be there do not: which they are depends on how many
                processes shared the work.
        """
        starts = self.starts()
        for row, numbers in zip(rows, features, strict=True):
            at = int(np.searchsorted(starts, row, side="right")) - 1
            batch = self._batch(int(starts[at])) if at >= 0 else None
            yield None if batch is None else _maps_of(batch, int(row), numbers, tops)

    def _batch(self, start: int) -> BatchMaps | None:
        """The file that begins at a listing row; None where it is damaged. The last one stays open."""
        if self._last is None or self._last[0] != start:
            read = self.read(start, BatchMaps._fields)
            self._last = start, None if read is None else BatchMaps(**read)
        return self._last[1]


def _maps_of(
    batch: BatchMaps, row: int, features: np.ndarray, tops: set[tuple[int, int]]
) -> StoredMaps | None:
    image = int(np.searchsorted(batch.rows, row))
    if image == len(batch.rows) or batch.rows[image] != row:
        return None
    start = int(batch.counts[:image].sum())
    of_image = batch.features[start : start + batch.counts[image]]
    places = np.searchsorted(of_image, features)
    if not len(of_image) or not np.array_equal(of_image[np.minimum(places, len(of_image) - 1)], features):
        return None
    places += start
    for feature in features[~batch.strongest[places]].tolist():
        if (row, feature) not in tops:
            return None
    parts = (batch.maps, batch.peaks, batch.floors)
    return StoredMaps(features, *(part[places] for part in parts))
