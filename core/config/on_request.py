"""The settings of what `analyze` leaves to a command of its own: one frozen dataclass per step or command."""

from __future__ import annotations

from dataclasses import dataclass, field

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
