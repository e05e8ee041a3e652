"""What the summary of the step `perturbed` may say. No torch."""

from dataclasses import dataclass

from core.common.step_facts import StepFacts


@dataclass(frozen=True)
class PerturbedFacts(StepFacts):
    """Where points were moved: space is the output of the "head" of a training, or of the "backbone"."""

    step = "perturbed"
    space: str = "head"
