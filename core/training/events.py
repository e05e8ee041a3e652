"""Write TensorBoard event files: loss and rate of every step, and every epoch's row of the log."""

import shutil
from pathlib import Path
from typing import Any

from core.errors import SettingsError

EVENTS = ".tensorboard"  # folder beside the weights: `tensorboard --logdir OUTPUT.tensorboard`


def events_path(output: Path) -> Path:
    return output.with_name(output.name + EVENTS)


class Events:
    """Write to OUTPUT.tensorboard, or nowhere.

    Args:
        step: the training goes on after this one; what an earlier sitting wrote of later steps is forgotten.
    Raises:
        SettingsError: they are wanted, and the package `tensorboard` is not installed.
    """

    def __init__(self, output: Path, *, step: int, enabled: bool):
        self.writer: Any = None
        if not enabled:
            return
        writer = _summary_writer()
        if step == 0:
            shutil.rmtree(events_path(output), ignore_errors=True)
        self.writer = writer(str(events_path(output)), purge_step=step + 1 if step else None)

    def write_step(self, step: int, values: dict[str, float]) -> None:
        """Write named values after a step."""
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(f"step/{name}", value, step)

    def write_epoch(self, step: int, row: dict[str, Any]) -> None:
        """Write a row of the log, at the epoch's last step."""
        if self.writer is not None:
            for name, value in row.items():
                self.writer.add_scalar(f"epoch/{name}", value, step)
            self.writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise SettingsError(
            "event files need the package tensorboard: pip install tensorboard, or leave --tensorboard out"
        ) from None
    return SummaryWriter
