"""Maps that `embed` keeps while the encoder reads the images, for `heatmaps` to take (docs/method.md 4.3)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from core.analysis.gradcam import CLOSED, method_of, scaled_maps
from core.encoders.fast_inference import FULL, REDUCED, working_dtype
from core.encoders.registry import Encoder
from core.study.stored_heatmaps import TOP, BatchMaps, MapScratch, StoredMaps, kept_per_image, pack_maps

CLOSE, SHARE = 1e-2, 0.99  # of values in bfloat16 to those in float32
COMPARED, STRONGEST = 8, 16  # images, and features of each
PRECISE = (0, 1 / 4, 3 / 8, 1 / 2)  # of the products of a network, the last ones


class MapKeeper:
    """Packs the maps of each batch: all of them, or of each image its strongest features.

    Beside these, of every feature, those of the images on which it is largest among all images so far: so the
    first images of each feature have theirs at the end, whichever processes shared the images.

    Args:
        n_images: of the study. n_positions: of a map. precision: in which maps are made.
    Attributes:
        apart: the encoder's own precision is another, so that maps take a second pass over the same pictures.
    """

    def __init__(
        self, scratch: MapScratch, encoder: Encoder, n_images: int, n_positions: int, precision: str
    ):
        self.scratch, self.encoder, self.precision = scratch, encoder, precision
        self.apart = is_apart(encoder, precision)
        self.n_strongest = kept_per_image(n_images, encoder.n_features, n_positions)
        self._largest = torch.full((TOP, encoder.n_features), -torch.inf)
        scratch.begin()

    def keep(self, rows: Sequence[int], raw: Tensor, maps: Tensor) -> None:
        """Store the maps of a batch.

        Args:
            rows: listing rows of the images, ascending.
            raw: (B, n_features) float32. maps: (B, n_features, h, w) float32, of the encoder's layer.
        """
        map_features, strongest = self._choose(raw.cpu())
        packed: list[StoredMaps] = []
        for image, features in enumerate(map_features):
            of_image = scaled_maps(maps[image : image + 1], self.encoder)[0]
            packed.append(pack_maps(features, of_image[torch.from_numpy(features)].cpu().numpy()))
        features, relief, peaks, floors = (np.concatenate(part) for part in zip(*packed, strict=True))
        counts = np.array([len(feature) for feature in map_features], np.int32)
        is_strongest = np.concatenate(strongest)
        self.scratch.put(
            BatchMaps(np.asarray(rows, np.int64), counts, features, is_strongest, relief, peaks, floors)
        )

    def _choose(self, raw: Tensor) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return for each image the features whose maps are kept, ascending, and which are its strongest."""
        n_images, n_features = raw.shape
        if self.n_strongest == n_features:
            every = np.arange(n_features, dtype=np.int32)
            return [every] * n_images, [np.ones(n_features, bool)] * n_images
        is_strongest = torch.zeros(n_images, n_features, dtype=torch.bool)
        is_strongest.scatter_(1, raw.topk(self.n_strongest, dim=1).indices, True)
        is_kept = is_strongest | self._among_first(torch.nn.functional.normalize(raw, dim=1))
        map_features = [torch.nonzero(one)[:, 0].numpy().astype(np.int32) for one in is_kept]
        return map_features, [
            of_image[torch.from_numpy(features).long()].numpy()
            for of_image, features in zip(is_strongest, map_features, strict=True)
        ]

    def _among_first(self, h: Tensor) -> Tensor:
        """(B, n_features) bool: where an image is among the TOP largest of a feature so far; ties count."""
        self._largest = torch.cat([self._largest, h]).topk(TOP, dim=0).values
        return h >= self._largest[-1]


def settle_precision(encoder: Encoder, pixels: Tensor) -> str:
    """Choose the precision in which an encoder makes Grad-CAM maps, and of its last products.

    Close: of the maps of the STRONGEST features of each image, scaled to [0, 1] as they are stored, SHARE of
    the values differ by at most CLOSE from those of float32. Where the maps of the encoder's own precision
    are not, the last of its products are tried in single precision, by PRECISE shares (docs/method.md 4.3).

    Args:
        pixels: (B, S, S, 3) uint8, of some images of the study.
    Returns:
        The encoder's `precision`, whose `n_precise` is set; or "float32", where its maps are close with none.
    """
    reduced = encoder.precision
    if reduced not in REDUCED or method_of(encoder) != CLOSED:
        return FULL
    encoder.precision = FULL
    raw, full_maps = encoder.represent_with_map(pixels)
    encoder.precision = reduced
    strongest = raw.topk(min(STRONGEST, encoder.n_features), dim=1).indices[:, :, None, None]
    full_relief = _relief(full_maps, strongest, encoder)
    n_products = len(encoder.products())
    for share in PRECISE:
        encoder.end_precisely(round(share * n_products))
        relief = _relief(encoder.represent_with_map(pixels)[1], strongest, encoder)
        if _share_close(relief, full_relief) >= SHARE:
            return reduced
    encoder.end_precisely(0)
    return FULL


def _share_close(values: Tensor, others: Tensor) -> float:
    return float(((values - others).abs() <= CLOSE).float().mean())


def _relief(maps: Tensor, features: Tensor, encoder: Encoder) -> Tensor:
    """Maps of selected features, each scaled to [0, 1]; a flat one is 0."""
    picked = torch.take_along_dim(scaled_maps(maps, encoder), features, dim=1)
    low, high = picked.amin((2, 3), keepdim=True), picked.amax((2, 3), keepdim=True)
    return (picked - low) / torch.where(high > low, high - low, 1)


def is_apart(encoder: Encoder, precision: str) -> bool:
    """Whether Grad-CAM maps have another precision than representations, so are no by-product of these."""
    return encoder.dtype != working_dtype(precision, encoder.device)


def map_keeper(scratch: MapScratch, encoder: Encoder, n_images: int, precision: str) -> MapKeeper | None:
    """Return what keeps Grad-CAM maps while embedding; None where `heatmaps` reads its pictures again.

    That is so where there is no closed form, where a map has one position, and where maps are made in another
    precision than representations and are too many for all to be kept: most would be made in vain.
    """
    if method_of(encoder) != CLOSED:
        return None
    sides = encoder.transform.sides
    native = encoder.represent_with_map(torch.zeros(1, *sides, 3, dtype=torch.uint8))[1].shape
    n_positions = int(native[2] * native[3])
    keeps_all = kept_per_image(n_images, encoder.n_features, n_positions) == encoder.n_features
    if n_positions == 1 or (is_apart(encoder, precision) and not keeps_all):
        return None
    return MapKeeper(scratch, encoder, n_images, n_positions, precision)
