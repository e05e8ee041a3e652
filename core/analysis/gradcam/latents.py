"""Heatmaps of latents: their own activation at each position, without a gradient (docs/method.md 18.5)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.bases.basis import PARTS
from core.bases.dictionary import MAGNITUDE, NEAREST, RAW_TOPK, Coder, Dictionary, normalisation
from core.encoders.readout.positions import position_maps
from core.encoders.registry import Encoder
from core.store import Study


def dictionary_of(study: Study) -> Dictionary:
    """The dictionary of the basis in which a study is read."""
    basis, whole = study.basis, Study(study.below or study.path)
    assert basis is not None
    parts: dict[str, Any] = {}
    for name in PARTS:
        if whole.has(basis.item(name)):
            parts[name] = whole.vector(basis.item(name)).astype(np.float32)
    about = basis.card
    return Dictionary(
        **parts, activation=about["activation"], k=about.get("k"), norm=about.get("normalisation") or "none"
    )


class LatentEncoder:
    """An encoder whose features are the latents of a basis; in all else the encoder itself.

    In a basis on positions, a latent's map is its code at each position. In one on pooled vectors: where the
    representation is the mean of a map, the pre-activation of an image's latent is the mean of
    those of its positions. So a latent's map is the pre-activation at each position, cut at 0.
    """

    def __init__(self, encoder: Encoder, study: Study):
        about = dictionary_of(study)
        self.of_units = encoder
        self._encoder, self.n_features, self.norm = encoder, about.size, about.norm
        self._coder = Coder(about, encoder.device)
        weights, card = self._coder.weights, study.basis.card if study.basis else {}
        self.on_positions, self._pool = card.get("on") == "positions", card.get("pool_codes")
        if self.on_positions:  # there are maps without a gradient, whatever the readout is
            self.pools_globally = True
        # On pooled vectors a map is a pre-activation, which is negative at some positions, cut at 0.
        self.nonnegative = self.on_positions and about.activation not in (MAGNITUDE, RAW_TOPK)
        self.rows = weights["encoder"]  # (M, r)
        self.constant = weights["bias"] - self.rows @ weights["pre_bias"]  # (M,)
        if about.activation == NEAREST:  # its bias compares centres, it says nothing of positions
            self.constant = -self.rows @ weights["pre_bias"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def represent(self, pixels: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 -> (B, M) codes; on positions, those of an image are pooled."""
        if self.on_positions:
            maps = [codes.flatten(1) for codes in self.code_maps(pixels)]
            return torch.stack([one.mean(1) if self._pool == "mean" else one.amax(1) for one in maps])
        codes = self._coder.encode(self._encoder.represent(pixels).float())
        dense = torch.zeros(codes.n, self.n_features, device=self._encoder.device)
        dense[codes.rows, codes.latents] = codes.values
        return dense

    def code_maps(self, pixels: Tensor) -> Iterator[Tensor]:
        """Yield the codes of each image's positions (M, h, w), for a basis on positions."""
        maps = position_maps(self._encoder, pixels)
        for map_ in maps:
            codes = self._coder.encode(map_.flatten(1).T.contiguous())
            dense = map_.new_zeros(self.n_features, codes.n)
            dense[codes.latents, codes.rows] = codes.values
            yield dense.unflatten(1, maps.shape[2:])

    def of_latents(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K) numbers -> their directions (B, K, r) and constants (B, K)."""
        return self.rows[numbers], self.constant[numbers]

    def of_sums(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """(K, M) weights of latents -> directions (1, K, r) and constants (1, K) of their weighted sums."""
        return (weights @ self.rows)[None], (weights @ self.constant)[None]

    def in_units_of(self, raw: Tensor, maps: Tensor) -> Tensor:
        """(B, r, h, w) maps, normalised as the dictionary normalises the vector of their image."""
        mean, scale = normalisation(raw, self.norm)
        return maps if self.norm == "none" else (maps - mean[..., None, None]) / scale[..., None, None]

    def normalised(self, raw: Tensor) -> Tensor:
        """(B, r) vectors as the dictionary normalises them."""
        mean, scale = normalisation(raw, self.norm)
        return raw if self.norm == "none" else (raw - mean) / scale
