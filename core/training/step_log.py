"""What a method says of every step: OUTPUT.steps.csv, a line a step, and the means of an epoch."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from core.training import files


class StepLog:
    """Collects the numbers of an epoch's steps and writes them when it ends.

    Attributes:
        rows: the epoch under way; part of the state that a later sitting goes on from.
    """

    def __init__(self, output: Path, *, writes: bool):
        self.path, self.writes = files.steps_path(output), writes
        self.rows: list[dict[str, float]] = []

    def begin(self, step: int) -> None:
        """Forget what is written of steps after those of `rows`, the last of which is `step`."""
        if not self.writes or not self.path.exists():
            return
        last = step - len(self.rows)
        with open(self.path, newline="", encoding="utf-8") as file:
            kept = [row for row in csv.DictReader(file) if _number(row.get("step")) <= last]
        self.path.unlink()
        if kept:
            self._append(kept)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Remember the numbers of a step; none is fine."""
        if values:
            self.rows.append({"step": step, **values})

    def end_epoch(self) -> dict[str, float]:
        """Write the epoch's steps; returns their means, to five digits, NaN left out."""
        rows, self.rows = self.rows, []
        if not rows:
            return {}
        if self.writes:
            self._append(rows)
        means = {}
        for name in rows[0]:
            known = [row[name] for row in rows if np.isfinite(row[name])]
            if name != "step" and known:
                means[name] = float(f"{np.mean(known):.5g}")
        return means

    def _append(self, rows: list) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            if file.tell() == 0:
                writer.writeheader()
            writer.writerows(rows)
            file.flush()
            os.fsync(file.fileno())


def _number(text: str | None) -> float:
    """The number in a cell; infinity for a line that was cut off."""
    try:
        return float(text or "inf")
    except ValueError:
        return float("inf")
