"""Bases of features: training and encoding beside bare matrix products, and steps in a basis beside units.

Both sides take turns in one process with one thread, by its processor time (see step_ratios); training and
encoding on a GPU, where there is one. Other trainers: benchmarks/peers/dictionaries.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import bench_peers
from benchmarks.results import Absent, Result
from benchmarks.step_ratios import Work, gpu_clock, in_turns
from benchmarks.studies import large_study
from core.bases.dictionary import MOST_ENTRIES, Coder
from core.bases.requests import add_basis
from core.bases.vectors import FitRun, Vectors
from core.common.device import resolve_device
from core.common.memory import keep_freed_memory
from core.config import BasisConfig
from core.pipeline.run import run_step
from core.store import Study
from core.study.layers import layer
from core.study.progress import Progress
from core.training.dictionaries import BATCH, DictionaryRun

WIDTH, LATENTS, K = 512, 4096, 32
ROUNDS = 5
TRAINING_GOAL, ENCODING_GOAL, STEP_GOAL = 0.5, 0.7, 1.5
N_IMAGES = 100_000
# Settings of the units and of the basis, with which as many of either fire: most that are not 0, or a few.
STEPS = {
    "features, most fire": ("features", ({"epsilon": 0.0}, {"epsilon": 0.0})),
    "features, few fire": ("features", ({"epsilon": 2.0}, {"epsilon": 8.0})),
    "quality": ("quality", ({}, {})),
}


def run() -> Iterator[Result | Absent]:
    keep_freed_memory()  # as every command does
    yield from against_products()
    yield from in_a_basis()
    yield from bench_peers.run(trainers=True)


def on_a_gpu() -> Iterator[Result]:
    yield from against_products(LATENTS)
    yield from against_products(4 * LATENTS)


def against_products(size: int = LATENTS, width: int = WIDTH) -> Iterator[Result]:
    """A training step beside the five products of a dense one, and encoding beside its one."""
    device = resolve_device("auto")
    on_gpu = device.type == "cuda"
    n = max(2 * BATCH, MOST_ENTRIES // size)
    raw = np.random.default_rng(0).standard_normal((n, width), np.float32)
    setup = FitRun(Progress.silent(), device, Path("never-saved"), {}, 1000)
    training = DictionaryRun(Vectors(raw, np.arange(len(raw))), (size,), K, 0, setup)
    x = torch.from_numpy(raw[: training.batch_size]).to(device)
    coder, weights = Coder(training.dictionary(), device), training.model.encoder.detach().clone()
    code = torch.zeros(len(x), size, device=device)
    block = torch.from_numpy(raw[: coder.block_rows]).to(device) if on_gpu else x[: coder.block_rows]
    seconds = in_turns(
        {
            "step": lambda: training.train_step(x),
            "step with its vectors": training.advance,
            "products": partial(_dense_step, x, weights, code),
            "encode": lambda: coder.encode(block),
            "product": lambda: block @ weights.T,
        },
        rounds=ROUNDS,
        **({"steps": 20, "clock": gpu_clock} if on_gpu else {}),
    )
    for name, plain, goal, of in (
        ("step", "products", TRAINING_GOAL, f"five products of {len(x):,} vectors"),
        ("step with its vectors", "products", TRAINING_GOAL, "… which come from memory"),
        ("encode", "product", ENCODING_GOAL, f"one product of {len(block):,} vectors"),
    ):
        share = seconds[plain] / seconds[name]
        detail = f"{of} of {width} with {size:,} latents; {1000 * np.median(seconds[name]):.3g} ms, "
        detail += f"products {1000 * np.median(seconds[plain]):.3g} ms on {device}"
        yield Result(f"bases: products / {name}", float(np.median(share)), "x", goal, True, detail)


def _dense_step(x: Tensor, weights: Tensor, code: Tensor) -> None:
    """What a dense autoencoder multiplies: codes, reconstruction, and gradients of codes and both weights."""
    _ = x @ weights.T, code @ weights, x @ weights.T, code.T @ x, code.T @ x


def in_a_basis() -> Iterator[Result]:
    """Steps of a study in a basis beside the same of its units, of about as many non-zeros an image."""
    folder = large_study("bases", N_IMAGES, WIDTH)
    sample = Study(folder).array("representations")[:1000]
    k = round(float((sample != 0).sum(1).mean()))
    if "control" not in Study(folder).bases:
        config = BasisConfig(kind="random", size=LATENTS, k=k, seeds=1)
        add_basis(folder, "control", config, Progress.silent(), device="cpu")
    for name, (step, settings) in STEPS.items():
        sides = zip(_places(folder).items(), settings, strict=True)
        works = {of: _step_of(step, place, options) for (of, place), options in sides}
        seconds = in_turns(works, rounds=ROUNDS)
        ratio = float(np.median(seconds["basis"] / seconds["units"]))
        fire = [Study(place).summary("features")["mean_firing"] for place in _places(folder).values()]
        detail = f"{N_IMAGES:,} images, {WIDTH} units and {LATENTS:,} latents, {k} not 0, of which "
        detail += f"{fire[0]:.0f} and {fire[1]:.0f} fire; units {np.median(seconds['units']):.2f} s"
        yield Result(f"bases: {name}, basis / units", ratio, "x", STEP_GOAL, False, detail)


def _places(folder: Path) -> dict[str, Path]:
    return {"units": folder, "basis": layer(folder, "control")}


def _step_of(name: str, folder: Path, options: dict[str, Any]) -> Work:
    return lambda: run_step(name, folder, {"redo": True, **options}, Progress.silent())
