"""The settings of the step `mask-interventions`. No torch."""

from dataclasses import dataclass

from core.config.settings import option


@dataclass(frozen=True)
class MaskInterventionsConfig:
    """Object and background altered by mask, and what features make of it (docs/method.md 5.4)."""

    sample: int = option("evaluation images with a mask that are altered", 300, metavar="N", minimum=2)
    bootstrap: int = option("bootstrap resamples for the confidence intervals", 1000, metavar="N", minimum=1)
    seed: int = option(
        "random seed of sample, donors, control masks and bootstrap", 0, metavar="N", minimum=0
    )
