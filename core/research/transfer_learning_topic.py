"""What the topic adds to the workbench, its settings, and what its summaries say. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.common.step_facts import StepFacts
from core.common.topics import Topic
from core.config.settings import option
from core.config.step import Step
from core.errors import SettingsError

# What the summaries of the steps `few-shot` and `accuracy` may say. No torch.


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


# What the topic adds to the workbench, and the settings of its step. No torch.


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
    lr: float = option("learning rate of the probes", 0.1, metavar="LR", above=0)
    seed: int = option("random seed of the draws", 0, metavar="N", minimum=0)


def _check_few_shot_options(options: Mapping[str, Any]) -> None:
    """Check the numbers of images of few-shot probes (research) before any work is done."""
    for shots in options.get("shots", ()):
        if shots < 1:
            raise SettingsError(f"--shots {shots}: at least one image of each class is needed")
    if "shots" in options and not options["shots"]:
        raise SettingsError("--shots needs at least one number of images, as in --shots 5,10")
    if not options.get("lr", 1.0) > 0:
        raise SettingsError(f"--lr {options['lr']:g}: expected a number above 0, e.g. 0.1")


ESTIMATES = "core.research.transfer_learning_estimates:ComparedEstimates"

TOPIC = Topic(
    steps=(
        Step(
            name="few-shot",
            title="Few-shot accuracy",
            doing="Training probes on a few images of each class",
            summary="measure the accuracy of probes that are trained on a few images of each class",
            example="few-shot studies/mine --shots 5,10 --draws 10",
            config=FewShotConfig,
            function="core.research.transfer_learning_few_shot:compute_few_shot",
            inputs=("representations", "images"),
            needs=("embed",),
            outputs=("few_shot",),
            needs_labels=True,
            check=_check_few_shot_options,
            on_request=True,
        ),
    ),
    options={"compare of estimates": ESTIMATES},
    commands=("core.research.transfer_learning_commands:add_transfer_probe",),
)
