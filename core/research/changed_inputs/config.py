"""The settings of `perturbed` and `robust-features`. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.config.settings import option


@dataclass(frozen=True)
class PerturbedConfig:
    """Neighbours of perturbed embeddings (docs/method.md 17.6)."""

    epsilons: tuple[float, ...] = field(
        default=(0.0, 0.1, 0.2, 1.0), metadata=option("sizes of the move", metavar="A,B")
    )
    pairs: int = field(default=500, metadata=option("pairs of images", metavar="N", minimum=1))
    seed: int = field(default=0, metadata=option("random seed of pairs and views", metavar="N"))


@dataclass(frozen=True)
class RobustConfig:
    """Robust and non-robust features (docs/method.md 17.7), with the paper's step."""

    step: float = field(default=0.01, metadata=option("step in pixels of [0, 1]", metavar="S"))
    steps: int = field(default=50, metadata=option("most steps of an image", metavar="N", minimum=1))
    images: int = field(
        default=2000, metadata=option("train images that are changed", metavar="N", minimum=2)
    )
    other_target: bool = field(default=False, metadata=option("draw targets among the other classes only"))
    seed: int = field(default=0, metadata=option("random seed of images and targets", metavar="N"))
