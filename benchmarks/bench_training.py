"""What additions cost a step, our losses beside lightly's own, and the pace of the views."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks import step_ratios
from benchmarks.results import Result

BATCH, SIZE, ROUNDS, STEPS = 64, 64, 4, 2
N_FEATURES = 512


def run() -> Iterator[Result]:
    yield from step_ratios.run()
    yield from on_a_gpu()


def on_a_gpu() -> Iterator[Result]:
    yield overhead()
    yield losses()
    if torch.cuda.is_available():
        yield pipeline()
    else:
        print("views / steps alone: not measured, no CUDA device (on a CPU views and steps share the cores)")


def settings(kind: str, **changes: Any) -> Any:
    from core.training.config import from_dict

    sections = {"regularizer": {"kind": kind, "study": "here"}}
    return from_dict(
        {"images": "", "output": "", "crop_size": SIZE, "batch_size": BATCH, **sections, **changes}
    )


def step_of(kind: str, views: Tensor) -> tuple[Callable[[], None], Any]:
    """One training step of SimCLR on a ResNet-18, bare ("none") or in its regulariser; and the method."""
    from core.training import penalty, setup
    from core.training.optimise import build_optimiser

    config = settings(kind)
    discriminative = torch.arange(N_FEATURES) % 3 == 0
    original, penalty.discriminative_of = penalty.discriminative_of, lambda config, n: (discriminative, 3.0)
    try:
        torch.manual_seed(0)
        method: Any = setup.start_method(config).to(views.device).train()
    finally:
        penalty.discriminative_of = original
    if kind == "none":
        method = method.inner
    optimiser = build_optimiser(method, config)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        method.loss(views).backward()
        optimiser.step()

    return step, method


def seconds(step: Callable[[], None]) -> float:
    """Of STEPS steps, with everything on a GPU finished."""
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def overhead() -> Result:
    """What the regulariser and its report take, forwards and backwards, beside a plain step without them.

    Timed by itself: as the difference of two steps it would drown in their own variation.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    views = torch.randn(2 * BATCH, 3, SIZE, SIZE, device=device).to(memory_format=torch.channels_last)
    plain, _ = step_of("none", views)
    _, method = step_of("q", views)
    raw = torch.rand(2 * BATCH, N_FEATURES, device=device, requires_grad=True)

    def added() -> None:
        method.penalty(raw).backward()

    for work in (plain, added):
        seconds(work)
    step, extra = (min(seconds(work) for _ in range(ROUNDS)) / STEPS for work in (plain, added))
    detail = (
        f"{1000 * step:.1f} ms a plain step of {2 * BATCH} views at {SIZE} px, {1000 * extra:.2f} ms added"
    )
    return Result("Q regulariser, overhead of a step", 100 * extra / step, "%", 5, False, detail)


def losses() -> Result:
    """Largest relative difference between our methods' losses and lightly's criteria on the same outputs."""
    from lightly.loss import BarlowTwinsLoss, NegativeCosineSimilarity, NTXentLoss, VICRegLoss

    from core.training.methods import build_method

    heads = {"head_hidden": 64, "head_out": 32}
    torch.manual_seed(0)
    raw, seconds_of = torch.randn(64, N_FEATURES), []
    for name in ("simclr", "simsiam", "vicreg", "barlow"):
        config = settings("none", method=name, **heads)
        method: Any = build_method(name, torch.nn.Identity(), N_FEATURES, config).train()
        state = {key: value.clone() for key, value in method.state_dict().items()}
        ours = method.loss_of(raw, raw).item()
        method.load_state_dict(state)
        if name == "simclr":
            theirs = NTXentLoss(config.temperature)(*method.head(raw).chunk(2))
        else:
            first, second = (method.head(view) for view in raw.chunk(2))
            if name == "simsiam":
                cosine = NegativeCosineSimilarity()
                pairs = (method.predictor(first), second), (method.predictor(second), first)
                theirs = torch.stack([cosine(a, b.detach()) for a, b in pairs]).mean()
            else:
                theirs = {"vicreg": VICRegLoss(), "barlow": BarlowTwinsLoss()}[name](first, second)
        seconds_of.append(abs(ours / theirs.item() - 1))
    detail = "SimCLR, SimSiam, VICReg, Barlow Twins against lightly's criteria; MoCo to DINO in the tests"
    return Result("losses beside lightly's", max(seconds_of), "", 1e-5, False, detail)


def pipeline() -> Result:
    """Training with augmented views against steps on the same views again, on a GPU."""
    from core.training import augment
    from core.training.augmentation_config import AugmentConfig

    device, how = torch.device("cuda"), AugmentConfig()
    images = torch.randint(0, 256, (BATCH, 96, 96, 3), dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    held = torch.randn(2 * BATCH, 3, SIZE, SIZE, device=device).to(memory_format=torch.channels_last)
    step, _ = step_of("none", held)

    def with_views() -> None:
        there = images.pin_memory().to(device, non_blocking=True)
        held.copy_(torch.cat([augment.augment(there, SIZE, how, generator) for _ in range(2)]))
        step()

    for work in (step, with_views):
        seconds(work)
    alone, both = (min(seconds(work) for _ in range(ROUNDS)) for work in (step, with_views))
    detail = f"{1000 * alone / STEPS:.1f} ms a step, {1000 * both / STEPS:.1f} ms with its views"
    return Result("views / steps alone", alone / both, "x", 0.9, True, detail)
