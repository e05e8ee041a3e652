"""What the topic adds to the workbench, its settings, and what its summaries say. No torch."""

from dataclasses import dataclass

from core.common.step_facts import StepFacts
from core.common.topics import Topic
from core.config.settings import option

# What the summary of the step `perturbed` may say. No torch.


@dataclass(frozen=True)
class PerturbedFacts(StepFacts):
    """Where points were moved: space is the output of the "head" of a training, or of the "backbone"."""

    step = "perturbed"
    space: str = "head"


# What the topic adds to the workbench, and its settings. No torch.


@dataclass(frozen=True)
class PerturbedConfig:
    """Neighbours of perturbed embeddings (docs/method.md 17.6)."""

    epsilons: tuple[float, ...] = option("sizes of the move", (0.0, 0.1, 0.2, 1.0), metavar="A,B")
    pairs: int = option("pairs of images", 500, metavar="N", minimum=1)
    seed: int = option("random seed of pairs and views", 0, metavar="N", minimum=0)


@dataclass(frozen=True)
class RobustConfig:
    """Robust and non-robust features (docs/method.md 17.7), with the paper's step."""

    step: float = option("step in pixels of [0, 1]", 0.01, metavar="S", above=0)
    steps: int = option("most steps of an image", 50, metavar="N", minimum=1)
    images: int = option("train images that are changed", 2000, metavar="N", minimum=2)
    other_target: bool = option("draw targets among the other classes only", False)
    seed: int = option("random seed of images and targets", 0, metavar="N", minimum=0)


TOPIC = Topic(
    items={
        "perturbed": ("head_vectors", "head_views", "perturbed", "perturbed_neighbours"),
        "robust-features": ("robust_features",),
    },
    commands=(
        "core.research.changed_inputs_commands:add_perturbed",
        "core.research.changed_inputs_commands:add_robust_features",
    ),
    charts=(
        "core.research.changed_inputs_figures:PERTURBED_SHEET",
        "core.research.changed_inputs_figures:ROBUST_BARS",
    ),
)
