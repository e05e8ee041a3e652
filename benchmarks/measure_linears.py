"""What linear layers by oneDNN save, and how far they change representations (docs/method.md 1.5).

`python -m benchmarks.measure_linears [NETWORK …]`, of `benchmarks.photographs.NETWORKS` with their seeded
weights, in float32. Both ways take the same noise in turns, on one thread; of each the fastest pass counts.
The last line says whether `embed` would take it on this machine, which it tries for itself.
"""

from __future__ import annotations

import math
import sys
from time import process_time

import torch
from torch import Tensor

from benchmarks.photographs import spec_of
from core.encoders.encoder import Encoder
from core.encoders.fast_inference import fold_batch_norms, multiply_by_onednn, onednn_is_faster
from core.encoders.registry import load_encoder

NETWORKS = ("ViT-S/16", "ConvNeXt-Tiny")
BATCH, REPEATS = 8, 7


def folded(spec: str) -> Encoder:
    """An encoder as `embed` uses it, but for its linear layers."""
    encoder = load_encoder(spec)
    x, _ = encoder.random_input()
    fold_batch_norms(encoder.base, x, lambda: [encoder.model(x)])
    return encoder


def seconds(encoder: Encoder, pixels: Tensor) -> tuple[float, Tensor]:
    """Processor seconds of a pass, and its representations (B, n_features) float32."""
    began = process_time()
    with torch.inference_mode():
        raw = encoder.represent(pixels)
    return process_time() - began, raw


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    print("| network | linear layers by oneDNN | ms a picture without | with | ratio | largest difference |")
    print("|---|---|---|---|---|---|")
    for name in names or NETWORKS:
        plain, packed = folded(spec_of(name)), folded(spec_of(name))
        n_packed = multiply_by_onednn(packed.base)
        shape = (BATCH, *plain.transform.sides, 3)
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        fastest, raw = [math.inf, math.inf], [torch.empty(0), torch.empty(0)]
        for _ in range(REPEATS):
            for way, encoder in enumerate((plain, packed)):
                spent, raw[way] = seconds(encoder, pixels)
                fastest[way] = min(fastest[way], spent)
        off = float((raw[1] - raw[0]).abs().max() / raw[0].abs().max())
        without, with_ = (1000 * spent / BATCH for spent in fastest)
        cells = f"{n_packed} | {without:.1f} | {with_:.1f} | {without / with_:.2f} | {off:.1e}"
        print(f"| {name} | {cells} of the largest entry |", flush=True)
    print(f"taken here: {'yes' if onednn_is_faster() else 'no'}")


if __name__ == "__main__":
    main(sys.argv[1:])
