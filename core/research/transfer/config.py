"""The settings of `transfer`. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.config.settings import option


@dataclass(frozen=True)
class TransferConfig:
    """Concepts carried from one study to another over the same images (docs/method.md 6.9)."""

    lr: float = field(default=1.0, metadata=option("learning rate of the linear map", metavar="LR"))
    batch_size: int = 256
    error: str = "sum over features"  # earlier versions have no such setting: they averaged
    epochs: int = field(
        default=10, metadata=option("training epochs of the linear map", metavar="N", minimum=1)
    )
    n_std: float = 4.0  # a weight above mean + n_std std of all of Z maps one feature to another
    penalty: float = 1e-4  # of the ridge, on mean squared errors of normalised rows
    seed: int = field(default=0, metadata=option("random seed of the order of rows", metavar="N"))
