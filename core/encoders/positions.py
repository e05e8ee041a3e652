"""Vectors of positions, as an encoder's readout has them before pooling (docs/method.md 18.6)."""

from __future__ import annotations

import torch
from torch import Tensor

from core.encoders.encoder import Encoder
from core.encoders.layers import as_map
from core.encoders.tokens import all_tokens, token_parts


@torch.no_grad()
def position_maps(encoder: Encoder, pixels: Tensor) -> Tensor:
    """Compute the vectors of all positions of some images, on their grid.

    Where the representation is a pooled map, these are the positions of that map. Where it follows a token
    rule, also that of a CLS token, they are the patch tokens, after the final norm if the rule applies it to
    tokens. For any other encoder they are the positions of the layer of its heatmaps.

    Args:
        pixels: (B, S, S, 3) uint8.
    Returns:
        (B, C, h, w) float32 on the encoder's device; C need not be the width of a representation.
    """
    rule, parts = encoder.token_rule, token_parts(encoder.base)
    if rule is None or parts is None:
        return encoder.represent_with_map(pixels)[1]
    x = encoder.normalise(pixels)
    tokens = all_tokens(encoder.base, parts, x)
    if rule.norm == "after" and parts.norm is not None and not parts.norms_vectors:
        tokens = parts.norm(tokens)
    return as_map(tokens, parts.last, encoder.base, encoder.family, x.shape[2:]).float()
