"""Times of retrieval, of the bare product and of the loop over shards of FALCON's released code, as JSON.

`python -m benchmarks.measure_retrieve FOLDER N_CAPTIONS WIDTH N_CROPS SHARD_ROWS REPEATS`
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.results import peak_bytes
from core.concepts.caption_bank import Shard
from core.concepts.nearest_captions import BLOCK_ROWS, retrieve

K, TEMPERATURE = 5, 100.0


def unit_rows(rng: np.random.Generator, n: int, width: int) -> np.ndarray:
    rows = rng.standard_normal((n, width), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def make_shards(folder: Path, n_captions: int, width: int, shard_rows: int) -> list[Shard]:
    """Random unit rows in half precision; made once."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for number, start in enumerate(range(0, n_captions, shard_rows)):
        path, n_rows = folder / f"{n_captions}-{width}-{number:04d}.npy", min(shard_rows, n_captions - start)
        if not path.exists():
            np.save(path, unit_rows(np.random.default_rng(number), n_rows, width).astype(np.float16))
        shards.append(Shard(path, n_rows))
    return shards


def product(crops: torch.Tensor, n_captions: int) -> None:
    """The multiplications alone, of rows that lie in memory as float32."""
    block = torch.from_numpy(unit_rows(np.random.default_rng(1), BLOCK_ROWS, crops.shape[1]))
    out = torch.empty(len(crops), BLOCK_ROWS)
    for start in range(0, n_captions, BLOCK_ROWS):
        stop = min(BLOCK_ROWS, n_captions - start)
        torch.mm(
            crops, block[:stop].T, out=out[:, :stop] if stop == BLOCK_ROWS else torch.empty(len(crops), stop)
        )


def per_shard(crops: torch.Tensor, shards: list[Shard]) -> np.ndarray:
    """As released: softmax within each shard, its top k, and the top k of these over all shards."""
    scores, places, first = [], [], 0
    for shard in shards:
        rows = torch.from_numpy(shard.read(0, len(shard)).astype(np.float32))
        best = (TEMPERATURE * crops @ rows.T).softmax(dim=-1).topk(K, dim=-1)
        scores.append(best.values)
        places.append(best.indices + first)
        first += len(shard)
    order = torch.cat(scores, 1).topk(K, dim=1).indices
    return torch.cat(places, 1).gather(1, order).numpy()


def timed(function: Callable[[], object]) -> tuple[tuple[float, float], object]:
    """(wall, processor) seconds, and the result."""
    began, busy = time.perf_counter(), time.process_time()
    result = function()
    return (time.perf_counter() - began, time.process_time() - busy), result


def forget_peak() -> None:
    """Start counting the peak of this process's memory anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    folder = Path(sys.argv[1])
    n_captions, width, n_crops, shard_rows, repeats = map(int, sys.argv[2:])
    shards = make_shards(folder, n_captions, width, shard_rows)
    crops = unit_rows(np.random.default_rng((n_captions, 1)), n_crops, width)  # none among the captions
    tensor = torch.from_numpy(crops)
    retrieve(crops[:8], shards[-1:])
    forget_peak()
    start = peak_bytes()
    first, retrieved = timed(lambda: retrieve(crops, shards, k=K, temperature=TEMPERATURE))
    peak = peak_bytes()
    times: dict[str, list[tuple[float, float]]] = {"retrieve": [first], "product": [], "per_shard": []}
    released = None
    for _ in range(repeats):
        times["product"].append(timed(lambda: product(tensor, n_captions))[0])
        times["retrieve"].append(timed(lambda: retrieve(crops, shards, k=K, temperature=TEMPERATURE))[0])
        seconds, released = timed(lambda: per_shard(tensor, shards))
        times["per_shard"].append(seconds)
    same = np.mean((np.sort(retrieved[0], 1) == np.sort(released, 1)).all(1))  # type: ignore[index,call-overload]
    figures = {f"{name}_s": min(wall for wall, _ in values) for name, values in times.items()}
    figures |= {f"{name}_cpu_s": min(cpu for _, cpu in values) for name, values in times.items()}
    print(json.dumps({**figures, "start": start, "peak": peak, "same": float(same)}))


if __name__ == "__main__":
    main()
