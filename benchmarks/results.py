"""One measured figure with its goal, and peak memory of a piece of work in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """A figure; `goal` is a lower bound for ratios ('>='), an upper bound for the rest ('<=')."""

    name: str
    value: float
    unit: str
    goal: float
    at_least: bool
    detail: str

    @property
    def holds(self) -> bool:
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def as_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "goal": f"{'>=' if self.at_least else '<='} {self.goal:g}",
            "holds": self.holds,
        }

    def line(self) -> str:
        verdict = "holds" if self.holds else "MISSED"
        goal = f"{'>=' if self.at_least else '<='} {self.goal:g}"
        return f"{self.name:<34} {self.value:>9.3g} {self.unit:<6} goal {goal:<8} {verdict:<7} {self.detail}"


@dataclass(frozen=True)
class Absent:
    """A figure that could not be measured here, and why."""

    name: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        return {**dict.fromkeys(("value", "unit", "goal", "holds")), "name": self.name, "detail": self.reason}

    def line(self) -> str:
        return f"{self.name:<34} {'-':>9} {'':<6} {'':<13} {'absent':<7} {self.reason}"


def in_own_process(module: str, *arguments: str) -> dict[str, Any]:
    """Run `python -m module arguments…` and return the JSON object that it prints last."""
    run = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"{module} failed:\n{run.stderr[-2000:]}")
    return json.loads(run.stdout.strip().splitlines()[-1])


def peak_bytes() -> int:
    """The most memory that this process has held so far (resident set, Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
