"""Networks of one channel, for pictures in grey: their first convolution reads colours as Pillow's grey."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from core.encoders.assumptions import assumed
from core.encoders.layouts import Layout

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's mode L


def in_three_channels(layout: Layout, expected: Mapping[str, Tensor]) -> Layout:
    """A checkpoint's layout whose first convolution of one channel reads three: colours count as grey.

    With one mean and one standard deviation of all channels, w (.299 r + .587 g + .114 b) is what the network
    computes of the grey picture, but for the rounding of grey to 8 bits.

    Args:
        expected: the tensors of the network, which reads three channels.
    """
    for key, tensor in layout.state.items():
        shape = expected.get(key)
        if shape is None or tensor.ndim != 4 or tensor.shape[1] != 1 or shape.shape[1] != 3:
            continue
        if tensor.shape[0] == shape.shape[0] and tensor.shape[2:] == shape.shape[2:]:
            wide = tensor.float() * torch.tensor(LUMA).view(1, 3, 1, 1)
            note = assumed("one_channel", what=key)
            return replace(layout, state={**layout.state, key: wide}, notes=(*layout.notes, note))
    return layout
