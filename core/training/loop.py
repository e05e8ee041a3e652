"""What all trainings share: a state that can be resumed, and a loop whose stop loses nothing."""

import signal
import threading
import time
from pathlib import Path
from typing import Any

import torch

from core.common.inside import replacing
from core.study.progress import Progress
from core.training.files import read_state, refuse_other_settings

SAME = 2.0  # seconds; signals this close are one Ctrl-C, which torchrun forwards although all received it


class ResumableRun:
    """A training in progress, which goes on from a saved state to the same bits.

    The state is what `stateful` and KEPT name, and torch's own generators.

    Attributes:
        KEPT: attributes that the state holds as they are. settings: what a saved state must agree with.
        step: steps done. seconds: spent on them. losses: of the steps since the last evaluation.
        torn: True while a step is changing the state.
    """

    KEPT: tuple[str, ...] = ("step", "losses", "seconds")
    device = torch.device("cpu")

    def __init__(self, progress: Progress, state_path: Path, settings: dict[str, Any]) -> None:
        self.progress, self.state_path, self.settings = progress, state_path, settings
        self.step, self.seconds, self.torn = 0, 0.0, False
        self.losses: list[float] = []

    def stateful(self) -> dict[str, Any]:
        """Return the objects with a state of their own (`state_dict`, `load_state_dict`), by name."""
        raise NotImplementedError

    def advance(self) -> None:
        """Do one step."""
        raise NotImplementedError

    def review(self) -> None:
        """Do everything due after this step: log, weights, evaluation on held-out images."""
        raise NotImplementedError

    def agreed(self, stop: bool) -> bool:
        """Return True if any process was asked to stop."""
        return stop

    def save(self) -> None:
        """Write the state from which the training can be resumed."""
        cuda = [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else []
        state = {"settings": self.settings, "random": torch.get_rng_state(), "random_cuda": cuda}
        state |= {name: getattr(self, name) for name in self.KEPT}
        state |= {name: part.state_dict() for name, part in self.stateful().items()}
        with replacing(self.state_path, parents=True) as temporary:
            torch.save(state, temporary)

    def resume(self) -> bool:
        """Go on from the saved state; False if there is none.

        Raises:
            SettingsError: it has other settings. CheckpointError: it cannot be read.
        """
        state = read_state(self.state_path)
        if state is None:
            return False
        refuse_other_settings(self.state_path, state["settings"], self.settings)
        for name, part in self.stateful().items():
            part.load_state_dict(state[name])
        for name in self.KEPT:
            setattr(self, name, state[name])
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda" and state["random_cuda"]:
            torch.cuda.set_rng_state(state["random_cuda"][0], self.device)
        return True


def run_steps(run: ResumableRun, n_steps: int, progress: Progress, *, save_every: float) -> None:
    """Train an encoder up to step `n_steps`, saving every `save_every` minutes and on interruption.

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

    def __enter__(self) -> "GracefulInterrupt":
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
