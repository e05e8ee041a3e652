"""The outer loop that trainings share: progress, states saved now and then, and a stop that loses nothing."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any, Protocol

from core.jobs.progress import Progress

SAME = 2.0  # seconds within which signals are one Ctrl-C: torchrun passes on what the terminal sent to all


class Sitting(Protocol):
    """A training under way."""

    step: int  # steps done
    seconds: float  # spent in them
    torn: bool  # a step has begun to change things and has not ended

    def advance(self) -> None:
        """Do one step."""

    def review(self) -> None:
        """Whatever is due after this step: a log, weights, a look at held-out images."""

    def save(self) -> None:
        """Write the state from which a later sitting goes on."""

    def agreed(self, stop: bool) -> bool:
        """Whether any process was asked to stop."""
        ...


def run_steps(run: Sitting, n_steps: int, progress: Progress, *, save_every: float) -> None:
    """Train up to step `n_steps`, saving every `save_every` minutes and when interrupted.

    Ctrl-C waits for the end of the step, so that the saved state is that of a whole one.
    """
    with progress.stage("train", total=n_steps, unit="steps") as bar, GracefulInterrupt() as wish:
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
            if run.agreed(wish.to_stop):
                run.save()
                raise KeyboardInterrupt
            if time.monotonic() - saved > 60 * save_every:
                run.save()
                saved = time.monotonic()


class GracefulInterrupt:
    """While it is open, the first Ctrl-C is a wish to stop; a later one stops at once."""

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
