"""The maps that the step `overlap` scores: stored maps are read, others are computed."""

from dataclasses import dataclass

import numpy as np
import torch

from core.analysis.gradcam.gradcam import gradcam_maps
from core.analysis.gradcam.on_demand import study_encoder
from core.analysis.gradcam.selection import discriminative_pairs, strongest_discriminative
from core.common.threadsafe import cached_property
from core.encoders.registry import Encoder
from core.heatmaps.combine import OF_SINGLES, singly_scaled
from core.heatmaps.reader import StoredMaps
from core.slices.firing_counts import places_of_images
from core.store import Study


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
    """Select the maps to score on the images `rows` (ascending): their discriminative heatmap, and each
    firing feature that is discriminative or stored.
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
    held = stored[nearest] == pair_keys if len(stored) else np.zeros(len(pair_keys), bool)
    row_starts = np.append(rows, study.n_images) * n_features
    feature_numbers = (pair_keys % n_features).astype(np.int32)
    fires = np.isin(pair_keys, firing)
    has_heatmap = np.isin(pair_keys, in_heatmap)
    nearest_held = np.where(held, nearest, -1)
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
        held = places >= 0
        names = ("features", "maps", "peaks", "floors")
        stored = StoredMaps(*(self.study.array(f"heatmap_{name}").rows(places[held]) for name in names))
        raw[held] = stored.restored() * stored.peaks[:, None, None]
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
