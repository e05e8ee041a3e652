"""Times passes of networks on the CPU, with freed memory `kept` or `given-back`; prints JSON. Own process."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import torch

from benchmarks.results import peak_bytes
from benchmarks.step_ratios import Size, training_step
from core.common.memory import keep_freed_memory
from core.training.backbones import build_backbone

BATCH, SIDE = 32, 224
PASSES = {"resnet18": 6, "resnet50": 3}
STEPS = 4


def seconds(work: Callable[[], object], n: int) -> float:
    """Of one pass, after two others."""
    for _ in range(2):
        work()
    began = time.perf_counter()
    for _ in range(n):
        work()
    return (time.perf_counter() - began) / n


def embedding(arch: str) -> Callable[[], object]:
    network = build_backbone(arch, size=SIDE)[0].eval().to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, 3, SIDE, SIDE).to(memory_format=torch.channels_last)

    def work() -> object:
        with torch.inference_mode():
            return network(images)

    return work


def main() -> None:
    kept = sys.argv[1] == "kept" and keep_freed_memory()
    torch.manual_seed(0)
    seconds_of = {f"embedding, {arch}": seconds(embedding(arch), n) for arch, n in PASSES.items()}
    seconds_of["a step of SimCLR, ResNet-18"] = seconds(training_step(Size()), STEPS)
    print(json.dumps({"kept": kept, "seconds": seconds_of, "peak": peak_bytes()}))


if __name__ == "__main__":
    main()
