"""Maps that `embed` keeps for `heatmaps`, in a folder that goes when they are stored. No torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from core.heatmaps.reader import StoredMaps
from core.storage.scratch import MAPS, Scratch

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
    """How many maps of each image fit into MOST_BYTES, at most all.

    >>> kept_per_image(1_000, 2048, 49), kept_per_image(1_280_000, 2048, 49)
    (2048, 15)
    """
    return min(n_features, MOST_BYTES // (2 * n_positions * max(n_images, 1)))


def scratch_bytes(n_images: int, n_features: int, n_positions: int) -> int:
    """Bytes of the maps of all images, without those of the first images of a feature."""
    return 2 * n_positions * n_images * kept_per_image(n_images, n_features, n_positions)


@dataclass
class MapScratch(Scratch):
    """The folder of the maps that belong to one run of `embed`, by its fingerprint."""

    NAME = MAPS
    _last: tuple[int, BatchMaps | None] | None = field(default=None, init=False)

    def put(self, batch: BatchMaps) -> None:
        """Store the maps of a batch."""
        self.write(int(batch.rows[0]), batch._asdict())

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
