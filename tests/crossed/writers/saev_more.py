"""What saev 0.1.0 of the package index writes: a header without a schema, and the weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from saev import config, nn

from tests.crossed.kit import Cases, Written
from tests.crossed.writers.dictionaries import R, X, drawn, refused, written


@torch.no_grad()
def dumped(folder: Path, exp_factor: int) -> Written:
    model = drawn(nn.SparseAutoencoder(config.SparseAutoencoder(d_vit=R, exp_factor=exp_factor)))
    nn.dump(str(folder / "sae.pt"), model)
    return written("sae.pt", model(X)[1])


def cut(folder: Path) -> Written:
    dumped(folder, 2)
    whole = (folder / "sae.pt").read_bytes()
    (folder / "sae.pt").write_bytes(whole[: len(whole) // 2])
    return refused("sae.pt")


CASES: Cases = {
    ("nn.dump", "expansion 2"): partial(dumped, exp_factor=2),
    ("nn.dump", "as many latents as features"): partial(dumped, exp_factor=1),
    ("nn.dump", "cut in the middle"): cut,
}
