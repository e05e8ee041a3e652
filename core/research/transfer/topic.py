"""What the topic adds to the workbench, and its settings. No torch."""

from dataclasses import dataclass

from core.config.settings import option
from core.topics import Topic


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
    options={"compare of transfers": "core.research.transfer.analysis.compared_words:Transfers"},
    commands=("core.research.transfer.commands:add_transfer",),
)
