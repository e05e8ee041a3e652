"""The settings of the step `mask-interventions`. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.config.settings import option


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
