"""What a training may add to its loss, as settings. Free of torch; `penalty.py` does what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import SettingsError, did_you_mean

KINDS = ("none", "q", "lasso")
READINGS = ("sum", "printed", "mean")


@dataclass(frozen=True)
class RegularizerConfig:
    """The regulariser (docs/method.md 7.2). Both lambdas are [Q]'s; the Lasso's weight is ours.

    0.01 gives the Lasso a term of the size of lambda2's at batches of 64 to 128, where the two can be
    compared; `lambda-search` tries others.
    """

    kind: str = "none"  # or "q" (Q-Score), "lasso"
    study: str | None = None  # whose discriminative features D are meant; its table `features` is read
    epsilon: float | None = None  # firing threshold in standard deviations; None: the study's
    lambda1: float = 1e-4  # of low Q-Scores
    lambda2: float = 1e-4  # of features that are active on much of the batch
    weight: float = 1e-2  # of the Lasso
    # What eq. 3 divides by the 2N rows of a batch: nothing ("sum"), the reward ("printed") or both terms
    # ("mean"). Only "sum" lets [Q]'s search of lambda1 at lambda2 = 0 (Fig. A.8) have an effect at 1e-4.
    reading: str = "sum"


def check_regularizer(config: RegularizerConfig, *, start: str | None, frozen: bool) -> None:
    """Raise SettingsError for the first value that cannot work."""
    if config.kind not in KINDS:
        hint = did_you_mean(config.kind, KINDS)
        raise SettingsError(f"regularizer.kind = '{config.kind}' must be none, q or lasso.{hint}")
    if config.reading not in READINGS:
        hint = did_you_mean(config.reading, READINGS)
        raise SettingsError(f"regularizer.reading = '{config.reading}' must be sum, printed or mean.{hint}")
    for name in ("lambda1", "lambda2", "weight"):
        if not 0 <= getattr(config, name) < float("inf"):
            raise SettingsError(f"regularizer.{name} = {getattr(config, name)} must be 0 or more.")
    if config.epsilon is not None and not config.epsilon >= 0:
        raise SettingsError(f"regularizer.epsilon = {config.epsilon} must be 0 or more.")
    if config.kind == "q" and config.study is None:
        raise SettingsError(
            "regularizer.kind = 'q' needs discriminative features: name their study in regularizer.study."
        )
    if frozen and start is None:
        raise SettingsError("frozen = true keeps the weights of a start encoder: name one in start.")


def was_penalty_alone(settings: Mapping[str, Any]) -> bool:
    """Whether stored settings are of the first form of eq. 3, which had no `reading`.

    It counted images without a firing discriminative feature as Q = 0 in alpha. The images below alpha were
    then these alone, so the reward was zero and what trained was the penalty of column norms.
    """
    return settings.get("kind") == "q" and "reading" not in settings
