"""A budget of minutes, and commands that end within it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PATIENCE = 60.0  # seconds that a command has to end after Ctrl-C, before it is killed
DONE, FAILED, STOPPED = "done", "failed", "stopped"


class Clock:
    """How much of a budget is left."""

    def __init__(self, minutes: float) -> None:
        self.end = time.monotonic() + 60 * minutes

    @property
    def left(self) -> float:
        """Seconds; 0 when the budget is spent."""
        return max(0.0, self.end - time.monotonic())


def run_within(words: Sequence[str], log: Path, seconds: float, **environment: str) -> str:
    """Run `python words…`, its output added to a log; return DONE, FAILED or STOPPED.

    After `seconds` it gets a Ctrl-C, with which a training saves its state.
    """
    if seconds <= 0:
        return STOPPED
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"$ python {' '.join(words)}\n")
        file.flush()
        child = subprocess.Popen(
            [sys.executable, *words],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            preexec_fn=_hear_interrupts,
        )
        try:
            return DONE if child.wait(seconds) == 0 else FAILED
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
        finally:
            _end(child)
    return STOPPED


def _hear_interrupts() -> None:
    """A command in the background of a shell ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
