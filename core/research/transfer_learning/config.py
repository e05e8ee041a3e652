"""The settings of the step `few-shot`. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.config.settings import option
from core.errors import SettingsError


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


def check_few_shot_options(options: Mapping[str, Any]) -> None:
    """Check the numbers of images before any work is done."""
    for shots in options.get("shots", ()):
        if shots < 1:
            raise SettingsError(f"--shots {shots}: at least one image of each class is needed")
    if "shots" in options and not options["shots"]:
        raise SettingsError("--shots needs at least one number of images, as in --shots 5,10")
    if not options.get("lr", 1.0) > 0:
        raise SettingsError(f"--lr {options['lr']:g}: expected a number above 0, e.g. 0.1")
