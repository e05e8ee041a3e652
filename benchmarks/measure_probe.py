"""Accuracy and processor seconds of both solvers of the probe: `python -m benchmarks.measure_probe STUDY …`.

In place of a study `isotropic` and `mixed` are planted problems of 1,000 classes, 120 train and 20 evaluation
rows a class and 64 features: class centres with noise that is alike in all directions, and the same seen
through a matrix whose columns shrink, without its negative part.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

from core.analysis.probe_step import Probe, train_probe
from core.config import ProbeConfig
from core.measures.evaluate import class_column
from core.store import open_study

N_CLASSES, N_TRAIN, N_VAL, N_FEATURES = 1000, 120, 20, 64
SPREAD = {"isotropic": 0.55, "mixed": 0.9}  # deviation of the class centres, that of the noise is 1
SOLVERS = {"sgd": (), "lbfgs": ProbeConfig.strengths}


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


def accuracy(probe: Probe, problem: Problem) -> float:
    """The share of evaluation rows that are answered by their class."""
    logits = probe.logits(problem.raw[problem.is_val]).cpu().numpy()
    return float((logits.argmax(1) == problem.codes[problem.is_val]).mean())


def main(names: list[str]) -> None:
    print("| problem | solver | rate or penalty | top-1 | processor seconds |\n|---|---|---|---|---|")
    for name in names:
        problem = planted(name) if name in SPREAD else stored(name)
        train, n_classes = ~problem.is_val, int(problem.codes.max()) + 1
        for solver, strengths in SOLVERS.items():
            began = time.process_time()
            probe = train_probe(problem.raw[train], problem.codes[train], n_classes, strengths=strengths)
            spent = time.process_time() - began
            value = probe.lr if probe.penalty is None else probe.penalty
            cells = f"{value:.3g} | {100 * accuracy(probe, problem):.2f} % | {spent:.0f}"
            print(f"| {name} | {solver} | {cells} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
