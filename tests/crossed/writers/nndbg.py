"""What nndbg trains: two Linear layers and ReLU or TopK, saved as people save them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from nndbg.analysis.sae.base import SparseAutoencoder

from tests.crossed.kit import Cases, Written
from tests.crossed.writers.dictionaries import K, M, R, X, drawn, refused, save, written

PLAIN = ("encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias")


@torch.no_grad()
def state(
    folder: Path,
    activation: str,
    *,
    beside: dict[str, Any] | None = None,
    inside: dict[str, Any] | None = None,
    asked: dict[str, Any] | None = None,
    refuse: bool = False,
    size: int = M,
) -> Written:
    model = drawn(SparseAutoencoder(R, size, activation=activation))
    held = model.state_dict()
    path = save(folder, held if inside is None else {"state_dict": held, **inside})
    if beside is not None:
        (folder / "config.json").write_text(json.dumps(beside))
    return refused(path) if refuse else written(path, model(X)[0], dictionary_options=asked or {})


TOPK = f"topk:{K}"
ALONE, BESIDE, INSIDE = "torch.save(state_dict)", "… with config.json", "… with settings in the file"
CASES: Cases = {
    (ALONE, "topk"): partial(state, activation=TOPK, refuse=True),
    (ALONE, "topk, --k"): partial(state, activation=TOPK, asked={"k": K}),
    (ALONE, "relu, --activation relu"): partial(state, activation="relu", asked={"activation": "relu"}),
    (BESIDE, "activation: topk, k"): partial(state, activation=TOPK, beside={"activation": "topk", "k": K}),
    (BESIDE, "activation: topk:4"): partial(state, activation=TOPK, beside={"activation": TOPK}),
    (BESIDE, "activation: relu"): partial(state, activation="relu", beside={"activation": "relu"}),
    (BESIDE, "activation: silu"): partial(
        state, activation="relu", beside={"activation": "silu"}, refuse=True
    ),
    (BESIDE, "activation: topk without k"): partial(
        state, activation=TOPK, beside={"activation": "topk"}, refuse=True
    ),
    (INSIDE, "config: topk, k"): partial(
        state, activation=TOPK, inside={"config": {"activation": "topk", "k": K}}
    ),
    (INSIDE, "cfg, and another k beside"): partial(
        state,
        activation=TOPK,
        inside={"cfg": {"activation": "topk", "k": K}},
        beside={"k": K + 1},
        refuse=True,
    ),
    (BESIDE, "as many latents as features"): partial(
        state, activation=TOPK, beside={"activation": "topk", "k": K}, size=R
    ),
}
