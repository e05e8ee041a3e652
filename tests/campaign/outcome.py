"""What a row of the campaign counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass
class Outcome:
    """Counts of one kind of fault.

    Attributes:
        tried: faults. refused: those that a command or a reader answered with its one line.
        lost: after them the same command did not end with the same bytes.
        wrong: another exception than one with a message for the user, a fault that `verify` does not name, or
            an answer that no visitor may have.
        lines: refusals that were not one line. note: what was hit. examples: of what is not as it should be.
    """

    tried: int = 0
    refused: int = 0
    lost: int = 0
    wrong: int = 0
    lines: int = 0
    note: str = ""
    examples: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not (self.lost or self.wrong or self.lines)

    def went_wrong(self, example: str) -> None:
        self.wrong += 1
        self.examples.append(example)

    def said(self, stderr: str, example: str) -> None:
        """Count a refusal, and whether it was one line."""
        errors = [line for line in stderr.splitlines() if line.startswith("error:")]
        self.refused += 1
        if len(errors) != 1 or "Traceback" in stderr or "this is a bug" in errors[0]:
            self.lines += 1
            self.examples.append(f"{example}: {stderr[-300:]}")


Row = Callable[[np.random.Generator, int, Path], Outcome]  # (chance, how many, an empty folder)
