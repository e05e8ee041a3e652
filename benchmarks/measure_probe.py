"""The probe by solver and by choice of its penalty: `python -m benchmarks.measure_probe STUDY …`.

In place of a study `isotropic` and `mixed` are planted problems of 1,000 classes, 120 train and 20 evaluation
rows a class and 64 features: class centres with noise that is alike in all directions, and the same seen
through a matrix whose columns shrink, without its negative part.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from core.analysis.probe_step import Probe, train_probe
from core.config import ProbeConfig
from core.measures.confidence import calibration_error
from core.measures.evaluate import class_column
from core.store import open_study

N_CLASSES, N_TRAIN, N_VAL, N_FEATURES = 1000, 120, 20, 64
SPREAD = {"isotropic": 0.55, "mixed": 0.9}  # deviation of the class centres, that of the noise is 1


@dataclass(frozen=True)
class Problem:
    """Rows (n, n_features) float32, their classes (n,) int, and which are evaluation rows (n,) bool."""

    raw: np.ndarray
    codes: np.ndarray
    is_val: np.ndarray


def planted(kind: str, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(N_CLASSES), N_TRAIN + N_VAL)
    centres = SPREAD[kind] * rng.normal(size=(N_CLASSES, N_FEATURES))
    raw = centres[codes] + rng.normal(size=(len(codes), N_FEATURES))
    if kind == "mixed":
        mixing = rng.normal(size=(N_FEATURES, N_FEATURES)) / np.sqrt(np.arange(1, N_FEATURES + 1))[:, None]
        raw = np.maximum(raw @ mixing, 0)
    is_val = np.tile(np.arange(N_TRAIN + N_VAL) >= N_TRAIN, N_CLASSES)
    return Problem(raw.astype(np.float32), codes, is_val)


def stored(path: str) -> Problem:
    """The labelled rows of a study."""
    study = open_study(path)
    codes = class_column(study, "label")
    labelled = codes >= 0
    raw = study.array("representations")[:].astype(np.float32)
    return Problem(raw[labelled], codes[labelled], study.is_val[labelled])


@dataclass(frozen=True)
class Evaluated:
    """What a probe is worth on the evaluation rows; confidence: the mean probability of what it answers."""

    accuracy: float
    log_loss: float
    calibration_error: float
    confidence: float

    @classmethod
    def of(cls, probe: Probe, problem: Problem) -> Evaluated:
        logits, truth = probe.logits(problem.raw[problem.is_val]), problem.codes[problem.is_val]
        shares = torch.softmax(logits, 1).cpu().numpy()
        confidence, right = shares.max(1), shares.argmax(1) == truth
        losses = -np.log(np.maximum(shares[np.arange(len(truth)), truth], 1e-300))
        means = float(right.mean()), float(losses.mean())
        return cls(*means, calibration_error(right, confidence), float(confidence.mean()))

    @property
    def cells(self) -> str:
        return (
            f"{100 * self.accuracy:.2f} % | {self.log_loss:.3f} | {self.calibration_error:.3f} | "
            f"{self.confidence:.2f}"
        )


def probes_of(problem: Problem) -> Iterator[tuple[str, Probe]]:
    """Yield a probe by each solver, and one whose penalty has the best held-out accuracy."""
    train, n_classes = ~problem.is_val, int(problem.codes.max()) + 1
    rows = problem.raw[train], problem.codes[train], n_classes
    yield "sgd", train_probe(*rows)
    by_loss = train_probe(*rows, strengths=ProbeConfig.strengths)
    yield "lbfgs", by_loss
    keys = {one: (share, -by_loss.losses[one]) for one, share in by_loss.searched.items()}
    most_accurate = max(keys, key=lambda one: keys[one])
    yield "by accuracy", train_probe(*rows, strengths=(1 / (most_accurate * int(train.sum())),))


def main(names: list[str]) -> None:
    head = ("problem", "solver", "rate or penalty", "top-1", "log loss", "calibration error", "confidence")
    print(f"| {' | '.join((*head, 'processor seconds'))} |")
    print("|---" * (len(head) + 1) + "|")
    for name in names:
        problem = planted(name) if name in SPREAD else stored(name)
        began = time.process_time()
        for solver, probe in probes_of(problem):
            spent = time.process_time() - began
            value = probe.lr if probe.penalty is None else probe.penalty
            cells = f"{value:.3g} | {Evaluated.of(probe, problem).cells} | {spent:.0f}"
            print(f"| {name} | {solver} | {cells} |", flush=True)
            began = time.process_time()


if __name__ == "__main__":
    main(sys.argv[1:])
