"""What eai-sparsify writes: folders of a hook point."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from sparsify import SparseCoder, SparseCoderConfig

from tests.crossed.kit import Cases, Written
from tests.crossed.writers.dictionaries import K, M, R, X, drawn, refused, written


@torch.no_grad()
def stored(folder: Path, *, refuse: bool = False, **options: Any) -> Written:
    model: Any = drawn(SparseCoder(R, SparseCoderConfig(num_latents=M, k=K, **options)))
    model.save_to_disk(folder / "layers.3")
    if refuse:
        return refused("layers.3")
    top = model.encode(X)
    codes = torch.zeros(len(X), M).scatter(1, top.top_indices, top.top_acts)
    return written("layers.3", codes)


SAVE = "save_to_disk"
CASES: Cases = {
    (SAVE, "topk"): stored,
    (SAVE, "topk, decoder not normalised"): partial(stored, normalize_decoder=False),
    (SAVE, "groupmax"): partial(stored, activation="groupmax", refuse=True),
    (SAVE, "transcode"): partial(stored, transcode=True, refuse=True),
    (SAVE, "skip_connection"): partial(stored, skip_connection=True, refuse=True),
}
