"""The settings of what `analyze` leaves to a command of its own: one frozen dataclass per step or command."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.config.analysis import MAP_METHODS
from core.config.settings import option


@dataclass(frozen=True)
class FewShotConfig:
    """Probes on a few images of each class (docs/method.md 3.5)."""

    shots: tuple[int, ...] = field(  # Kalibhat, dissertation, Table 5.2
        default=(5, 10),
        metadata=option(
            "train images of each class; several numbers are tried in turn",
            metavar="N[,N]",
            unit="numbers of images",
        ),
    )
    draws: int = field(
        default=10, metadata=option("how often these images are drawn", metavar="N", minimum=1)
    )
    lr: float = field(default=0.1, metadata=option("learning rate of the probes", metavar="LR"))
    seed: int = field(default=0, metadata=option("random seed of the draws", metavar="N"))


@dataclass(frozen=True)
class DomainTestsConfig:
    """Tests of what representations tell of the domain of an image (docs/method.md 14.3)."""

    column: str = field(
        default="",
        metadata=option(
            "column of the image table that names the domain of an image, such as style", metavar="NAME"
        ),
    )
    unseen: tuple[str, ...] | None = field(
        default=None,
        metadata=option(
            "domains that the encoder was not trained on; no probe of several domains learns from them",
            metavar="A,B",
            default="none",
        ),
    )
    prefix: int | None = field(
        default=None,
        metadata=option(
            "features of the domain prefix, the first of a representation",
            metavar="K",
            default="that of the encoder's training",
        ),
    )
    method: str = field(
        default="pca",
        metadata=option(
            "map of each part; umap is added to pca and needs the package umap-learn", choices=MAP_METHODS
        ),
    )
    sample: int = field(
        default=50_000,
        metadata=option("train and evaluation images that the tests read, each", metavar="N", minimum=1),
    )
    seed: int = field(default=0, metadata=option("random seed of sample, probes and maps", metavar="N"))


@dataclass(frozen=True)
class MaskInterventionsConfig:
    """Object and background altered by mask, and what features make of it (docs/method.md 5.4)."""

    sample: int = field(
        default=300,
        metadata=option("evaluation images with a mask that are altered", metavar="N", minimum=2),
    )
    bootstrap: int = field(
        default=1000,
        metadata=option("bootstrap resamples for the confidence intervals", metavar="N", minimum=1),
    )
    seed: int = field(
        default=0, metadata=option("random seed of sample, donors, control masks and bootstrap", metavar="N")
    )


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
