"""What deeplens-sae writes: state dicts, of which most begin with a normalisation of the vectors."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from deeplens.sae import SparseAutoencoder

from tests.crossed.kit import Cases, Written
from tests.crossed.writers.dictionaries import K, M, R, X, drawn, refused, save, written


@torch.no_grad()
def state(folder: Path, *, asked: dict[str, Any] | None = None, **options: Any) -> Written:
    model = drawn(SparseAutoencoder(R, M, **options))
    path = save(folder, model.state_dict())
    if asked is None or options.get("input_norm", True):
        return refused(path, dictionary_options=asked or {})
    return written(path, model(X)[1], dictionary_options=asked)


STATE = "torch.save(state_dict)"
CASES: Cases = {
    (STATE, "input_norm"): partial(state, k=K),
    (STATE, "input_norm, --k"): partial(state, k=K, asked={"k": K}),
    (STATE, "no input_norm, --k"): partial(state, input_norm=False, k=K, asked={"k": K}),
    (STATE, "no input_norm, --activation relu"): partial(
        state, input_norm=False, beta_l1=0.1, asked={"activation": "relu"}
    ),
    (STATE, "tied"): partial(state, input_norm=False, k=K, tie_weights=True),
}
