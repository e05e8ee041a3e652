"""The outer loop of all trainings: progress, periodic saving, and a stop that loses nothing."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any, Protocol

from core.jobs.progress import Progress

SAME = 2.0  # seconds; signals this close are one Ctrl-C, which torchrun forwards although all received it


class TrainingLoop(Protocol):
    """A training in progress."""

    step: int  # steps done
    seconds: float  # spent on them
    torn: bool  # True while a step is changing the state

    def advance(self) -> None:
        """Do one step."""

    def review(self) -> None:
        """Do everything due after this step: log, weights, evaluation on held-out images."""

    def save(self) -> None:
        """Write the state from which the training can be resumed."""

    def agreed(self, stop: bool) -> bool:
        """Return True if any process was asked to stop."""
        ...


def run_steps(run: TrainingLoop, n_steps: int, progress: Progress, *, save_every: float) -> None:
    """Train up to step `n_steps`, saving every `save_every` minutes and on interruption.

    Ctrl-C waits for the end of the step, so that the saved state is consistent.
    """
    with progress.stage("train", total=n_steps, unit="steps") as bar, GracefulInterrupt() as interrupt:
        bar.skip(run.step)
        saved = time.monotonic()
        while run.step < n_steps:
            began = time.monotonic()
            try:
                run.advance()
            except KeyboardInterrupt:
                if not run.torn:
                    run.save()
                raise
            run.seconds += time.monotonic() - began
            bar.update(1)
            run.review()
            if run.agreed(interrupt.to_stop):
                run.save()
                raise KeyboardInterrupt
            if time.monotonic() - saved > 60 * save_every:
                run.save()
                saved = time.monotonic()


class GracefulInterrupt:
    """Context manager: the first Ctrl-C requests a graceful stop, a second one aborts."""

    def __enter__(self) -> GracefulInterrupt:
        self.to_stop, self.since = False, 0.0
        main = threading.current_thread() is threading.main_thread()
        self.ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self.ours:
            signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *_: Any) -> None:
        if self.ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _hear(self, *_: Any) -> None:
        if self.to_stop and time.monotonic() - self.since > SAME:
            raise KeyboardInterrupt
        self.to_stop, self.since = True, self.since or time.monotonic()
