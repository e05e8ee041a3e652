"""What saev writes: a line of JSON, then the weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from saev import config, nn

from tests.crossed.kit import Cases, Written, outputs, trained, vectors
from tests.crossed.writers.saev_more import CASES as MORE

WIDTH = 12


def saved(folder: Path, **settings: object) -> Written:
    sae = trained(nn.SparseAutoencoder(config.SparseAutoencoder(d_vit=WIDTH, exp_factor=4, **settings)))
    nn.dump(str(folder / "sae.pt"), sae)
    raw = vectors(WIDTH)
    return Written(dictionary="{folder}/sae.pt", vectors=raw, codes=outputs(lambda x: sae(x)[1], raw))


CASES: Cases = {
    ("nn.dump", "SparseAutoencoder"): saved,
    ("nn.dump", "SparseAutoencoder, ghost_grads"): partial(saved, ghost_grads=True),
    ("nn.dump", "SparseAutoencoder, normalize_w_dec false"): partial(saved, normalize_w_dec=False),
}
CASES |= MORE
