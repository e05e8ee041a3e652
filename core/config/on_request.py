"""The settings of what `analyze` leaves to a command of its own: one frozen dataclass per step or command."""

from __future__ import annotations

from dataclasses import dataclass

from core.config.settings import option


@dataclass(frozen=True)
class FewShotConfig:
    """Probes on a few images of each class (docs/method.md 3.5)."""

    # Kalibhat, dissertation, Table 5.2
    shots: tuple[int, ...] = option(
        "train images of each class; several numbers are tried in turn",
        (5, 10),
        metavar="N[,N]",
        unit="numbers of images",
    )
    draws: int = option("how often these images are drawn", 10, metavar="N", minimum=1)
    lr: float = option("learning rate of the probes", 0.1, metavar="LR")
    seed: int = option("random seed of the draws", 0, metavar="N")
