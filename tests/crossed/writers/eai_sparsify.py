"""What EleutherAI's sparsify writes: sae.safetensors and cfg.json."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from sparsify.config import SparseCoderConfig
from sparsify.sparse_coder import SparseCoder

from tests.crossed.kit import Cases, Written, trained, vectors
from tests.crossed.writers.eai_sparsify_more import CASES as MORE

WIDTH, K = 12, 4


@torch.no_grad()
def saved(folder: Path, *, at: str = "{folder}", layer: str = "", **settings: Any) -> Written:
    torch.manual_seed(0)
    sae = trained(SparseCoder(WIDTH, SparseCoderConfig(**{"expansion_factor": 4, "k": K, **settings})))
    sae.save_to_disk(folder / layer)
    raw = vectors(WIDTH)
    found = sae.encode(raw)
    codes = torch.zeros(len(raw), sae.num_latents).scatter_(1, found.top_indices, found.top_acts)
    return Written(dictionary=at, vectors=raw, codes=codes)


CASES: Cases = {
    ("SparseCoder.save_to_disk", "topk"): saved,
    ("SparseCoder.save_to_disk", "topk, one layer of several"): partial(
        saved, at="{folder}/layers.3", layer="layers.3"
    ),
    ("SparseCoder.save_to_disk", "topk, num_latents 20"): partial(saved, num_latents=20),
    ("SparseCoder.save_to_disk", "groupmax"): partial(saved, activation="groupmax"),
    ("SparseCoder.save_to_disk", "transcode"): partial(saved, transcode=True),
    ("SparseCoder.save_to_disk", "skip_connection"): partial(saved, skip_connection=True),
    ("SparseCoder.save_to_disk", "normalize_decoder false"): partial(saved, normalize_decoder=False),
}
CASES |= MORE
