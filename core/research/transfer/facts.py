"""What the summary of the command `transfer` may say. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.common.step_facts import StepFacts


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
