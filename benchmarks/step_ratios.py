"""What each addition of the thesis chapters costs a whole step, as ratios of processor time in one run.

Both sides take turns, with one thread, on the CPU also where there is a GPU. Other work of the machine hardly
counts in the processor time of one process, and what remains of it meets both sides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.results import Result
from core.common.threads import one_torch_thread
from core.research.visual_tokens_ranks import GraphBatch

Work = Callable[[], Any]


@dataclass(frozen=True)
class Size:
    """Images a step, their side, the network, and how often each side is timed."""

    batch: int = 64
    side: int = 64
    arch: str = "resnet18"
    rounds: int = 9
    steps: int = 1


# The benchmark's usual step, and the cheapest of the grids' presets, beside which an addition weighs more.
HALF_WIDTH = "timm:resnet10t?channels=(32,64,128,256)&stem_width=16"
SIZES = {"ResNet-18": Size(), "half resnet10t": Size(128, 32, HALF_WIDTH, rounds=15, steps=2)}
METHODS = ("simclr", "byol")
CRITERIA: dict[str, dict[str, Any]] = {
    "default": {"ifm_epsilon": 0.1},
    "norm": {"ifm_epsilon": 0.1, "ifm_variant": "norm"},
    "pre_norm": {"ifm_epsilon": 0.1, "ifm_variant": "pre_norm"},
    "hard negatives": {"hard_beta": 1.0},
}
DOMAIN_GOAL, CRITERION_GOAL, ATTENTION_GOAL, RANK_GOAL = 1.3, 1.05, 1.1, 5.0  # the last in milliseconds
N_GRAPHS, N_TOKENS = 256, 77  # for the ranks
CONTEXTS = (24, 11)  # tokens of an image: the longest graphs of a composed world, and the usual ones


def run() -> Iterator[Result]:
    for network, size in SIZES.items():
        for method in METHODS:
            yield disentangled(method, network, size)
        yield from criteria(network, size)
    yield ranks()
    for n_tokens in CONTEXTS:
        yield attention(n_tokens)


def in_turns(
    works: Mapping[str, Work], *, rounds: int, steps: int = 1, clock: Callable[[], float] | None = None
) -> dict[str, np.ndarray]:
    """Time several works in turns, in the opposite order in every other round, after one run of each.

    Returns:
        by name (rounds,) seconds of one step by the clock, processor time if none is given.
    """
    clock = clock or time.process_time
    seconds_of: dict[str, list[float]] = {name: [] for name in works}
    with one_torch_thread():  # idle threads that wait would count as processor time
        for work in works.values():
            work()
        for number in range(rounds):
            for name in list(works)[:: -1 if number % 2 else 1]:
                began = clock()
                for _ in range(steps):
                    works[name]()
                seconds_of[name].append((clock() - began) / steps)
    return {name: np.array(seconds) for name, seconds in seconds_of.items()}


def gpu_clock() -> float:
    """Seconds, once the GPU has done all that it was given."""
    torch.cuda.synchronize()
    return time.perf_counter()


def ratio(name: str, longer: np.ndarray, plain: np.ndarray, goal: float) -> Result:
    """Compare two works that took turns: the median over rounds of the ratio within a round."""
    within = longer / plain
    low, high = np.quantile(within, (0.25, 0.75))
    detail = (
        f"middle half of {len(within)} rounds {low:.3f} to {high:.3f}; "
        f"{1000 * np.median(plain):.0f} ms a plain step"
    )
    return Result(name, float(np.median(within)), "x", goal, False, detail)


def training_step(size: Size, around: Any = None, **changes: Any) -> Work:
    """Return a whole step of a training: forward, loss, backward and optimiser, as the trainer takes it."""
    from core.training import setup
    from core.training.config import from_dict
    from core.training.optimise import build_optimiser

    settings = {
        "images": "",
        "output": "",
        "arch": size.arch,
        "crop_size": size.side,
        "batch_size": size.batch,
    }
    config = from_dict({**settings, **changes})
    torch.manual_seed(0)
    method = setup.start_method(config, around).train()
    method.rows, method.progress = np.arange(size.batch), 0.5
    optimiser = build_optimiser(method, config)
    views = torch.randn(method.n_views * size.batch, 3, size.side, size.side)
    views = views.to(memory_format=torch.channels_last)

    def step() -> None:
        method(views).backward()
        method.after_backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        method.after_step(0.5)
        method.step_facts()

    return step


def disentangled(method: str, network: str, size: Size) -> Result:
    """A step of domain-disentangled training, the critic's included, over a step of the plain method."""
    from core.research.domains_disentangled import Disentangled
    from core.research.domains_labels import DomainLabels

    labels = DomainLabels(np.arange(size.batch) % 3, ("a", "b", "c"))
    around = partial(Disentangled, labels=labels)
    times = in_turns(
        {
            "plain": training_step(size, method=method),
            "domains": training_step(size, around, method=method, domains={"labels": "column:domain"}),
        },
        rounds=size.rounds,
        steps=size.steps,
    )
    return ratio(f"domains, {method}, {network}", times["domains"], times["plain"], DOMAIN_GOAL)


def criteria(network: str, size: Size) -> Iterator[Result]:
    """A step of SimCLR with each harder criterion over a step with InfoNCE."""
    works = {"plain": training_step(size)}
    works |= {name: training_step(size, objective=objective) for name, objective in CRITERIA.items()}
    times = in_turns(works, rounds=size.rounds, steps=size.steps)
    for name in CRITERIA:
        label = name if name.startswith("hard") else f"IFM {name}"
        yield ratio(f"{label}, {network}", times[name], times["plain"], CRITERION_GOAL)


def full_graphs(n_images: int, n_tokens: int) -> GraphBatch:
    """Random graphs of 5 to 25 objects (fewer in a short context), with relations in all other places."""
    rng = np.random.default_rng(0)
    objects = rng.integers(min(5, n_tokens // 3), min(26, n_tokens - 2), n_images)
    relations = n_tokens - 1 - objects
    image = np.repeat(np.arange(n_images), relations)
    subject = rng.integers(0, objects[image])
    other = (subject + rng.integers(1, objects[image])) % objects[image]
    predicate = np.concatenate([np.arange(n) for n in relations])
    triples = np.stack([image, subject, other, predicate], 1)
    return GraphBatch(objects, relations, rng.random((n_images, int(objects.max()), 2)), triples)


def ranks(n_images: int = N_GRAPHS, n_tokens: int = N_TOKENS, *, rounds: int = 30) -> Result:
    """The rank matrices of a batch, filled to the last token."""
    from core.research.visual_tokens_ranks import rank_matrices

    graphs = full_graphs(n_images, n_tokens)
    times = 1000 * in_turns({"ranks": lambda: rank_matrices(graphs, n_tokens)}, rounds=rounds)["ranks"]
    detail = f"shortest of {rounds} rounds, median {np.median(times):.2f} ms"
    name = f"{n_images} rank matrices of {n_tokens} tokens"
    return Result(name, float(times.min()), "ms", RANK_GOAL, False, detail)


def attention(n_tokens: int, *, batch: int = 256, rounds: int = 25) -> Result:
    """A step of the token encoder (128 wide, 4 layers) with additive over one with plain attention."""
    works = {
        name: encoder_step(n_tokens, batch, additive=name == "additive") for name in ("plain", "additive")
    }
    times = in_turns(works, rounds=rounds)
    name = f"additive attention, {n_tokens} tokens"
    return ratio(name, times["additive"], times["plain"], ATTENTION_GOAL)


def encoder_step(n_tokens: int, batch: int, *, additive: bool) -> Work:
    """Return a step of the token encoder: forward, backward and AdamW."""
    from core.research.visual_tokens_encoder import EncoderShape, TokenTensors, VisualTokenEncoder
    from core.research.visual_tokens_ranks import rank_matrices

    torch.manual_seed(0)
    graphs, width = full_graphs(batch, n_tokens), 128
    places = int(graphs.n_nodes.max()), int(graphs.n_predicates.max())
    tokens = TokenTensors(
        image=torch.randn(batch, width),
        tangible=torch.randn(batch, places[0], width),
        predicates=torch.randn(batch, places[1], width),
        boxes=torch.rand(batch, places[0], 4),
        n_nodes=torch.from_numpy(graphs.n_nodes),
        n_predicates=torch.from_numpy(graphs.n_predicates),
        ranks=torch.from_numpy(rank_matrices(graphs, n_tokens)),
    )
    encoder = VisualTokenEncoder(EncoderShape(width, width, width, context=n_tokens, additive=additive))
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=1e-4)

    def step() -> None:
        encoder(tokens).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step
