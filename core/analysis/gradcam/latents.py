"""Heatmaps of latents: their own activation at each position, without a gradient (docs/method.md 18.5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.bases.dictionary import NEAREST, normalisation
from core.encoders.registry import Encoder
from core.store import Study


class LatentEncoder:
    """An encoder whose features are the latents of a basis; in all else the encoder itself.

    Where the representation is the mean of a map, the pre-activation of an image's latent is the mean of
    those of its positions. So a latent's map is the pre-activation at each position, cut at 0.
    """

    def __init__(self, encoder: Encoder, study: Study):
        basis, whole = study.basis, Study(study.below or study.path)
        assert basis is not None
        self._encoder, self.n_features = encoder, int(basis.card["size"])
        self.norm = str(basis.card.get("normalisation") or "none")
        parts = {
            name: torch.from_numpy(whole.vector(basis.item(name)).astype(np.float32)).to(encoder.device)
            for name in ("encoder", "bias", "pre_bias")
        }
        self.rows = parts["encoder"]  # (M, r)
        self.constant = parts["bias"] - parts["encoder"] @ parts["pre_bias"]  # (M,)
        if basis.card.get("activation") == NEAREST:  # its bias compares centres, it says nothing of positions
            self.constant = -parts["encoder"] @ parts["pre_bias"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

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
