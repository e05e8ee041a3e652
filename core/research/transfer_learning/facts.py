"""What the summaries of the steps `few-shot` and `accuracy` may say. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.common.step_facts import StepFacts


@dataclass(frozen=True)
class ShotsFacts:
    """Probes on so many images a class: mean and 95 % interval over the draws, None for few draws.

    Attributes:
        left_out: names of the classes with too few images.
    """

    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class FewShotFacts(StepFacts):
    """Probes on a few images of each class, by the number of images as text."""

    step = "few-shot"
    shots: Mapping[str, ShotsFacts] = field(default_factory=dict)


@dataclass(frozen=True)
class SameImages:
    """Digests of the images that are alike in two studies whose draws are pairs."""

    known: str = ""
    new: str = ""


@dataclass(frozen=True)
class AccuracyFacts(StepFacts):
    """The accuracy of another study's probe, estimated without labels; None where unknown.

    Attributes:
        source_name: the study of the probe. by: the method that was chosen. margin … noise_copies: as the
            columns of `accuracy_estimates` (`compared_estimates.OF_STUDY`).
    """

    step = "accuracy"
    source_name: str = ""
    n_images: int = 0
    by: str = ""
    margin: float | None = None
    error: float | None = None
    error_assumed: float | None = None
    noise: float | None = None
    truth: float | None = None
    n_slices: int | None = None
    n_copies: int | None = None
    noise_slices: float | None = None
    noise_copies: float | None = None
    of_images: SameImages = SameImages()
