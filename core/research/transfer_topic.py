"""What the topic adds to the workbench, its settings, and what its summary says. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.common.step_facts import StepFacts
from core.common.topics import Topic
from core.config.settings import option

# What the summary of the command `transfer` may say. No torch.


@dataclass(frozen=True)
class TransferFacts(StepFacts):
    """Words transferred from another study.

    Attributes:
        source, source_name: its folder, and the name of that. explained_share: of it, by the map of each
            method; a method without a number explains nothing. ridge, sgd: what is said of each method.
    """

    step = "transfer"
    source: str = ""
    source_name: str = ""
    explained_share: Mapping[str, float] = field(default_factory=dict)
    ridge: Mapping[str, Any] | None = None
    sgd: Mapping[str, Any] | None = None


# What the topic adds to the workbench, and its settings. No torch.


@dataclass(frozen=True)
class TransferConfig:
    """Concepts carried from one study to another over the same images (docs/method.md 6.9)."""

    lr: float = option("learning rate of the linear map", 1.0, metavar="LR", above=0)
    batch_size: int = 256
    error: str = "sum over features"  # earlier versions have no such setting: they averaged
    epochs: int = option("training epochs of the linear map", 10, metavar="N", minimum=1)
    n_std: float = 4.0  # a weight above mean + n_std std of all of Z maps one feature to another
    penalty: float = 1e-4  # of the ridge, on mean squared errors of normalised rows
    seed: int = option("random seed of the order of rows", 0, metavar="N", minimum=0)


TOPIC = Topic(
    options={"compare of transfers": "core.research.transfer_compared_words:Transfers"},
    commands=("core.research.transfer_commands:add_transfer",),
)
