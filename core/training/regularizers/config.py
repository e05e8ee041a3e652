"""Settings of the regulariser added to a training's loss. No torch; `penalty.py` implements them."""

from dataclasses import dataclass

from core.config import option
from core.errors import SettingsError
from core.training.checks import NotNegative, NotNegativeOrNone, check_settings

KINDS = ("none", "q", "lasso")
READINGS = ("sum", "printed", "mean")


@dataclass(frozen=True)
class RegularizerConfig:
    """The regulariser (docs/method.md 7.2). Both lambdas are from Kalibhat 2024; the Lasso's weight is ours.

    0.01 makes the Lasso term as large as lambda2's for batches of 64 to 128, where the two can be compared.
    """

    kind: str = option(
        "regulariser: q (Q-Score), lasso or none", "none", choices=KINDS, flags=("--regularizer",)
    )
    study: str | None = None  # whose discriminative features D are meant; its table `features` is read
    epsilon: NotNegativeOrNone = None  # firing threshold in standard deviations; None: the study's
    lambda1: NotNegative = option("weight of the term that raises low Q-Scores", 1e-4, metavar="L")
    lambda2: NotNegative = option(
        "weight of the penalty on features that are active on much of a batch", 1e-4, metavar="L"
    )
    weight: NotNegative = option("weight of the Lasso", 1e-2, metavar="L")
    # What eq. 3 divides by the 2N rows of a batch: nothing ("sum"), the reward ("printed") or both terms
    # ("mean"). Only "sum" lets the paper's search of lambda1 at lambda2 = 0 (Fig. A.8) matter at 1e-4.
    reading: str = option(
        "what the regulariser q divides by the number of rows in a batch: nothing (sum), the reward "
        "(printed) or both terms (mean)",
        "sum",
        choices=READINGS,
    )


def check_regularizer(config: RegularizerConfig, *, start: str | None, frozen: bool) -> None:
    """Raise SettingsError for the first value that cannot work."""
    check_settings(config, prefix="regularizer.")
    if config.kind == "q" and config.study is None:
        raise SettingsError(
            "regularizer.kind = 'q' needs discriminative features: give their study in regularizer.study."
        )
    if frozen and start is None:
        raise SettingsError("frozen = true keeps the weights of a start encoder: give one in start.")
