"""Overcomplete and dictionary_learning: a TopK dictionary, trained by each on the same batches.

`make bench ONLY=bases` compares them in processes of their own; after it
`build/peers/venv/bin/python -m benchmarks.peers.dictionaries [ROUNDS]` in turns in one, by processor time.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.environment import DICTIONARY_LEARNING, OVERCOMPLETE
from benchmarks.peers.task import Inputs, Task

BATCH, JUDGED = 4096, 2000  # vectors of a step; vectors that are reconstructed
WORSE = 0.0  # how much higher their R2 may be


def _planted(small: bool) -> dict[str, np.ndarray]:
    """Vectors that are sums of 8 of some directions, with noise; sizes of the dictionary."""
    rng, (n, width, size, steps) = (
        np.random.default_rng(0),
        (600, 8, 16, 3) if small else (40_960, 256, 1024, 150),
    )
    directions = rng.standard_normal((size // 2, width)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    weights = np.zeros((n, size // 2), np.float32)
    drawn = rng.integers(0, size // 2, (n, 8))
    np.put_along_axis(weights, drawn, rng.gamma(2.0, 1.0, drawn.shape).astype(np.float32), 1)
    vectors = weights @ directions + 0.01 * rng.standard_normal((n, width)).astype(np.float32)
    return {"vectors": vectors, "sizes": np.array([size, 8, steps])}


def _ours(inputs: Inputs) -> Callable[[], np.ndarray]:
    import torch

    from core.bases.dictionary import Coder
    from core.bases.vectors import FitRun, Vectors
    from core.study.progress import Progress
    from core.training.dictionaries import DictionaryRun

    vectors, (size, k, steps) = inputs["vectors"], map(int, inputs["sizes"])
    torch.set_num_threads(1)

    def train() -> np.ndarray:
        run = FitRun(Progress.silent(), torch.device("cpu"), Path("never-saved"), {}, steps)
        training = DictionaryRun(Vectors(vectors, np.arange(len(vectors))), (size,), k, 0, run)
        for _ in range(steps):
            training.advance()
        coder, judged = Coder(training.dictionary(), run.device), torch.from_numpy(vectors[:JUDGED])
        return coder.decode(coder.encode(judged), judged)[0].numpy()

    return train


def _batches(vectors: np.ndarray, steps: int) -> list[Any]:
    """A batch a step, one epoch after another, of shuffled rows."""
    import torch

    generator = torch.Generator().manual_seed(0)
    rows, n = torch.empty(0, dtype=torch.int64), min(BATCH, len(vectors))
    while len(rows) < n * steps:
        rows = torch.cat([rows, torch.randperm(len(vectors), generator=generator)])
    return [torch.from_numpy(vectors[one.numpy()]) for one in rows[: n * steps].split(n)]


def _overcomplete(inputs: Inputs) -> Callable[[], np.ndarray]:
    import matplotlib
    import torch

    cm: Any = importlib.import_module("matplotlib.cm")
    if not hasattr(cm, "get_cmap"):  # it imports a function that matplotlib has removed
        cm.get_cmap = matplotlib.colormaps.get_cmap
    sae = importlib.import_module("overcomplete.sae")
    vectors, (size, k, steps) = inputs["vectors"], map(int, inputs["sizes"])
    torch.set_num_threads(1)

    def error(x: Any, decoded: Any, *_: Any) -> Any:
        return (x - decoded).square().mean()

    def train() -> np.ndarray:
        torch.manual_seed(0)
        model = sae.TopKSAE(vectors.shape[1], nb_concepts=size, top_k=k)
        optimiser = torch.optim.Adam(model.parameters(), lr=4e-4 * (16_384 / size) ** 0.5)
        sae.train_sae(model, _batches(vectors, steps), error, optimiser, nb_epochs=1, monitoring=0)
        with torch.no_grad():
            return model.eval()(torch.from_numpy(vectors[:JUDGED]))[2].numpy()

    return train


def _dictionary_learning(inputs: Inputs) -> Callable[[], np.ndarray]:
    import torch

    top_k = importlib.import_module("dictionary_learning.trainers.top_k")
    vectors, (size, k, steps) = inputs["vectors"], map(int, inputs["sizes"])
    torch.set_num_threads(1)

    def train() -> np.ndarray:
        trainer = top_k.TopKTrainer(
            steps, vectors.shape[1], size, k, layer=0, lm_name="none", warmup_steps=0, seed=0, device="cpu",
            lr=4e-4 * (16_384 / size) ** 0.5,
        )  # fmt: skip
        for step, batch in enumerate(_batches(vectors, steps)):
            trainer.update(step, batch)
        with torch.no_grad():
            return trainer.ae(torch.from_numpy(vectors[:JUDGED])).numpy()

    return train


def _score(inputs: Inputs, decoded: np.ndarray) -> float:
    x = inputs["vectors"][:JUDGED].astype(np.float64)
    return float(1 - np.square(x - decoded).sum() / np.square(x - x.mean(0)).sum())


def _r2(inputs: Inputs, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, str]:
    mine, other = _score(inputs, ours), _score(inputs, theirs)
    return max(0.0, other - mine), f"by which the R2 of ours, {mine:.3f}, is below theirs, {other:.3f}"


TASKS = tuple(
    Task("TopK dictionary", peer, _planted, _ours, theirs, _r2, WORSE)
    for peer, theirs in ((OVERCOMPLETE, _overcomplete), (DICTIONARY_LEARNING, _dictionary_learning))
)


def main() -> None:
    """Train the same dictionary by all three in turns: one process, one thread, by its processor time."""
    inputs, seconds, results = _planted(small=False), dict[str, list[float]](), dict[str, np.ndarray]()
    works = {"ours": _ours, "overcomplete": _overcomplete, "dictionary_learning": _dictionary_learning}
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        for name, side in works.items():
            work, began = side(inputs), time.process_time()
            results[name] = work()
            seconds.setdefault(name, []).append(time.process_time() - began)
            ratio = np.median(np.array(seconds[name]) / seconds["ours"])
            about = f"{seconds[name][-1]:.1f} s, {ratio:.2f} of ours, R2 {_score(inputs, results[name]):.4f}"
            print(f"{name:<20} {about}", flush=True)


if __name__ == "__main__":
    main()
