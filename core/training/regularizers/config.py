"""Settings of the regulariser added to a training's loss. No torch; `penalty.py` implements them."""

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

    0.01 makes the Lasso term as large as lambda2's for batches of 64 to 128, where the two can be compared;
    `lambda-search` tries other values.
    """

    kind: str = "none"  # or "q" (Q-Score), "lasso"
    study: str | None = None  # study with the discriminative features D; its table `features` is read
    epsilon: float | None = None  # firing threshold in standard deviations; None: the study's
    lambda1: float = 1e-4  # weight of low Q-Scores
    lambda2: float = 1e-4  # weight of features that are active on much of the batch
    weight: float = 1e-2  # weight of the Lasso
    # The terms of eq. 3 that are divided by the 2N rows of a batch: none ("sum"), the reward ("printed") or
    # both ("mean"). Only "sum" lets [Q]'s search of lambda1 at lambda2 = 0 (Fig. A.8) have an effect at 1e-4.
    reading: str = "sum"


def check_regularizer(config: RegularizerConfig, *, start: str | None, frozen: bool) -> None:
    """Raise SettingsError for the first invalid value."""
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
            "regularizer.kind = 'q' needs discriminative features: give their study in regularizer.study."
        )
    if frozen and start is None:
        raise SettingsError("frozen = true keeps the weights of a start encoder: give one in start.")


def was_penalty_alone(settings: Mapping[str, Any]) -> bool:
    """Return True if stored settings use the first form of eq. 3, which had no `reading`.

    It counted images without a firing discriminative feature as Q = 0 in alpha. Only these images were then
    below alpha, so the reward was zero, and only the penalty of column norms was trained.
    """
    return settings.get("kind") == "q" and "reading" not in settings
