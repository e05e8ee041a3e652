"""A tiny encoder with planted weights: each feature is a hue, and fires where that hue is."""

from __future__ import annotations

import colorsys

import torch
from torch import Tensor, nn

from core.encoders.encoder import Encoder
from core.encoders.transform import Transform

HUES = 32
SIZE, CELL = 48, 6  # pixels of the input frame, and of one cell of a map


class Hues(nn.Module):
    """(B, 3, SIZE, SIZE) -> (B, HUES): the mean over the picture of how much of each hue is where."""

    def __init__(self) -> None:
        super().__init__()
        hues = torch.tensor([colorsys.hsv_to_rgb(number / HUES, 1, 1) for number in range(HUES)])
        conv = nn.Conv2d(3, HUES, 1)
        conv.weight.data = (hues - hues.mean(1, keepdim=True)).reshape(HUES, 3, 1, 1)
        conv.bias = nn.Parameter(torch.full((HUES,), -0.25))  # pale grounds are of no hue
        self.look = nn.Sequential(nn.AvgPool2d(CELL), conv, nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.pool(self.look(pixels)).flatten(1)


def hues() -> Encoder:
    """A factory, as `--encoder python:tests.planted_encoder:hues` names it."""
    transform = Transform(None, SIZE, mean=(0.0,) * 3, std=(1.0,) * 3)
    return Encoder(Hues(), transform, arch="hues", layer="look", assumptions=["planted hues"])
