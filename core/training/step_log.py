"""Log every step of a training, with cheap indicators of collapse and sparsity."""

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.analysis.scores import near_zero_share, rankme
from core.common.inside import replacing
from core.errors import SettingsError
from core.training import files

# Cheap indicators of collapse and of sparsity (Kalibhat 2024). No Q-Score: it must not guide training.


@torch.no_grad()
def represent(backbone: nn.Module, batches: Iterator[Tensor]) -> Tensor:
    """(N, r) float32 raw representations of batches by the network in training, in evaluation mode."""
    was_training = backbone.training
    backbone.eval()
    raw = torch.cat([backbone(batch).float() for batch in batches])
    backbone.train(was_training)
    return raw


def representation_statistics(raw: Tensor) -> dict[str, float]:
    """Monitor a training: shares near zero and dead, mean |L_i|, and RankMe, of (N, r) representations."""
    h = torch.nn.functional.normalize(raw.double(), dim=1)
    z = (h - h.mean(1, keepdim=True)) / h.std(1, correction=0, keepdim=True).clamp(min=1e-12)
    dead = (raw.amax(0) <= 0).double().mean().item()
    near_zero = near_zero_share(raw).mean().item()
    values = {"near_zero": near_zero, "dead": dead, "rankme": rankme(torch.linalg.svdvals(raw.double()))}
    for epsilon in (4, 3, 2):
        values[f"firing_{epsilon}"] = (z > epsilon).sum(1).double().mean().item()
    return values


def knn_accuracy(
    train: Tensor, labels: np.ndarray, val: Tensor, val_labels: np.ndarray, *, k: int = 20
) -> float:
    """Monitor a training: share of val rows for whose class the k nearest train rows (cosine) vote.

    Share of val rows for whose true class the k nearest train rows (cosine, weighted) vote.
    """
    unit = torch.nn.functional.normalize
    similarity, nearest = (unit(val, dim=1) @ unit(train, dim=1).T).topk(min(k, len(train)), dim=1)
    codes = torch.as_tensor(labels, device=train.device)
    votes = similarity.new_zeros(len(val), int(codes.max()) + 1)
    votes.scatter_add_(1, codes[nearest], torch.exp(similarity / 0.1))
    return (votes.argmax(1).cpu().numpy() == val_labels).mean().item()


# Log every step: OUTPUT.steps.csv, one line per step, and event files of TensorBoard on request.


EVENTS = ".tensorboard"  # folder beside the weights: `tensorboard --logdir OUTPUT.tensorboard`


class StepLog:
    """Collect the numbers of an epoch's steps and write them at its end.

    Attributes:
        rows: the current epoch; part of the state from which a training is resumed.
    """

    def __init__(self, output: Path, *, writes: bool):
        self.path, self.writes = files.steps_path(output), writes
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = state["rows"]

    def begin(self, step: int) -> None:
        """Discard written steps after those of `rows`, the last of which is `step`."""
        if not self.writes or not self.path.exists():
            return
        last = step - len(self.rows)
        with open(self.path, newline="", encoding="utf-8") as file:
            earlier = [row for row in csv.DictReader(file) if _number(row.get("step")) <= last]
        if not earlier:
            return self.path.unlink()
        with replacing(self.path) as temporary:
            self._append(earlier, temporary)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Store the numbers of a step; they may be empty."""
        if values:
            self.rows.append({"step": step, **values})

    def end_epoch(self) -> dict[str, float]:
        """Write the epoch's steps; return their means, to five digits, without NaN."""
        rows, self.rows = self.rows, []
        if not rows:
            return {}
        if self.writes:
            self._append(rows, self.path)
        means = {}
        for name in rows[0]:
            finite = [row[name] for row in rows if np.isfinite(row[name])]
            if name != "step" and finite:
                means[name] = float(f"{np.mean(finite):.5g}")
        return means

    def _append(self, rows: list, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            if file.tell() == 0:
                writer.writeheader()
            writer.writerows(rows)
            file.flush()
            os.fsync(file.fileno())


def _number(text: str | None) -> float:
    """Parse the number in a cell; infinity for a truncated line."""
    try:
        return float(text or "inf")
    except ValueError:
        return float("inf")


def events_path(output: Path) -> Path:
    """Return the folder of TensorBoard's events beside the weights of a training."""
    return output.with_name(output.name + EVENTS)


class Events:
    """Write to OUTPUT.tensorboard, or nowhere: loss and rate of every step, and every epoch's row of the log.

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

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Write named values after a step (kind "step"), or of a row of the log (kind "epoch")."""
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(f"{kind}/{name}", value, step)
            if kind == "epoch":
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
